//! CreateKey: makes a KMS key with its material, policy and tags.

use keystead_crypto::{MacKey, MacSpec, PrivateKey, SymmetricMaterial, secret_material_id};
use keystead_model::{
    CreateKeyRequest, CreateKeyResponse, CustomerMasterKeySpec, KeyId, KeyMaterialId, KeySpec,
    KeyUsageType, OperationName, OriginType,
};
use serde_json::Map;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, New, Operation, Writes};
use crate::proofs::Usable;
use crate::records::{KeyRecord, MaterialEntry, MultiRegion, PolicyRecord, ReferenceRecord};
use crate::service::Service;
use crate::state::State;
use crate::write::{Change, Draft};
use crate::{asymmetric, key_policy, metadata, paths, specs, tags};

pub(super) struct CreateKey;

impl Operation for CreateKey {
    type Input = CreateKeyRequest;
    type Output = CreateKeyResponse;
    type Target = New;

    const FACTS: Facts = Facts::management(OperationName::CreateKey);

    fn check(service: &Service, caller: &Caller, input: &Self::Input) -> Result<()> {
        let spec = spec(input)?;
        usage(input, spec)?;
        tags::check(input.tags.as_deref().unwrap_or_default())?;
        origin(input, spec)?;
        if let Some(policy) = &input.policy {
            key_policy::check(service, policy, caller)?;
        }
        if spec == KeySpec::Sm2 && !specs::sm2_is_open(service, caller) {
            return Err(Error::not_in_this_region("KeySpec", spec.as_str()));
        }
        Ok(())
    }

    async fn resolve(_: &Service, _: &Caller, input: &Self::Input) -> Result<New> {
        let tags = input.tags.as_ref().is_some_and(|tags| !tags.is_empty());
        Ok(New { tags, policy: input.policy.is_some() })
    }
}

impl Writes for CreateKey {
    async fn act(
        service: &Service,
        caller: &Caller,
        _: Usable<New>,
        input: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        let multi_region = input.multi_region.unwrap_or(false);
        let id = KeyId::from_random(keystead_crypto::random_bytes()?, multi_region);
        // Before the material is made, which may be slow; held until the key is stored.
        let place = service.place_for_key(caller.account(), caller.region(), id).await?;
        let (record, wrapped) = new_key(service, caller, input, id).await?;
        if let (Some(policy), None | Some(false)) =
            (&input.policy, input.bypass_policy_lockout_safety_check)
        {
            key_policy::check_lockout(service, caller, policy, &record)?;
        }
        let policy = input.policy.clone().unwrap_or_else(|| key_policy::default(caller));
        let mut draft = draft(service, &record, wrapped, policy)?;
        draft.holding(place);
        Ok(draft.answering(CreateKeyResponse { key_metadata: Some(metadata::of(&record)) }))
    }
}

/// What a new key consists of, ready to be committed.
pub(crate) fn draft(
    service: &Service,
    record: &KeyRecord,
    wrapped: Option<Vec<u8>>,
    policy: String,
) -> Result<Draft> {
    let (account, region, id) = (record.account, &record.region, record.id);
    let policy = PolicyRecord { text: policy, unknown: Map::new() };
    let regions = vec![region.to_string()];
    let reference = ReferenceRecord { account, regions, unknown: Map::new() };
    let mut draft = Draft::default();
    draft.absent(paths::reference(id));
    draft.put(service, paths::reference(id), &reference)?;
    draft.put(service, paths::key(account, region, id), record)?;
    draft.put(service, paths::policy(account, region, id), &policy)?;
    if let (Some(wrapped), Some(entry)) = (wrapped, record.materials.first()) {
        draft.put_raw(paths::material(account, id, entry.id), wrapped);
    }
    Ok(draft)
}

