//! What a grant allows, to whom, and how a request's grants are found.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystead_model::{CreateGrantRequest, EncryptionContextMap, GrantOperation, root_arn};
use keystead_policy::Grant as Reach;
use keystead_policy::PrincipalKind;
use keystead_store::{KeyRange, Store, Write};

use crate::error::{Error, Result};
use crate::grants::{Grant, GrantPlace};
use crate::keyring::{Keyring, OpenError};
use crate::keys::KeyEntry;
use crate::paths;
use crate::principal::Principal;
use crate::records::{self, GrantRecord};
use crate::service::Service;

/// How many aliases count: of a key with more of them, conditions on its aliases do not hold.
pub(super) const ALIASES: usize = 50;

/// How many grants of an older store are indexed by one commit.
const PER_COMMIT: usize = 100;

/// How many grants one look at the index reads.
const AT_ONCE: usize = 1_000;

/// What a grant is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Wish<'a> {
    /// Something its constraints have no say in.
    Unconstrained,
    /// A cryptographic operation with this encryption context.
    Use(Option<&'a EncryptionContextMap>),
    /// A grant to be derived from it.
    Child(&'a CreateGrantRequest),
}

/// Why a grant gives nothing to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It is for someone else.
    Grantee,
    /// It does not hold the operation.
    Operation,
    /// Its encryption context constraint is not met.
    Constraint,
    /// The grant to be made would be wider than it.
    Wider,
    /// It is too new to count without its token.
    NotSpread,
}

/// How a grant reaches a principal for an operation. `spread`: it is old enough, or the request
/// holds its token.
pub(crate) fn judge(
    grant: &GrantRecord,
    principal: &Principal,
    operation: GrantOperation,
    wish: Wish<'_>,
    spread: bool,
) -> std::result::Result<Reach, Obstacle> {
    let reach = reach(grant, principal);
    if reach == Reach::None {
        return Err(Obstacle::Grantee);
    }
    if !grant.operations.contains(&operation) {
        return Err(Obstacle::Operation);
    }
    match wish {
        Wish::Use(context) if !constraints_hold(grant, context) => {
            return Err(Obstacle::Constraint);
        }
        Wish::Child(child) if !may_father(grant, child) => return Err(Obstacle::Wider),
        Wish::Use(_) | Wish::Child(_) | Wish::Unconstrained => {}
    }
    if spread { Ok(reach) } else { Err(Obstacle::NotSpread) }
}

fn constraints_hold(grant: &GrantRecord, context: Option<&EncryptionContextMap>) -> bool {
    let has = |(name, value): (&String, &String)| {
        context.and_then(|context| context.value(name)) == Some(value.as_str())
    };
    let pairs = context.map_or(0, EncryptionContextMap::len);
    let equal = |equals: &BTreeMap<_, _>| equals.len() == pairs && equals.iter().all(has);
    grant.equals.as_ref().is_none_or(equal)
        && grant.subset.as_ref().is_none_or(|subset| subset.iter().all(has))
}

/// A grant that was made by a grant is at most as wide: its operations are among the parent's, and
/// its constraints at least as strict.
fn may_father(parent: &GrantRecord, child: &CreateGrantRequest) -> bool {
    let constraints = child.constraints.as_ref();
    let equals = constraints.and_then(|all| all.encryption_context_equals.as_ref());
    let subset = constraints.and_then(|all| all.encryption_context_subset.as_ref());
    let holds = |map: Option<&EncryptionContextMap>, pairs: &BTreeMap<String, String>| {
        map.is_some_and(|map| {
            pairs.iter().all(|(name, value)| map.value(name) == Some(value.as_str()))
        })
    };
    child.operations.iter().all(|operation| parent.operations.contains(operation))
        && parent.equals.as_ref().is_none_or(|pairs| {
            holds(equals, pairs) && equals.is_some_and(|map| map.len() == pairs.len())
        })
        && parent
            .subset
            .as_ref()
            .is_none_or(|pairs| pairs.is_empty() || holds(equals, pairs) || holds(subset, pairs))
}

/// How a grant reaches a principal, if it does.
fn reach(grant: &GrantRecord, principal: &Principal) -> Reach {
    if principal.is(&grant.grantee) {
        let role = principal.kind == PrincipalKind::RoleSession && grant.grantee == principal.arn;
        return Reach::ToPrincipal { role };
    }
    if grant.grantee == root_arn(principal.partition, principal.account) {
        return Reach::ToAccount;
    }
    Reach::None
}

