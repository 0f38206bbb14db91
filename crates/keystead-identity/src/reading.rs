//! The format: TOML tables to a [`Directory`], with every fault on the way.
//!
//! Nothing stops at a fault but the reading of the value that has it, so that one run tells all.

mod checks;
mod principals;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystead_model::{AccountId, Partition};
use toml::de::DeTable;

use crate::directory::{
    Account, Directory, Guardrail, JwksSource, NamedPolicy, OidcProvider, Owner,
};
use crate::document::{self, Use};
use crate::fault::{Fault, Faults};
use crate::load::{DiskFiles, Files};
use crate::names;
use crate::section::{Item, Section};

impl Directory {
    /// Reads a file's text. Policy files and JWKS files are looked for in the directory of
    /// `origin`. Blocks while it reads them.
    ///
    /// # Errors
    /// Every fault, in the order of their places; up to 200, and then how many more there are.
    pub fn parse(origin: &Path, text: &str) -> Result<Self, Vec<Fault>> {
        Self::parse_with(origin, text, &mut DiskFiles::new())
    }

    /// The same, with the files it refers to from `files`.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn parse_with(
        origin: &Path,
        text: &str,
        files: &mut dyn Files,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(text.len(), |span| span.start);
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            faults.add(at, "", message);
        }
        // What a broken document seems to say would only add faults that are not there.
        if faults.is_empty() {
            let folder = origin.parent().unwrap_or(Path::new(""));
            let mut reading = Reading {
                faults,
                files,
                folder,
                directory: Self::default(),
                aliases: HashMap::new(),
                trusts: Vec::new(),
            };
            let mut root = Section::root(document.get_ref());
            if let Some(accounts) = root.take("accounts") {
                reading.accounts(&accounts);
            }
            root.finish(&mut reading.faults);
            reading.check_trusts();
            if reading.faults.is_empty() {
                return Ok(reading.directory);
            }
            faults = reading.faults;
        }
        Err(faults.into_sorted())
    }
}

/// A file half read.
struct Reading<'t, 'f> {
    faults: Faults<'t>,
    files: &'f mut dyn Files,
    folder: &'f Path,
    directory: Directory,
    /// Account aliases seen, which no two accounts share.
    aliases: HashMap<String, AccountId>,
    /// Trust policies, whose principals are looked for when all accounts are read.
    trusts: Vec<Trust>,
}

/// A trust policy and where it stands.
struct Trust {
    at: usize,
    path: String,
    policy: Arc<NamedPolicy>,
}

/// Policies that can be referred to, by name; `None` for one that has faults of its own.
type Policies = HashMap<String, Option<Arc<NamedPolicy>>>;

impl Reading<'_, '_> {
    fn accounts(&mut self, item: &Item<'_>) {
        let Some(section) = item.section(&mut self.faults) else { return };
        for item in section.entries() {
            match AccountId::parse(item.name) {
                Some(id) => self.account(id, &item),
                None => item.key_fault(&mut self.faults, "an account id has 12 digits"),
            }
        }
    }

    fn account(&mut self, id: AccountId, item: &Item<'_>) {
        let Some(mut section) = item.section(&mut self.faults) else { return };
        let alias = self.checked(section.take("alias"), names::alias);
        if let Some((alias, item)) = &alias
            && let Some(other) = self.aliases.insert(alias.clone(), id)
        {
            item.fault(&mut self.faults, format!("account {other} has this alias, too"));
        }
        let partition = self.partition(section.take("partition"));
        let organization_id = self.checked(section.take("organization_id"), names::organization_id);
        let organization_path =
            self.checked(section.take("organization_path"), names::organization_path);
        if let Some((path, item)) = &organization_path {
            let id = organization_id.as_ref().map(|(id, _)| id.as_str());
            if path.split('/').next() != id {
                item.fault(&mut self.faults, "the path does not begin with `organization_id`");
            }
        }
        let mut account = Account {
            id,
            alias: alias.map(|(alias, _)| alias),
            partition,
            root_arn: keystead_model::root_arn(partition, id),
            organization_id: organization_id.map(|(id, _)| id),
            organization_path: organization_path.map(|(path, _)| path),
            guardrails: Vec::new(),
            users: Vec::new(),
            roles: Vec::new(),
            user_names: HashMap::new(),
            role_names: HashMap::new(),
            policies: HashMap::new(),
            oidc_providers: HashMap::new(),
        };
        if let Some(root) = section.take("root") {
            self.root(id, &root);
        }
        if let Some(guardrails) = section.take("guardrails") {
            self.guardrails(&mut account, &guardrails);
        }
        let policies = match section.take("policies") {
            Some(policies) => self.managed_policies(&mut account, &policies),
            None => Policies::new(),
        };
        let groups = match section.take("groups") {
            Some(groups) => self.groups(&policies, &groups),
            None => HashMap::new(),
        };
        if let Some(users) = section.take("users") {
            self.users(&mut account, &policies, &groups, &users);
        }
        if let Some(roles) = section.take("roles") {
            self.roles(&mut account, &policies, &roles);
        }
        if let Some(providers) = section.take("oidc_providers") {
            self.oidc_providers(&mut account, &providers);
        }
        section.finish(&mut self.faults);
        self.directory.accounts.insert(id, account);
    }

