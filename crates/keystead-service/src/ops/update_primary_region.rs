//! UpdatePrimaryRegion: makes a replica the primary key and the primary a replica. No ARN changes.

use std::sync::Arc;

use keystead_model::{Empty, OperationName, UpdatePrimaryRegionRequest, key_arn};

use super::replicate_key::target;
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Operation, Succeeded, Writes};
use crate::paths;
use crate::proofs::Usable;
use crate::records::MultiRegion;
use crate::service::Service;
use crate::state::{self, State};
use crate::throttling::{Charge, Group};
use crate::write::{Change, Draft};

pub(super) struct UpdatePrimaryRegion;

impl Operation for UpdatePrimaryRegion {
    type Input = UpdatePrimaryRegionRequest;
    type Output = Empty;
    type Target = Succeeded;

    const FACTS: Facts = Facts::management(OperationName::UpdatePrimaryRegion);

    /// The new primary key's Region counts it, too [aws].
    fn charges(input: &Self::Input) -> Vec<Charge> {
        let region = input.primary_region.parse().ok();
        let group = Group::Operation(OperationName::UpdatePrimaryRegion);
        region.map(|region| Charge { group, count: 1, region: Some(region) }).into_iter().collect()
    }

    async fn resolve(service: &Service, caller: &Caller, input: &Self::Input) -> Result<Succeeded> {
        let primary = service.key(caller, &input.key_id, &Self::FACTS).await?;
        let mut related = service.related(&primary.record).await?;
        let at =
            related.iter().position(|other| other.record.region.as_str() == input.primary_region);
        let successor = at.map(|at| Arc::new(related.swap_remove(at)));
        Ok(Succeeded { primary, successor })
    }
}

impl Writes for UpdatePrimaryRegion {
    async fn act(
        service: &Service,
        caller: &Caller,
        keys: Usable<Succeeded>,
        input: &Self::Input,
    ) -> Result<Change<Empty>> {
        let region = target(service, &input.primary_region, caller)?;
        let key = &keys.primary;
        let mut old = key.record.clone();
        let arn = key_arn(&region, old.account, old.id);
        let all = old.multi_region.clone().ok_or_else(|| Error::not_primary(&key.arn))?;
        let related = service.related(&old).await?;
        let successor = related
            .iter()
            .find(|other| other.record.region == region)
            .ok_or_else(|| Error::no_such_key(&arn))?;
        // Both keys take part, each with its own state.
        if let Some(row) = state::row(Self::FACTS.name) {
            state::permit(row, &successor.record, &successor.arn)?;
        }
        let mut replicas = all.replicas;
        replicas.retain(|other| other != region.as_str());
        replicas.push(old.region.to_string());
        replicas.sort_unstable();
        let all = MultiRegion { primary: region, replicas };

        let mut draft = Draft::default();
        let mut new = successor.record.clone();
        // Rotations, also one under way, are carried out where the primary key is.
        for moment in old.rotations_noted() {
            draft.delete(paths::due(moment, old.account, &old.region, old.id));
            service.due(&mut draft, &new, moment)?;
        }
        old.multi_region = Some(all.clone());
        new.multi_region = Some(all.clone());
        service.settle_later(&mut draft, &mut old, State::Updating)?;
        service.settle_later(&mut draft, &mut new, State::Updating)?;
        draft.replace(service, key, &old)?.replace(service, successor, &new)?;
        for other in related.iter().filter(|other| other.record.region != new.region) {
            let mut record = other.record.clone();
            record.multi_region = Some(all.clone());
            draft.replace(service, other, &record)?;
        }
        Ok(draft.answering(Empty))
    }
}
