//! Groups, users, roles and access keys.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Policies, Reading, Trust, arn};
use crate::directory::{
    AccessKey, Account, Kind, NamedPolicy, Owner, Place, Role, SealedSecret, User,
};
use crate::document::{self, Use};
use crate::names;
use crate::section::{Item, Section};
use crate::unique_id;

/// The policies of each group, by its name.
pub(super) type Groups = HashMap<String, Vec<Arc<NamedPolicy>>>;

impl Reading<'_, '_> {
    pub(super) fn groups(&mut self, policies: &Policies, item: &Item<'_>) -> Groups {
        let Some(section) = item.section(&mut self.faults) else { return Groups::new() };
        let entries = section.entries();
        self.check_distinct(&entries);
        let mut groups = Groups::new();
        for entry in entries {
            self.check_key(&entry, names::long_name);
            let mut own = Vec::new();
            if let Some(mut section) = entry.section(&mut self.faults) {
                own = self.inline(&mut section, "group", entry.name, document::GROUP_INLINE);
                let attached = section.take("policies");
                own.extend(self.attached(attached, policies, MOST_ATTACHED_TO_GROUPS));
                section.finish(&mut self.faults);
            }
            groups.insert(entry.name.to_owned(), own);
        }
        groups
    }

    pub(super) fn users(
        &mut self,
        account: &mut Account,
        policies: &Policies,
        groups: &Groups,
        item: &Item<'_>,
    ) {
        let Some(section) = item.section(&mut self.faults) else { return };
        let entries = section.entries();
        self.check_distinct(&entries);
        for entry in entries {
            self.check_key(&entry, names::entity_name);
            self.user(account, policies, groups, &entry);
        }
    }

    fn user(
        &mut self,
        account: &mut Account,
        policies: &Policies,
        groups: &Groups,
        item: &Item<'_>,
    ) {
        let Some(mut section) = item.section(&mut self.faults) else { return };
        let name = item.name.to_owned();
        let path = self.path(section.take("path"));
        let place = Place { account: account.id, kind: Kind::User, index: account.users.len() };
        let arn = arn(account, "user", &path, &name);
        let id = self.identify(&mut section, place, item, "AIDA", &path, &arn);
        let mut own = self.inline(&mut section, "user", &name, document::USER_INLINE);
        own.extend(self.attached(section.take("policies"), policies, MOST_ATTACHED));
        let member = self.membership(section.take("groups"), groups);
        for policy in member.iter().filter_map(|group| groups.get(group)).flatten() {
            if !own.iter().any(|other| Arc::ptr_eq(other, policy)) {
                own.push(Arc::clone(policy));
            }
        }
        let boundary = section.take("permissions_boundary");
        let boundary = boundary.and_then(|item| self.referred(&item, policies));
        let tags = self.tags(section.take("tags"));
        if let Some(keys) = section.take("access_keys") {
            self.access_keys(Owner::User { account: account.id, index: place.index }, &keys);
        }
        section.finish(&mut self.faults);
        account.user_names.insert(name.clone(), place.index);
        account.users.push(User {
            account: account.id,
            name,
            path,
            id,
            arn,
            policies: own,
            boundary,
            groups: member,
            tags,
        });
    }

    fn membership(&mut self, item: Option<Item<'_>>, groups: &Groups) -> Vec<String> {
        let Some(item) = item else { return Vec::new() };
        let mut member: Vec<String> = Vec::new();
        let elements = item.elements(&mut self.faults).unwrap_or_default();
        if elements.len() > MOST_GROUPS {
            let message = format!("{} groups, more than {MOST_GROUPS}", elements.len());
            item.fault(&mut self.faults, message);
        }
        for element in elements.into_iter().take(MOST_GROUPS) {
            let Some(name) = element.string(&mut self.faults) else { continue };
            if !groups.contains_key(name) {
                let message = match groups.keys().find(|other| other.eq_ignore_ascii_case(name)) {
                    Some(other) => format!("the account's group is spelt `{other}`"),
                    None => format!("the account has no group `{}`", name.escape_debug()),
                };
                element.fault(&mut self.faults, message);
            } else if member.iter().any(|other| other == name) {
                element.fault(&mut self.faults, format!("`{name}` comes twice"));
            } else {
                member.push(name.to_owned());
            }
        }
        member
    }

    pub(super) fn roles(&mut self, account: &mut Account, policies: &Policies, item: &Item<'_>) {
        let Some(section) = item.section(&mut self.faults) else { return };
        let entries = section.entries();
        self.check_distinct(&entries);
        for entry in entries {
            self.check_key(&entry, names::entity_name);
            self.role(account, policies, &entry);
        }
    }