    fn partition(&mut self, item: Option<Item<'_>>) -> Partition {
        const PARTITIONS: [Partition; 8] = [
            Partition::Aws,
            Partition::AwsCn,
            Partition::AwsUsGov,
            Partition::AwsEusc,
            Partition::AwsIso,
            Partition::AwsIsoB,
            Partition::AwsIsoE,
            Partition::AwsIsoF,
        ];
        let Some(item) = item else { return Partition::Aws };
        let Some(text) = item.string(&mut self.faults) else { return Partition::Aws };
        match PARTITIONS.iter().find(|partition| partition.as_str() == text) {
            Some(partition) => *partition,
            None => {
                let known = PARTITIONS.map(Partition::as_str).join("`, `");
                item.fault(&mut self.faults, format!("a partition is one of `{known}`"));
                Partition::Aws
            }
        }
    }

    fn root(&mut self, id: AccountId, item: &Item<'_>) {
        let Some(mut section) = item.section(&mut self.faults) else { return };
        if let Some(keys) = section.take("access_keys") {
            self.access_keys(Owner::Root(id), &keys);
        }
        section.finish(&mut self.faults);
    }

    fn guardrails(&mut self, account: &mut Account, item: &Item<'_>) {
        let Some(section) = item.section(&mut self.faults) else { return };
        for level in section.entries() {
            self.check_key(&level, names::long_name);
            let Some(section) = level.section(&mut self.faults) else { continue };
            let entries = section.entries();
            match entries.len() {
                0 => level.key_fault(
                    &mut self.faults,
                    "a level without a policy would allow nothing: give it one, or leave it out",
                ),
                1..=MOST_GUARDRAILS => {}
                more => level.key_fault(
                    &mut self.faults,
                    format!("{more} policies, more than {MOST_GUARDRAILS}"),
                ),
            }
            let mut policies = Vec::with_capacity(entries.len());
            for entry in entries {
                self.check_key(&entry, names::long_name);
                let name = format!("guardrail/{}/{}", level.name, entry.name);
                policies
                    .extend(self.policy(&entry, name, Use::Guardrail).map(|(policy, _)| policy));
            }
            account.guardrails.push(Guardrail { level: level.name.to_owned(), policies });
        }
    }

    fn managed_policies(&mut self, account: &mut Account, item: &Item<'_>) -> Policies {
        let Some(section) = item.section(&mut self.faults) else { return Policies::new() };
        let entries = section.entries();
        self.check_distinct(&entries);
        let mut policies = Policies::new();
        for entry in entries {
            self.check_key(&entry, names::long_name);
            let policy = self.managed_policy(account, &entry);
            policies.insert(entry.name.to_owned(), policy);
        }
        policies
    }

    fn managed_policy(
        &mut self,
        account: &mut Account,
        item: &Item<'_>,
    ) -> Option<Arc<NamedPolicy>> {
        let mut section = item.section(&mut self.faults)?;
        let path = self.path(section.take("path"));
        let document = section.require("document", &mut self.faults);
        section.finish(&mut self.faults);
        let arn = arn(account, "policy", &path, item.name);
        let (policy, _) = self.policy(&document?, arn.clone(), Use::Managed)?;
        account.policies.insert(arn, Arc::clone(&policy));
        Some(policy)
    }

