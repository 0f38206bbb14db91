//! Keys that no API call can make yet, laid straight into the store: every state, spec, usage and
//! origin.

use keystead_crypto::{BlobHeader, EncryptionContext, SymmetricMaterial};
use keystead_model::{
    AccountId, KeyId, KeyMaterialId, KeySpec, KeyUsageType, OriginType, Region, key_arn,
};
use keystead_service::records::{
    AliasRecord, KeyRecord, MaterialEntry, MultiRegion, PolicyRecord, ReferenceRecord, encode,
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
    material: SymmetricMaterial,
    header: BlobHeader,
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
            aliases: 0,
            custom_key_store: None,
            unknown: Map::new(),
        };
        Ok(Self { record, aliases: Vec::new() })
    }

    /// An alias of the key; the name begins with `alias/`.
    #[must_use]
    pub fn alias(mut self, name: &str) -> Self {
        self.record.aliases += 1;
        self.aliases.push(name.to_owned());
        self
    }

    /// Another spec and usage. Such a key has no material: what would use it is not built.
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

    /// Writes the key with its policy and, where a key of its spec and state has one, its material.
    ///
    /// # Errors
    /// Failures of the store or of cryptography.
    pub async fn lay(self, service: &Service) -> anyhow::Result<LaidKey> {
        let mut record = self.record;
        let (account, region, id) = (record.account, record.region.clone(), record.id);
        let material = SymmetricMaterial::generate()?;
        let material_id = KeyMaterialId::new(material.id(&id.to_string(), record.spec.as_str())?);
        let reference =
            ReferenceRecord { account, regions: vec![region.to_string()], unknown: Map::new() };
        let text = format!(
            "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\
             {{\"AWS\":\"arn:{}:iam::{account}:root\"}},\"Action\":\"kms:*\",\"Resource\":\"*\"}}]}}",
            region.partition().as_str()
        );
        let mut writes = Vec::new();
        if record.is_symmetric() && record.state != State::PendingImport {
            record.materials.push(MaterialEntry {
                id: material_id,
                created: CREATED,
                current: true,
                unknown: Map::new(),
            });
            let wrapped = service.keyring().wrap(&record, material_id, &material)?;
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
            material,
        })
    }
}

impl LaidKey {
    /// A ciphertext of this key without encryption context, made without asking the service: also
    /// for keys whose state forbids it. For other specs than SYMMETRIC_DEFAULT it merely names the
    /// key.
    ///
    /// # Errors
    /// An empty or too long plaintext.
    pub fn seal(&self, plaintext: &[u8]) -> anyhow::Result<Vec<u8>> {
        let context = EncryptionContext::empty();
        Ok(keystead_crypto::encrypt(&self.material, &self.header, plaintext, &context)?)
    }
}