    fn role(&mut self, account: &mut Account, policies: &Policies, item: &Item<'_>) {
        let Some(mut section) = item.section(&mut self.faults) else { return };
        let name = item.name.to_owned();
        let path = self.path(section.take("path"));
        let place = Place { account: account.id, kind: Kind::Role, index: account.roles.len() };
        let arn = arn(account, "role", &path, &name);
        let id = self.identify(&mut section, place, item, "AROA", &path, &arn);
        let trust = section.require("trust_policy", &mut self.faults);
        let trust = trust.and_then(|item| {
            let (policy, _) =
                self.policy(&item, format!("role/{name}/trust_policy"), Use::Trust)?;
            let (at, path) = (item.value_at(), item.path);
            self.trusts.push(Trust { at, path, policy: Arc::clone(&policy) });
            Some(policy)
        });
        let mut own = self.inline(&mut section, "role", &name, document::ROLE_INLINE);
        own.extend(self.attached(section.take("policies"), policies, MOST_ATTACHED));
        let boundary = section.take("permissions_boundary");
        let boundary = boundary.and_then(|item| self.referred(&item, policies));
        let tags = self.tags(section.take("tags"));
        let duration = section.take("max_session_duration");
        let max_session_duration = self.max_session_duration(duration);
        section.finish(&mut self.faults);
        // Without a trust policy there is a fault, and so no directory in the end.
        let Some(trust) = trust else {
            // Whoever trusts a session of this role shall not be told that the role is missing.
            account.role_names.insert(name, place.index);
            return;
        };
        account.role_names.insert(name.clone(), place.index);
        account.roles.push(Role {
            account: account.id,
            name,
            path,
            id,
            arn,
            trust,
            policies: own,
            boundary,
            tags,
            max_session_duration,
        });
    }

    fn max_session_duration(&mut self, item: Option<Item<'_>>) -> u32 {
        let Some(item) = item else { return SESSION_DURATION.0 };
        let Some(seconds) = item.integer(&mut self.faults) else { return SESSION_DURATION.0 };
        match u32::try_from(seconds) {
            Ok(seconds) if (SESSION_DURATION.0..=SESSION_DURATION.1).contains(&seconds) => seconds,
            _ => {
                item.fault(&mut self.faults, "expected 3600 to 43200 seconds");
                SESSION_DURATION.0
            }
        }
    }

    /// The unique id, given or derived, and the entries of the indices.
    fn identify(
        &mut self,
        section: &mut Section<'_>,
        place: Place,
        item: &Item<'_>,
        prefix: &str,
        path: &str,
        arn: &str,
    ) -> String {
        let given = section.take("id");
        let id = match given.as_ref().and_then(|item| item.string(&mut self.faults)) {
            Some(id) => id.to_owned(),
            None => unique_id::derive(prefix, place.account.as_str(), path, item.name),
        };
        let at = given.as_ref().unwrap_or(item);
        if let Err(message) = names::unique_id(&id, prefix) {
            at.fault(&mut self.faults, message);
        } else if self.directory.by_id.insert(id.clone(), place).is_some() {
            at.fault(&mut self.faults, format!("another principal has the id `{id}`"));
        }
        self.directory.by_arn.insert(arn.to_owned(), place);
        id
    }

    /// The inline policies of a principal or group.
    fn inline(
        &mut self,
        section: &mut Section<'_>,
        kind: &str,
        owner: &str,
        most: usize,
    ) -> Vec<Arc<NamedPolicy>> {
        let Some(item) = section.take("inline_policies") else { return Vec::new() };
        let Some(section) = item.section(&mut self.faults) else { return Vec::new() };
        let (mut policies, mut total) = (Vec::new(), 0);
        for entry in section.entries() {
            self.check_key(&entry, names::long_name);
            let name = format!("{kind}/{owner}/{}", entry.name);
            if let Some((policy, size)) = self.policy(&entry, name, Use::Inline) {
                total += size;
                policies.push(policy);
            }
        }
        if total > most {
            let message = format!("the inline policies have {total} characters, more than {most}");
            item.key_fault(&mut self.faults, message);
        }
        policies
    }

    pub(super) fn access_keys(&mut self, owner: Owner, item: &Item<'_>) {
        let Some(section) = item.section(&mut self.faults) else { return };
        let entries = section.entries();
        if entries.len() > MOST_ACCESS_KEYS {
            let message = format!("{} access keys, more than {MOST_ACCESS_KEYS}", entries.len());
            item.key_fault(&mut self.faults, message);
        }
        for entry in entries {
            self.check_key(&entry, names::access_key_id);
            let Some(mut section) = entry.section(&mut self.faults) else { continue };
            let secret = section.require("secret", &mut self.faults);
            let secret = self.checked(secret, sealed_secret);
            let active = section.take("active");
            let active = active.and_then(|item| item.boolean(&mut self.faults)).unwrap_or(true);
            section.finish(&mut self.faults);
            let Some((secret, _)) = secret else { continue };
            let id = entry.name.to_owned();
            let key = AccessKey { id: id.clone(), owner, active, secret: SealedSecret(secret) };
            if self.directory.access_keys.insert(id, key).is_some() {
                entry.key_fault(&mut self.faults, "this access key belongs to another owner, too");
            }
        }
    }
}

/// The form of a sealed secret; whether it opens is found out when it is used.
fn sealed_secret(text: &str) -> Result<(), &'static str> {
    let base64 = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    match text.len() {
        80..=512 if base64 => Ok(()),
        40 if base64 => {
            Err("this looks like a secret access key in the clear, which does not belong into \
                             a file: `keystead identity create-access-key` makes a sealed one")
        }
        _ => Err("expected a sealed secret as `keystead identity create-access-key` prints it"),
    }
}

/// Groups of a user (IAM quotas).
const MOST_GROUPS: usize = 10;
/// Managed policies attached to a user or role: the most that AWS raises the quota to.
const MOST_ATTACHED: usize = 20;
/// Managed policies attached to a group (IAM quotas).
const MOST_ATTACHED_TO_GROUPS: usize = 10;
/// Access keys of a user or root (IAM quotas).
const MOST_ACCESS_KEYS: usize = 2;
/// Default and least, and most, of MaxSessionDuration (IAM API reference).
const SESSION_DURATION: (u32, u32) = (3600, 43_200);
