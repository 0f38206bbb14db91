//! What must hold among the records of any store, whatever happened to it: read from the store
//! itself, by the paths and members of docs/formats.md, and not by the code that wrote them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};
use keystead_crypto::RecordKey;
use keystead_model::OriginType;
use keystead_service::Service;
use keystead_service::records::{
    AliasRecord, DueRecord, GrantRecord, KeyRecord, MaterialEntry, PolicyRecord, ReferenceRecord,
    UsageRecord, decode,
};
use keystead_service::state::State;
use keystead_store::KeyRange;
use serde::de::DeserializeOwned;

/// How many records are read at a time.
const PAGE: usize = 1_000;

/// What a sound store was found to hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Keys, each Region's of a multi-Region key by itself.
    pub keys: usize,
    /// Aliases.
    pub aliases: usize,
    /// Grants.
    pub grants: usize,
    /// Key materials that are there.
    pub materials: usize,
}

/// Reads the whole store of a service that is at rest, and checks every record and every tie
/// between records: counters, indexes, related keys, key material, due records.
///
/// # Errors
/// The first thing that is not as it must be, or a failing store.
pub async fn check(service: &Service) -> anyhow::Result<Census> {
    let mut rows = BTreeMap::new();
    let mut range = KeyRange::all();
    loop {
        let page = service.store().scan(range.clone(), PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        range = range.after(last);
        for (path, found) in page {
            rows.insert(String::from_utf8(path)?, found.value);
        }
    }
    Rows { rows, record_key: service.keyring().record_key() }.check()
}

struct Rows<'s> {
    rows: BTreeMap<String, Vec<u8>>,
    record_key: &'s RecordKey,
}

