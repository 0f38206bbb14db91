//! ReplicateKey: makes a related key of a multi-Region primary key in another Region. It shares id
//! and material; policy, description, tags and aliases are its own.

use keystead_model::{
    KeyState, OperationName, Region, ReplicateKeyRequest, ReplicateKeyResponse, key_arn,
};
use serde_json::Map;

use crate::audit::KeyEvent;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::multi_region::{first_state, shared};
use crate::operation::{Facts, New, Operation, Replicated, Writes};
use crate::proofs::Usable;
use crate::records::{self, KeyRecord, PolicyRecord, ReferenceRecord};
use crate::service::Service;
use crate::state::State;
use crate::throttling::{Charge, Group};
use crate::write::{Change, Draft};
use crate::{key_policy, metadata, paths, tags};

pub(super) struct ReplicateKey;

impl Operation for ReplicateKey {
    type Input = ReplicateKeyRequest;
    type Output = ReplicateKeyResponse;
    type Target = Replicated;

    const FACTS: Facts = Facts::management(OperationName::ReplicateKey);

    fn check(service: &Service, caller: &Caller, input: &Self::Input) -> Result<()> {
        tags::check(input.tags.as_deref().unwrap_or_default())?;
        input.policy.iter().try_for_each(|policy| key_policy::check(service, policy, caller))
    }

    /// The replica's Region sees it as CreateKey, twice [aws].
    fn charges(input: &Self::Input) -> Vec<Charge> {
        let region = input.replica_region.parse().ok();
        let group = Group::Operation(OperationName::CreateKey);
        region.map(|region| Charge { group, count: 2, region: Some(region) }).into_iter().collect()
    }

    async fn resolve(
        service: &Service,
        caller: &Caller,
        input: &Self::Input,
    ) -> Result<Replicated> {
        let primary = service.key(caller, &input.key_id, &Self::FACTS).await?;
        let tags = input.tags.as_ref().is_some_and(|tags| !tags.is_empty());
        let replica = New { tags, policy: input.policy.is_some() };
        Ok(Replicated { primary, region: input.replica_region.parse().ok(), replica })
    }
}

impl Writes for ReplicateKey {
    async fn act(
        service: &Service,
        caller: &Caller,
        keys: Usable<Replicated>,
        input: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        let (key, primary) = (&keys.primary, &keys.primary.record);
        let region = target(service, &input.replica_region, caller)?;
        let (account, id) = (primary.account, primary.id);
        let arn = key_arn(&region, account, id);
        let mut all = primary.multi_region.clone().ok_or_else(|| Error::not_primary(&key.arn))?;
        if all.regions()?.contains(&region) {
            return Err(Error::replica_exists(&arn));
        }
        let place = service.place_for_key(account, &region, id).await?;
        all.replicas.push(region.to_string());
        all.replicas.sort_unstable();
        let mut replica = KeyRecord {
            region: region.clone(),
            created: service.clock.now(),
            description: input.description.clone().unwrap_or_default(),
            state: first_state(primary.origin),
            multi_region: Some(all.clone()),
            tags: tags::merged(&[], input.tags.as_deref().unwrap_or_default()),
            materials: Vec::new(),
            settling: None,
            aliases: 0,
            imports: 0,
            grants: 0,
            unknown: Map::new(),
            ..primary.clone()
        };
        replica.materials = shared(&primary.materials, &replica);
        if let (Some(policy), None | Some(false)) =
            (&input.policy, input.bypass_policy_lockout_safety_check)
        {
            key_policy::check_lockout(service, caller, policy, &replica)?;
        }

        let mut draft = Draft::default();
        service.settle_later(&mut draft, &mut replica, State::Creating)?;
        let path = paths::key(account, &region, id);
        draft.absent(path.clone()).put(service, path, &replica)?;
        let text = input.policy.clone().unwrap_or_else(|| key_policy::default(caller));
        let policy = PolicyRecord { text: text.clone(), unknown: Map::new() };
        draft.put(service, paths::policy(account, &region, id), &policy)?;

        let path = paths::reference(id);
        let found = service.store.read(&path).await?.ok_or_else(Error::conflict)?;
        let mut holders: ReferenceRecord =
            records::decode(service.keyring.record_key(), &path, &found.value)
                .map_err(Error::internal)?;
        holders.regions.push(region.to_string());
        draft.unchanged(path.clone(), found.revision).put(service, path, &holders)?;

        let changed = KeyRecord { multi_region: Some(all), ..primary.clone() };
        service.replace_related_but(&mut draft, key, &changed, &region).await?;
        // The replica's Region has a record of its own.
        service.note_event(&mut draft, &KeyEvent::of_key("CreateKey", &replica, &arn))?;
        draft.holding(place);
        Ok(draft.answering(answer(&replica, &text, input)?))
    }
}

/// The replica as the real service answers it: still being made, its material not told yet [obs].
fn answer(
    replica: &KeyRecord,
    policy: &str,
    input: &ReplicateKeyRequest,
) -> Result<ReplicateKeyResponse> {
    let mut metadata = metadata::of(replica);
    metadata.key_state = Some(KeyState::Creating);
    metadata.enabled = Some(false);
    metadata.current_key_material_id = None;
    Ok(ReplicateKeyResponse {
        replica_key_metadata: Some(metadata),
        replica_policy: Some(keystead_policy::pretty(policy).map_err(Error::internal)?),
        replica_tags: input.tags.clone().filter(|tags| !tags.is_empty()),
    })
}

/// The Region of the replica: one that is served, of the same partition.
pub(super) fn target(service: &Service, given: &str, caller: &Caller) -> Result<Region> {
    let unknown = || Error::validation(format!("Invalid Region {given}"));
    let region: Region = given.parse().map_err(|_| unknown())?;
    if !service.serves(given) {
        return Err(unknown());
    }
    if region.partition() != caller.region().partition() {
        return Err(Error::unsupported(format!(
            "Region {region} is not in the partition of Region {}.",
            caller.region()
        )));
    }
    Ok(region)
}
