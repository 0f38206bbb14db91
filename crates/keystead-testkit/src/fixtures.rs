//! Keys laid straight into the store: every state, spec, usage and origin, also those that no API
//! call can bring about.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keystead_crypto::{
    AsymmetricSpec, BlobHeader, EncryptionContext, MacKey, MacSpec, PrivateKey, Secret,
    SymmetricMaterial, generate_private_key, secret_material_id,
};
use keystead_model::{
    AccountId, GrantOperation, KeyId, KeyMaterialId, KeySpec, KeyUsageType, OriginType, Region,
    key_arn,
};
use keystead_service::records::{
    AliasRecord, GrantRecord, KeyRecord, MaterialEntry, MultiRegion, PolicyRecord, ReferenceRecord,
    encode,
};
use keystead_service::state::State;
use keystead_service::{Service, paths};
use keystead_store::{Guard, Write};
use serde_json::Map;

/// When fixture keys were created: a moment in 2025, milliseconds since the epoch.
pub const CREATED: i64 = 1_750_000_000_000;

/// A key to be laid. The beginning is an enabled symmetric key with material of AWS_KMS origin.
#[derive(Debug, Clone)]
pub struct KeyFixture {
    /// The record as it will be written, but for the material.
    pub record: KeyRecord,
    aliases: Vec<String>,
    grants: Vec<String>,
    bare: bool,
    policy: Option<String>,
}

/// A key that has been laid.
#[derive(Debug)]
pub struct LaidKey {
    /// Its key id.
    pub id: String,
    /// Its key ARN.
    pub arn: String,
    /// Its record.
    pub record: KeyRecord,
    /// Of a key of another kind: material that no key has.
    material: SymmetricMaterial,
    header: BlobHeader,
}

/// New key material of some spec.
enum Material {
    Symmetric(SymmetricMaterial),
    /// PKCS #8, or an HMAC key.
    Secret(Secret),
}

impl Material {
    fn generate(spec: KeySpec) -> anyhow::Result<Self> {
        if spec == KeySpec::SymmetricDefault {
            return Ok(Self::Symmetric(SymmetricMaterial::generate()?));
        }
        Ok(Self::Secret(match MacSpec::parse(spec.as_str()) {
            Some(spec) => MacKey::generate(spec)?,
            None => generate_private_key(asymmetric(spec)?)?,
        }))
    }

    fn id(&self, record: &KeyRecord) -> anyhow::Result<KeyMaterialId> {
        let (id, spec) = (record.id.to_string(), record.spec.as_str());
        Ok(KeyMaterialId::new(match self {
            Self::Symmetric(material) => material.id(&id, spec)?,
            Self::Secret(secret) => secret_material_id(secret.expose(), &id, spec)?,
        }))
    }

    fn public_key(&self, spec: KeySpec) -> anyhow::Result<Option<String>> {
        match self {
            Self::Secret(secret) if MacSpec::parse(spec.as_str()).is_none() => {
                let key = PrivateKey::from_pkcs8(asymmetric(spec)?, secret.expose())?;
                Ok(Some(STANDARD.encode(key.public_spki())))
            }
            _ => Ok(None),
        }
    }

    fn wrap(
        &self,
        service: &Service,
        record: &KeyRecord,
        id: KeyMaterialId,
    ) -> anyhow::Result<Vec<u8>> {
        Ok(match self {
            Self::Symmetric(material) => service.keyring().wrap(record, id, material)?,
            Self::Secret(secret) => service.keyring().wrap_secret(record, id, secret.expose())?,
        })
    }
}

fn asymmetric(spec: KeySpec) -> anyhow::Result<AsymmetricSpec> {
    AsymmetricSpec::parse(spec.as_str()).context("not an asymmetric spec")
}

impl KeyFixture {
    /// # Errors
    /// A malformed account or Region, or no randomness.
    pub fn new(account: &str, region: &str) -> anyhow::Result<Self> {
        let account: AccountId = account.parse()?;
        let region: Region = region.parse()?;
        let record = KeyRecord {
            account,
            region,
            id: KeyId::from_random(keystead_crypto::random_bytes()?, false),
            created: CREATED,
            description: String::new(),
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsageType::EncryptDecrypt,
            origin: OriginType::AwsKms,
            state: State::Enabled,
            multi_region: None,
            tags: Vec::new(),
            materials: Vec::new(),
            public_key: None,
            rotation: None,
            settling: None,
            on_demand: None,
            aliases: 0,
            imports: 0,
            grants: 0,
            custom_key_store: None,
            managed_by: None,
            unknown: Map::new(),
        };
        Ok(Self { record, aliases: Vec::new(), grants: Vec::new(), bare: false, policy: None })
    }

    /// An alias of the key; the name begins with `alias/`.
    #[must_use]
    pub fn alias(mut self, name: &str) -> Self {
        self.record.aliases += 1;
        self.aliases.push(name.to_owned());
        self
    }

    /// A grant on the key, issued by its own account; the id has 64 lower-case hex digits.
    #[must_use]
    pub fn grant(mut self, id: &str) -> Self {
        self.record.grants += 1;
        self.grants.push(id.to_owned());
        self
    }