impl Rows<'_> {
    fn check(&self) -> anyhow::Result<Census> {
        let mut census = Census::default();
        // Entries of indexes and key material: what the records say must be there, and no more.
        let mut expected: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (path, _) in self.under("key/") {
            let key: KeyRecord = self.record(path)?;
            ensure!(
                path == format!("key/{}/{}/{}", key.account, key.region, key.id),
                "{path}: the record of another key"
            );
            self.check_key(&key, &mut expected).with_context(|| path.to_owned())?;
            census.keys += 1;
        }
        for (path, _) in self.under("alias/") {
            let alias: AliasRecord = self.record(path)?;
            let rest = path.trim_start_matches("alias/");
            let [account, region, name] = split(rest)?;
            let key = format!("{account}/{region}/{}", alias.target);
            ensure!(self.rows.contains_key(&format!("key/{key}")), "{path}: no key");
            expected.insert(format!("key-alias/{key}/{name}"), None);
            census.aliases += 1;
        }
        for (path, _) in self.under("grant/") {
            self.check_grant(path, &mut expected).with_context(|| path.to_owned())?;
            census.grants += 1;
        }
        for prefix in ["key-alias/", "grantee/", "retirable/", "grant-name/", "material/"] {
            for (path, value) in self.under(prefix) {
                let said = expected.remove(path).with_context(|| format!("{path}: of nothing"))?;
                match said {
                    Some(content) => ensure!(value == content.as_bytes(), "{path}: another"),
                    None if prefix == "material/" => census.materials += 1,
                    None => ensure!(value.is_empty(), "{path}: not empty"),
                }
            }
        }
        if let Some((path, _)) = expected.first_key_value() {
            bail!("{path}: missing");
        }
        self.check_the_rest()?;
        Ok(census)
    }

    fn check_key(
        &self,
        key: &KeyRecord,
        expected: &mut BTreeMap<String, Option<String>>,
    ) -> anyhow::Result<()> {
        let place = format!("{}/{}/{}", key.account, key.region, key.id);
        let grants = self.under(&format!("grant/{place}/")).count();
        ensure!(key.grants as usize == grants, "counts {} grants of {grants}", key.grants);
        let aliases = self.under(&format!("key-alias/{place}/")).count();
        ensure!(key.aliases as usize == aliases, "counts {} aliases of {aliases}", key.aliases);
        let _: PolicyRecord = self.record(&format!("policy/{place}"))?;

        let mut regions = BTreeSet::from([key.region.to_string()]);
        if let Some(all) = &key.multi_region {
            ensure!(!all.replicas.contains(&all.primary.to_string()), "primary and replica");
            ensure!(all.replicas.is_sorted(), "replicas out of order");
            regions = all.replicas.iter().cloned().chain([all.primary.to_string()]).collect();
            ensure!(regions.len() == all.replicas.len() + 1, "a replica twice");
            ensure!(regions.contains(key.region.as_str()), "a stranger among its related keys");
            for region in &regions {
                let other = format!("key/{}/{region}/{}", key.account, key.id);
                let other: KeyRecord = self.record(&other)?;
                let theirs = other.multi_region.as_ref().context("a related key that is alone")?;
                ensure!(theirs.primary == all.primary, "{region} has another primary key");
                ensure!(theirs.replicas == all.replicas, "{region} has other replicas");
                ensure!(materials(&other) == materials(key), "{region} has other materials");
                ensure!(other.rotation == key.rotation, "{region} has another rotation");
                ensure!(other.public_key == key.public_key || key.origin != OriginType::AwsKms);
            }
        }
        let reference: ReferenceRecord = self.record(&format!("ref/{}", key.id))?;
        ensure!(reference.account == key.account, "referred to another account");
        let held: BTreeSet<String> = reference.regions.iter().cloned().collect();
        ensure!(held == regions && held.len() == reference.regions.len(), "referred to {held:?}");

        let current = key.materials.iter().filter(|entry| entry.current).count();
        ensure!(current == usize::from(!key.materials.is_empty()), "{current} current materials");
        for entry in &key.materials {
            if entry.imported.as_ref().is_none_or(|imported| imported.present) {
                let path = format!("material/{}/{}/{}", key.account, key.id, name(entry));
                expected.insert(path, None);
            }
            if let Some(end) = entry.imported.as_ref().and_then(|imported| imported.valid_to) {
                self.is_due(key, end).context("an expiry")?;
            }
        }
        if let State::PendingDeletion { deletion, .. } = key.state {
            self.is_due(key, deletion).context("a deletion")?;
        }
        if let Some(settling) = &key.settling {
            self.is_due(key, settling.at).context("the end of a passing state")?;
        }
        if !key.is_replica() {
            if let Some(on_demand) = &key.on_demand {
                self.is_due(key, on_demand.completes).context("a rotation on demand")?;
            }
            if let Some(rotation) = key.rotation.as_ref().filter(|_| key.state == State::Enabled) {
                self.is_due(key, rotation.next).context("a rotation")?;
            }
        }
        Ok(())
    }

    fn is_due(&self, key: &KeyRecord, moment: i64) -> anyhow::Result<()> {
        let (account, region, id) = (key.account, &key.region, key.id);
        let due: DueRecord = self.record(&format!("due/{moment:016x}/{account}/{region}/{id}"))?;
        ensure!((due.account, &due.region, due.id) == (account, region, id), "due for another key");
        Ok(())
    }

    fn check_grant(
        &self,
        path: &str,
        expected: &mut BTreeMap<String, Option<String>>,
    ) -> anyhow::Result<()> {
        let grant: GrantRecord = self.record(path)?;
        let [account, region, key, id] = split(path.trim_start_matches("grant/"))?;
        ensure!(self.rows.contains_key(&format!("key/{account}/{region}/{key}")), "no key");
        expected.insert(format!("grantee/{account}/{region}/{key}/{}|{id}", grant.grantee), None);
        if let Some(principal) = &grant.retiring {
            expected.insert(format!("retirable/{region}/{principal}|{account}/{key}/{id}"), None);
        }
        if grant.name.is_some() {
            let same = serde_json::to_vec(&GrantRecord { created: 0, ..grant })?;
            let tag = self.record_key.tag(b"grant-name", &same);
            let print: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
            let path = format!("grant-name/{account}/{region}/{key}/{print}");
            let earlier = expected.insert(path, Some(id.to_owned()));
            ensure!(earlier.is_none(), "a second grant with this name and these properties");
        }
        Ok(())
    }

    fn check_the_rest(&self) -> anyhow::Result<()> {
        for path in self.rows.keys() {
            let (kind, rest) = path.split_once('/').with_context(|| path.to_owned())?;
            let has_key = |place: &str| self.rows.contains_key(&format!("key/{place}"));
            match kind {
                "key" | "alias" | "key-alias" | "grant" | "grantee" | "retirable"
                | "grant-name" | "material" => {}
                "policy" => ensure!(has_key(rest), "{path}: no key"),
                "usage" => {
                    ensure!(has_key(rest), "{path}: no key");
                    let _: UsageRecord = self.record(path)?;
                }
                "ref" => {
                    let reference: ReferenceRecord = self.record(path)?;
                    ensure!(!reference.regions.is_empty(), "{path}: no Region");
                    for region in &reference.regions {
                        let place = format!("{}/{region}/{rest}", reference.account);
                        ensure!(has_key(&place), "{path}: no key in {region}");
                    }
                }
                "due" => {
                    let _: DueRecord = self.record(path)?;
                }
                "meta" => ensure!(
                    rest.starts_with("domain/")
                        || ["store", "record-key", "tracking", "access-keys", "grantees"]
                            .contains(&rest),
                    "{path}: unknown"
                ),
                // A grave among others: key material that was not erased in time.
                _ => bail!("{path}: left over, or unknown"),
            }
        }
        Ok(())
    }

    fn under(&self, prefix: &str) -> impl Iterator<Item = (&str, &[u8])> {
        self.rows
            .range(prefix.to_owned()..)
            .take_while(move |(path, _)| path.starts_with(prefix))
            .map(|(path, value)| (path.as_str(), value.as_slice()))
    }

    fn record<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let value = self.rows.get(path).with_context(|| format!("{path}: missing"))?;
        Ok(decode(self.record_key, path.as_bytes(), value)?)
    }
}

/// What related keys share of their materials.
fn materials(key: &KeyRecord) -> Vec<(String, bool, bool)> {
    let shared = |entry: &MaterialEntry| {
        let pending = entry.imported.as_ref().is_some_and(|imported| imported.pending);
        (entry.id.to_string(), entry.current, pending)
    };
    key.materials.iter().map(shared).collect()
}

/// The last component of the path of a material.
fn name(entry: &MaterialEntry) -> String {
    match &entry.imported {
        Some(imported) => match (&imported.region, imported.generation) {
            (Some(region), generation) => format!("{}.{generation}.{region}", entry.id),
            (None, 0) => entry.id.to_string(),
            (None, generation) => format!("{}.{generation}", entry.id),
        },
        None => entry.id.to_string(),
    }
}

/// The components of a path; the last one may hold slashes.
fn split<const N: usize>(path: &str) -> anyhow::Result<[&str; N]> {
    let parts: Vec<&str> = path.splitn(N, '/').collect();
    parts.try_into().map_err(|_| anyhow::anyhow!("{path}: too short"))
}
