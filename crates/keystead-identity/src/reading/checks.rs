//! Checks that several parts of the format share.

use std::collections::HashMap;
use std::sync::Arc;

use keystead_model::AccountId;

use super::{Policies, Reading};
use crate::directory::{Existence, NamedPolicy};
use crate::document::{self, Trusted};
use crate::names;
use crate::section::Item;

impl Reading<'_, '_> {
    /// A string that keeps a rule, with its place.
    pub(super) fn checked<'a>(
        &mut self,
        item: Option<Item<'a>>,
        rule: fn(&str) -> Result<(), &'static str>,
    ) -> Option<(String, Item<'a>)> {
        let item = item?;
        let text = item.string(&mut self.faults)?;
        match rule(text) {
            Ok(()) => Some((text.to_owned(), item)),
            Err(message) => {
                item.fault(&mut self.faults, message);
                None
            }
        }
    }

    /// A key that keeps a rule.
    pub(super) fn check_key(
        &mut self,
        item: &Item<'_>,
        rule: fn(&str) -> Result<(), &'static str>,
    ) {
        if let Err(message) = rule(item.name) {
            item.key_fault(&mut self.faults, message);
        }
    }

    /// Names that do not differ by case alone (IAM User Guide, quotas).
    pub(super) fn check_distinct(&mut self, entries: &[Item<'_>]) {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for entry in entries {
            if let Some(other) = seen.insert(entry.name.to_lowercase(), entry.name) {
                let message = format!("`{other}` differs from it by case alone");
                entry.key_fault(&mut self.faults, message);
            }
        }
    }

    /// A path, `/` if none is given or the one given is faulty.
    pub(super) fn path(&mut self, item: Option<Item<'_>>) -> String {
        self.checked(item, names::path).map_or_else(|| "/".to_owned(), |(path, _)| path)
    }

    /// The strings of an array, each of which keeps a rule and none of which comes twice.
    pub(super) fn strings(
        &mut self,
        item: &Item<'_>,
        rule: fn(&str) -> Result<(), &'static str>,
    ) -> Vec<String> {
        let mut strings: Vec<String> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for element in item.elements(&mut self.faults).unwrap_or_default() {
            if let Some((text, element)) = self.checked(Some(element), rule) {
                if seen.insert(text.clone()) {
                    strings.push(text);
                } else {
                    element.fault(&mut self.faults, format!("`{text}` comes twice"));
                }
            }
        }
        strings
    }

    /// Managed policies by name.
    pub(super) fn attached(
        &mut self,
        item: Option<Item<'_>>,
        policies: &Policies,
        most: usize,
    ) -> Vec<Arc<NamedPolicy>> {
        let Some(item) = item else { return Vec::new() };
        let mut attached: Vec<Arc<NamedPolicy>> = Vec::new();
        let elements = item.elements(&mut self.faults).unwrap_or_default();
        if elements.len() > most {
            let message = format!("{} policies attached, more than {most}", elements.len());
            item.fault(&mut self.faults, message);
        }
        for element in elements.into_iter().take(most) {
            let Some(policy) = self.referred(&element, policies) else { continue };
            if attached.iter().any(|other| Arc::ptr_eq(other, &policy)) {
                element.fault(&mut self.faults, "this policy is attached twice");
            } else {
                attached.push(policy);
            }
        }
        attached
    }

    /// The managed policy that a string names.
    pub(super) fn referred(
        &mut self,
        item: &Item<'_>,
        policies: &Policies,
    ) -> Option<Arc<NamedPolicy>> {
        let name = item.string(&mut self.faults)?;
        if let Some(found) = policies.get(name) {
            return found.clone();
        }
        let like = policies.keys().find(|other| other.eq_ignore_ascii_case(name));
        let message = if let Some(other) = like {
            format!("the account's policy is spelt `{other}`")
        } else if name.starts_with("arn:") {
            "policies are named without their ARN, and those of AWS are not built in: write the document \
             into `policies` of the account"
                .to_owned()
        } else {
            format!("the account has no policy `{}`", name.escape_debug())
        };
        item.fault(&mut self.faults, message);
        None
    }

    /// Tags, ascending by key.
    pub(super) fn tags(&mut self, item: Option<Item<'_>>) -> Vec<(String, String)> {
        let Some(item) = item else { return Vec::new() };
        let Some(section) = item.section(&mut self.faults) else { return Vec::new() };
        let entries = section.entries();
        if entries.len() > MOST_TAGS {
            let message = format!("{} tags, more than {MOST_TAGS}", entries.len());
            item.key_fault(&mut self.faults, message);
        }
        self.check_distinct(&entries);
        let mut tags = Vec::with_capacity(entries.len());
        for entry in entries {
            self.check_key(&entry, names::tag_key);
            let key = entry.name.to_owned();
            if let Some((value, _)) = self.checked(Some(entry), names::tag_value) {
                tags.push((key, value));
            }
        }
        tags.sort();
        tags
    }

    /// Principals that trust policies name: those of accounts in the file must exist.
    pub(super) fn check_trusts(&mut self) {
        for trust in std::mem::take(&mut self.trusts) {
            for trusted in document::trusted(&trust.policy.policy) {
                let (missing, text) = match trusted {
                    Trusted::Principal(arn) => (
                        self.directory.principal_exists(arn) == Existence::Missing,
                        format!("there is no principal `{}`", arn.escape_debug()),
                    ),
                    Trusted::Provider(arn) => (
                        self.lacks_provider(arn),
                        format!("there is no identity provider `{}`", arn.escape_debug()),
                    ),
                };
                if missing {
                    self.faults.add(trust.at, &trust.path, text);
                }
            }
        }
    }

    /// Whether a federated principal is an ARN of an account in the file that has no such provider.
    fn lacks_provider(&self, arn: &str) -> bool {
        let account = arn.split(':').nth(4).and_then(AccountId::parse);
        account
            .and_then(|account| self.directory.account(account))
            .is_some_and(|account| account.oidc_providers().all(|provider| provider.arn != arn))
    }
}

/// Tags of a user or role (IAM quotas).
const MOST_TAGS: usize = 50;