    fn oidc_providers(&mut self, account: &mut Account, item: &Item<'_>) {
        let Some(section) = item.section(&mut self.faults) else { return };
        for entry in section.entries() {
            self.check_key(&entry, names::issuer);
            if let Some(provider) = self.oidc_provider(account, &entry) {
                account.oidc_providers.insert(provider.issuer.clone(), provider);
            }
        }
    }

    fn oidc_provider(&mut self, account: &Account, item: &Item<'_>) -> Option<OidcProvider> {
        let mut section = item.section(&mut self.faults)?;
        let client_ids = section.require("client_ids", &mut self.faults);
        let jwks = section.require("jwks", &mut self.faults);
        section.finish(&mut self.faults);
        let client_ids = client_ids.map(|item| {
            let ids = self.strings(&item, names::client_id);
            if ids.is_empty() {
                item.fault(&mut self.faults, "without a client id no token is accepted");
            }
            if ids.len() > MOST_CLIENT_IDS {
                let message = format!("{} client ids, more than {MOST_CLIENT_IDS}", ids.len());
                item.fault(&mut self.faults, message);
            }
            ids
        });
        let jwks = jwks.and_then(|item| self.jwks(&item));
        let name = item.name.strip_prefix("https://")?;
        Some(OidcProvider {
            account: account.id,
            issuer: item.name.to_owned(),
            arn: arn(account, "oidc-provider", "/", name),
            client_ids: client_ids?,
            jwks: jwks?,
        })
    }

    fn jwks(&mut self, item: &Item<'_>) -> Option<JwksSource> {
        let mut section = item.section(&mut self.faults)?;
        let (file, url) = (section.take("file"), section.take("url"));
        section.finish(&mut self.faults);
        match (file, url) {
            (Some(file), None) => {
                let path = self.file_path(&file)?;
                if let Err(message) = self.files.usable(&path) {
                    let message = format!("cannot use `{}`: {message}", path.display());
                    file.fault(&mut self.faults, message);
                }
                Some(JwksSource::File(path))
            }
            (None, Some(url)) => {
                let (url, _) = self.checked(Some(url), names::loopback_url)?;
                Some(JwksSource::Url(url))
            }
            _ => {
                item.fault(&mut self.faults, "expected one of `file` and `url`");
                None
            }
        }
    }

    /// A document: JSON text, or a table that names its file. With its size by IAM's count.
    fn policy(
        &mut self,
        item: &Item<'_>,
        name: String,
        place: Use,
    ) -> Option<(Arc<NamedPolicy>, usize)> {
        let from_file;
        let (text, origin) = if item.is_table() {
            let mut section = item.section(&mut self.faults)?;
            let file = section.require("file", &mut self.faults);
            section.finish(&mut self.faults);
            let file = file?;
            let path = self.file_path(&file)?;
            match self.files.policy(&path) {
                Ok(text) => from_file = text,
                Err(message) => {
                    let message = format!("cannot use `{}`: {message}", path.display());
                    file.fault(&mut self.faults, message);
                    return None;
                }
            }
            (from_file.as_str(), Some(path))
        } else {
            (item.string(&mut self.faults)?, None)
        };
        match document::read(text, place) {
            Ok(policy) => Some((Arc::new(NamedPolicy { name, policy }), document::size(text))),
            Err(message) => {
                let message = match origin {
                    Some(path) => format!("`{}`: {message}", path.display()),
                    None => message,
                };
                item.fault(&mut self.faults, message);
                None
            }
        }
    }

    fn file_path(&mut self, item: &Item<'_>) -> Option<PathBuf> {
        let text = item.string(&mut self.faults)?;
        if text.is_empty() || text.contains('\0') {
            item.fault(&mut self.faults, "expected the path of a file");
            return None;
        }
        Some(self.folder.join(text))
    }
}

/// `arn:<partition>:iam::<account>:<kind><path><name>`
fn arn(account: &Account, kind: &str, path: &str, name: &str) -> String {
    format!("arn:{}:iam::{}:{kind}{path}{name}", account.partition.as_str(), account.id)
}

/// Policies that can be attached to one level (Organizations quotas).
const MOST_GUARDRAILS: usize = 5;
/// Client ids of an OIDC provider (IAM quotas).
const MOST_CLIENT_IDS: usize = 100;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;