    /// No key material, and no public key: a damaged key, unless its state is PendingImport.
    #[must_use]
    pub fn without_material(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Another spec and usage.
    #[must_use]
    pub fn spec(mut self, spec: KeySpec, usage: KeyUsageType) -> Self {
        (self.record.spec, self.record.usage) = (spec, usage);
        self
    }

    /// Another origin; those of custom key stores put the key into one.
    #[must_use]
    pub fn origin(mut self, origin: OriginType) -> Self {
        self.record.origin = origin;
        self.record.custom_key_store =
            matches!(origin, OriginType::AwsCloudhsm | OriginType::ExternalKeyStore)
                .then(|| "cks-1234567890abcdef0".to_owned());
        self
    }

    /// Another state. Those that only multi-Region keys have make it one: a primary with a replica
    /// for PendingReplicaDeletion and Updating, the replica for Creating.
    ///
    /// # Errors
    /// None in fact: the Region of the related key is well-formed.
    pub fn state(mut self, state: State) -> anyhow::Result<Self> {
        let elsewhere: Region = "ap-south-1".parse()?;
        let here = self.record.region.clone();
        let (primary, replica) = match state {
            State::PendingReplicaDeletion { .. } | State::Updating => (Some(here), elsewhere),
            State::Creating => (Some(elsewhere), here),
            _ => (None, elsewhere),
        };
        if let Some(primary) = primary {
            self.record.id = KeyId::from_random(*self.record.id.bytes(), true);
            self.record.multi_region =
                Some(MultiRegion { primary, replicas: vec![replica.to_string()] });
        }
        self.record.state = state;
        Ok(self)
    }

    /// Gives it another key policy than the default one.
    #[must_use]
    pub fn policy(mut self, text: &str) -> Self {
        self.policy = Some(text.to_owned());
        self
    }

    /// Writes the key with its policy and, where a key of its spec and state has one, its material.
    ///
    /// # Errors
    /// Failures of the store or of cryptography.
    pub async fn lay(self, service: &Service) -> anyhow::Result<LaidKey> {
        let mut record = self.record;
        let (account, region, id) = (record.account, record.region.clone(), record.id);
        let reference =
            ReferenceRecord { account, regions: vec![region.to_string()], unknown: Map::new() };
        let default = format!(
            "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\
             {{\"AWS\":\"arn:{}:iam::{account}:root\"}},\"Action\":\"kms:*\",\"Resource\":\"*\"}}]}}",
            region.partition().as_str()
        );
        let text = self.policy.unwrap_or(default);
        let mut writes = Vec::new();
        let material = Material::generate(record.spec)?;
        let material_id = material.id(&record)?;
        if !self.bare && record.state != State::PendingImport {
            record.public_key = material.public_key(record.spec)?;
            record.materials.push(MaterialEntry {
                id: material_id,
                created: CREATED,
                current: true,
                rotated: None,
                imported: None,
                unknown: Map::new(),
            });
            let wrapped = material.wrap(service, &record, material_id)?;
            writes.push(Write::Put(paths::material(account, id, material_id), wrapped));
        }
        let key = service.keyring().record_key();
        let policy = PolicyRecord { text, unknown: Map::new() };
        let path = paths::key(account, &region, id);
        writes.push(Write::Put(path.clone(), encode(key, &path, &record)?));
        let path = paths::policy(account, &region, id);
        writes.push(Write::Put(path.clone(), encode(key, &path, &policy)?));
        for name in &self.aliases {
            let path = paths::alias(account, &region, name);
            let (target, created, updated) = (id, CREATED, CREATED);
            let alias = AliasRecord { target, created, updated, unknown: Map::new() };
            writes.push(Write::Put(path.clone(), encode(key, &path, &alias)?));
            writes.push(Write::Put(paths::key_alias(account, &region, id, name), Vec::new()));
        }
        for grant in &self.grants {
            let path = paths::grant(account, &region, id, grant);
            let record = GrantRecord {
                grantee: format!("arn:{}:iam::{account}:user/grantee", region.partition().as_str()),
                retiring: None,
                issuer: account,
                operations: vec![GrantOperation::DescribeKey],
                equals: None,
                subset: None,
                name: None,
                created: CREATED,
                unknown: Map::new(),
            };
            writes.push(Write::Put(path.clone(), encode(key, &path, &record)?));
        }
        let path = paths::reference(id);
        writes.push(Write::Put(path.clone(), encode(key, &path, &reference)?));
        service.store().commit(vec![Guard::Absent(path)], writes).await?;
        Ok(LaidKey {
            id: id.to_string(),
            arn: key_arn(&region, account, id),
            header: BlobHeader {
                key_id: *id.bytes(),
                multi_region: id.is_multi_region(),
                material_id: *material_id.as_bytes(),
            },
            record,
            material: match material {
                Material::Symmetric(material) => material,
                Material::Secret(_) => SymmetricMaterial::generate()?,
            },
        })
    }
}

impl LaidKey {
    /// A ciphertext of this key without encryption context, made without asking the service: also
    /// for keys whose state forbids it. For other specs than SYMMETRIC_DEFAULT it merely names the
    /// key; nothing opens it.
    ///
    /// # Errors
    /// An empty or too long plaintext.
    pub fn seal(&self, plaintext: &[u8]) -> anyhow::Result<Vec<u8>> {
        let context = EncryptionContext::empty();
        Ok(keystead_crypto::encrypt(&self.material, &self.header, plaintext, &context)?)
    }
}