/// The record of a new key and its material, wrapped; none for origin EXTERNAL.
pub(crate) async fn new_key(
    service: &Service,
    caller: &Caller,
    input: &CreateKeyRequest,
    id: KeyId,
) -> Result<(KeyRecord, Option<Vec<u8>>)> {
    let now = service.clock.now();
    let spec = spec(input)?;
    let mut record = KeyRecord {
        account: caller.account(),
        region: caller.region().clone(),
        id,
        created: now,
        description: input.description.clone().unwrap_or_default(),
        spec,
        usage: usage(input, spec)?,
        origin: input.origin.unwrap_or(OriginType::AwsKms),
        state: State::Enabled,
        multi_region: id
            .is_multi_region()
            .then(|| MultiRegion { primary: caller.region().clone(), replicas: Vec::new() }),
        tags: tags::merged(&[], input.tags.as_deref().unwrap_or_default()),
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
    if record.origin == OriginType::External {
        record.state = State::PendingImport;
        return Ok((record, None));
    }
    let (material_id, wrapped) = material(service, &mut record).await?;
    record.materials.push(MaterialEntry {
        id: material_id,
        created: now,
        current: true,
        rotated: None,
        imported: None,
        unknown: Map::new(),
    });
    Ok((record, Some(wrapped)))
}

/// New key material of the record's spec: its id, and itself wrapped. Sets the public key.
async fn material(service: &Service, record: &mut KeyRecord) -> Result<(KeyMaterialId, Vec<u8>)> {
    let (id, spec) = (record.id.to_string(), record.spec.as_str());
    if record.is_symmetric() {
        let material = SymmetricMaterial::generate()?;
        let material_id = KeyMaterialId::new(material.id(&id, spec)?);
        return Ok((material_id, service.keyring.wrap(record, material_id, &material)?));
    }
    let secret = match MacSpec::parse(spec) {
        Some(spec) => MacKey::generate(spec)?,
        None => {
            let spec = asymmetric::spec(record.spec)?;
            let pkcs8 = service.generation.private_key(spec).await?;
            let key = PrivateKey::from_pkcs8(spec, pkcs8.expose())
                .map_err(|_| Error::internal("a new private key that cannot be read"))?;
            record.public_key = Some(asymmetric::encode_public_key(&key.public_spki()));
            pkcs8
        }
    };
    let material_id = KeyMaterialId::new(secret_material_id(secret.expose(), &id, spec)?);
    Ok((material_id, service.keyring.wrap_secret(record, material_id, secret.expose())?))
}

/// KeySpec, or the deprecated member of the same meaning.
fn spec(input: &CreateKeyRequest) -> Result<KeySpec> {
    match (input.key_spec, input.customer_master_key_spec) {
        (Some(_), Some(_)) => Err(Error::validation(
            "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. \
             CustomerMasterKeySpec is deprecated.",
        )),
        (Some(spec), None) => Ok(spec),
        (None, Some(old)) => modern(old),
        (None, None) => Ok(KeySpec::SymmetricDefault),
    }
}

fn modern(old: CustomerMasterKeySpec) -> Result<KeySpec> {
    KeySpec::parse(old.as_str()).ok_or_else(|| Error::internal("a key spec only of old"))
}

fn usage(input: &CreateKeyRequest, spec: KeySpec) -> Result<KeyUsageType> {
    let usage = match (input.key_usage, spec) {
        (Some(usage), _) => usage,
        (None, KeySpec::SymmetricDefault) => KeyUsageType::EncryptDecrypt,
        (None, _) => {
            return Err(Error::validation(
                "You must specify a KeyUsage value for all KMS keys except for symmetric \
                 encryption keys.",
            ));
        }
    };
    if !specs::usages(spec).contains(&usage) {
        return Err(Error::validation(format!(
            "KeyUsage {usage} is not compatible with KeySpec {spec}"
        )));
    }
    Ok(usage)
}

/// Where the material shall come from. No custom key store can exist yet, so naming one names one
/// that does not. ML-DSA keys cannot be imported [aws], so that there is no key to wait for one.
fn origin(input: &CreateKeyRequest, spec: KeySpec) -> Result<()> {
    let origin = input.origin.unwrap_or(OriginType::AwsKms);
    let in_store = matches!(origin, OriginType::AwsCloudhsm | OriginType::ExternalKeyStore);
    let external_store = origin == OriginType::ExternalKeyStore;
    let fault = match (&input.custom_key_store_id, in_store, &input.xks_key_id, external_store) {
        (Some(_), false, ..) => Some("CustomKeyStoreId is not valid"),
        (None, true, ..) => Some("CustomKeyStoreId is required"),
        (_, _, Some(_), false) => Some("XksKeyId is not valid"),
        (_, _, None, true) => Some("XksKeyId is required"),
        _ => None,
    };
    if let Some(fault) = fault {
        return Err(Error::validation(format!("{fault} with Origin {origin}.")));
    }
    let ml_dsa = matches!(spec, KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87);
    if ml_dsa && origin == OriginType::External {
        return Err(Error::unsupported(format!(
            "KeySpec {spec} is not supported for Origin {origin}"
        )));
    }
    let Some(store) = &input.custom_key_store_id else { return Ok(()) };
    if spec != KeySpec::SymmetricDefault {
        return Err(Error::unsupported(format!(
            "KeySpec {spec} is not supported for Origin {origin}"
        )));
    }
    if input.multi_region == Some(true) {
        return Err(Error::unsupported("A multi-Region key cannot live in a custom key store."));
    }
    Err(Error::custom_key_store_not_found(store))
}