/// Makes every grant of an older store found by its grantee, once.
///
/// # Errors
/// The store fails, or a grant is damaged.
pub(crate) async fn index_grantees(
    store: &dyn Store,
    keyring: &Keyring,
) -> std::result::Result<(), OpenError> {
    if store.read(paths::GRANTEES).await?.is_some() {
        return Ok(());
    }
    let mut range = KeyRange::prefix(paths::GRANTS.to_vec());
    loop {
        let page = store.scan(range.clone(), PER_COMMIT).await?;
        let mut writes = Vec::with_capacity(page.len());
        for (path, found) in &page {
            let grant: GrantRecord = records::decode(keyring.record_key(), path, &found.value)?;
            let place = GrantPlace::of_path(path)
                .ok_or_else(|| OpenError::Damaged("the path of a grant".to_owned()))?;
            let GrantPlace { account, region, key, id } = &place;
            let path = paths::grantee(*account, region, *key, &grant.grantee, id);
            writes.push(Write::Put(path, Vec::new()));
        }
        match page.last() {
            Some((last, _)) => range = range.after(last),
            None => writes.push(Write::Put(paths::GRANTEES.to_vec(), Vec::new())),
        }
        store.commit(Vec::new(), writes).await?;
        if page.is_empty() {
            return Ok(());
        }
    }
}

impl Service {
    /// The names of all aliases of a key, one more than a key may have at most.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(super) async fn aliases_of(&self, key: &KeyEntry) -> Result<Vec<String>> {
        let record = &key.record;
        let prefix = paths::key_aliases(record.account, &record.region, record.id);
        let found = self.store.scan(KeyRange::prefix(prefix.clone()), ALIASES + 1).await?;
        let names = found.iter().filter_map(|(path, _)| paths::tail(path, &prefix));
        Ok(names.map(str::to_owned).collect())
    }

    /// The best reach of the key's grants for an operation: those in the store that are old enough
    /// to have spread, and those that the request's tokens name.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn granted(
        &self,
        principal: &Principal,
        key: &KeyEntry,
        operation: GrantOperation,
        wish: Wish<'_>,
        named: &[Grant],
    ) -> Result<Reach> {
        let record = &key.record;
        let mut best = Reach::None;
        for grant in named {
            let place = &grant.place;
            let of_key = (place.account, &place.region, place.key)
                == (record.account, &record.region, record.id);
            if of_key && let Ok(reach) = judge(&grant.record, principal, operation, wish, true) {
                best = better(best, reach);
            }
        }
        if record.grants == 0 || matches!(best, Reach::ToPrincipal { role: false }) {
            return Ok(best);
        }
        let now = self.clock.now();
        let account = root_arn(principal.partition, principal.account);
        let names =
            [Some(principal.arn.as_str()), principal.session_arn.as_deref(), Some(&account)];
        for (index, name) in names.iter().enumerate() {
            let Some(name) = name else { continue };
            if names.iter().take(index).any(|earlier| earlier == &Some(*name)) {
                continue;
            }
            for grant in self.grants_of(key, name).await?.iter() {
                let spread = self.has_spread(grant, now);
                if let Ok(reach) = judge(grant, principal, operation, wish, spread) {
                    best = better(best, reach);
                    if matches!(best, Reach::ToPrincipal { role: false }) {
                        return Ok(best);
                    }
                }
            }
        }
        Ok(best)
    }

    /// Whether a grant of the store counts without its token.
    pub(crate) fn has_spread(&self, grant: &GrantRecord, now: i64) -> bool {
        now.saturating_sub(grant.created) >= self.settings.grant_delay
    }

    /// The grants of a key to one grantee, kept with the key until one of its grants changes.
    async fn grants_of(&self, key: &KeyEntry, grantee: &str) -> Result<Arc<[GrantRecord]>> {
        if let Some(known) = key.grants.find(grantee) {
            return Ok(known);
        }
        let record = &key.record;
        let (account, region, id) = (record.account, &record.region, record.id);
        let prefix = paths::granted_to(account, region, id, grantee);
        let mut range = KeyRange::prefix(prefix.clone());
        let mut grants = Vec::new();
        loop {
            let page = self.store.scan(range.clone(), AT_ONCE).await?;
            for (path, _) in &page {
                let grant = paths::tail(path, &prefix)
                    .ok_or_else(|| Error::internal("the path of a grant's grantee"))?;
                let path = paths::grant(account, region, id, grant);
                // It may have been retired since the page was read.
                if let Some(found) = self.store.read(&path).await? {
                    let record: GrantRecord =
                        records::decode(self.keyring.record_key(), &path, &found.value)
                            .map_err(Error::internal)?;
                    grants.push(record);
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == AT_ONCE => range = range.after(last),
                _ => break,
            }
        }
        let grants: Arc<[GrantRecord]> = grants.into();
        key.grants.keep(grantee, &grants);
        Ok(grants)
    }
}

/// The one of two that gives more; the first if they give the same.
pub(crate) fn better(one: Reach, other: Reach) -> Reach {
    let rank = |reach: &Reach| match reach {
        Reach::None => 0,
        Reach::ToAccount => 1,
        Reach::ToPrincipal { role: true } => 2,
        Reach::ToPrincipal { role: false } => 3,
    };
    if rank(&other) > rank(&one) { other } else { one }
}
