//! Where each record lives in the store: the one place that spells store keys.
//!
//! | path | record |
//! | --- | --- |
//! | `meta/store` | format, store id, root key slot and check value |
//! | `meta/domain/<epoch>` | a domain key epoch, wrapped by the root key |
//! | `meta/record-key` | the record key, wrapped by the domain key |
//! | `meta/tracking` | since when uses of keys are recorded |
//! | `meta/access-keys` | the key that seals access keys, wrapped by the domain key |
//! | `meta/grantees` | stands once every grant is found by its grantee |
//! | `key/<account>/<region>/<key id>` | a key as one Region sees it |
//! | `policy/<account>/<region>/<key id>` | its key policy |
//! | `ref/<key id>` | which account and Regions hold the key id |
//! | `material/<account>/<key id>/<material id>` | key material, wrapped by the domain key |
//! | `alias/<account>/<region>/<alias name>` | an alias |
//! | `key-alias/<account>/<region>/<key id>/<alias name>` | the same, by key |
//! | `due/<milliseconds, 16 hex digits>/<account>/<region>/<key id>` | what is due for a key: a deletion, a rotation, an expiry, the end of a passing state |
//! | `grant/<account>/<region>/<key id>/<grant id>` | a grant |
//! | `retirable/<region>/<principal>\|<account>/<key id>/<grant id>` | the same, by retiring principal |
//! | `grantee/<account>/<region>/<key id>/<principal>\|<grant id>` | the same, by grantee |
//! | `grant-name/<account>/<region>/<key id>/<fingerprint>` | the id of the grant with this name and these properties |
//! | `usage/<account>/<region>/<key id>` | the last use of a key |
//! | `grave/<account>/<key id>/<Region or material>` | key material that must still be erased |
//!
//! Key material has no Region: the related keys of a multi-Region key share it.

use keystead_model::{AccountId, KeyId, KeyMaterialId, Region};

/// A store key.
pub type Path = Vec<u8>;

pub(crate) const STORE: &[u8] = b"meta/store";
pub(crate) const RECORD_KEY: &[u8] = b"meta/record-key";
pub(crate) const TRACKING: &[u8] = b"meta/tracking";
pub(crate) const ACCESS_KEYS: &[u8] = b"meta/access-keys";

/// What the paths of the store's own keys begin with.
pub const META: &[u8] = b"meta/";
pub(crate) const DOMAINS: &[u8] = b"meta/domain/";
pub(crate) const MATERIALS: &[u8] = b"material/";
pub(crate) const DUE: &[u8] = b"due/";
pub(crate) const GRANTS: &[u8] = b"grant/";
/// Stands once every grant is found by its grantee.
pub(crate) const GRANTEES: &[u8] = b"meta/grantees";
pub(crate) const GRAVES: &[u8] = b"grave/";

pub(crate) fn domain(epoch: u32) -> Path {
    format!("meta/domain/{epoch:08x}").into_bytes()
}

/// The key record's path; public so that tests can lay fixture records.
pub fn key(account: AccountId, region: &Region, key: KeyId) -> Path {
    format!("key/{account}/{region}/{key}").into_bytes()
}

pub(crate) fn keys(account: AccountId, region: &Region) -> Path {
    format!("key/{account}/{region}/").into_bytes()
}

/// The path of a key's policy record.
pub fn policy(account: AccountId, region: &Region, key: KeyId) -> Path {
    format!("policy/{account}/{region}/{key}").into_bytes()
}

/// The path of the record that says who holds a key id.
pub fn reference(key: KeyId) -> Path {
    format!("ref/{key}").into_bytes()
}

/// A key material by the last component of its path.
pub(crate) fn material_by_name(account: AccountId, key: KeyId, name: &str) -> Path {
    format!("material/{account}/{key}/{name}").into_bytes()
}

/// The path of one key material's wrapped bytes.
pub fn material(account: AccountId, key: KeyId, material: KeyMaterialId) -> Path {
    format!("material/{account}/{key}/{material}").into_bytes()
}

/// The path of an alias.
pub fn alias(account: AccountId, region: &Region, name: &str) -> Path {
    format!("alias/{account}/{region}/{name}").into_bytes()
}

pub(crate) fn aliases(account: AccountId, region: &Region) -> Path {
    format!("alias/{account}/{region}/").into_bytes()
}

/// The path under which the same alias is found by its key.
pub fn key_alias(account: AccountId, region: &Region, key: KeyId, name: &str) -> Path {
    format!("key-alias/{account}/{region}/{key}/{name}").into_bytes()
}

pub(crate) fn key_aliases(account: AccountId, region: &Region, key: KeyId) -> Path {
    format!("key-alias/{account}/{region}/{key}/").into_bytes()
}

pub(crate) fn due(moment: i64, account: AccountId, region: &Region, key: KeyId) -> Path {
    format!("due/{:016x}/{account}/{region}/{key}", moment.max(0)).into_bytes()
}

/// The first path after everything due at `moment`.
pub(crate) fn due_after(moment: i64) -> Path {
    format!("due/{:016x}/", moment.max(0).saturating_add(1)).into_bytes()
}

/// The path of a grant.
pub fn grant(account: AccountId, region: &Region, key: KeyId, id: &str) -> Path {
    format!("grant/{account}/{region}/{key}/{id}").into_bytes()
}

pub(crate) fn grants(account: AccountId, region: &Region, key: KeyId) -> Path {
    format!("grant/{account}/{region}/{key}/").into_bytes()
}

/// No principal holds a `|`, so that one is never the beginning of another.
pub(crate) fn retirable(
    region: &Region,
    principal: &str,
    account: AccountId,
    key: KeyId,
    id: &str,
) -> Path {
    format!("retirable/{region}/{principal}|{account}/{key}/{id}").into_bytes()
}

pub(crate) fn retirables(region: &Region, principal: &str) -> Path {
    format!("retirable/{region}/{principal}|").into_bytes()
}

/// The path under which a grant is found by its grantee.
pub(crate) fn grantee(
    account: AccountId,
    region: &Region,
    key: KeyId,
    principal: &str,
    id: &str,
) -> Path {
    format!("grantee/{account}/{region}/{key}/{principal}|{id}").into_bytes()
}

pub(crate) fn granted_to(account: AccountId, region: &Region, key: KeyId, principal: &str) -> Path {
    format!("grantee/{account}/{region}/{key}/{principal}|").into_bytes()
}

pub(crate) fn grant_name(
    account: AccountId,
    region: &Region,
    key: KeyId,
    fingerprint: &str,
) -> Path {
    format!("grant-name/{account}/{region}/{key}/{fingerprint}").into_bytes()
}

pub(crate) fn usage(account: AccountId, region: &Region, key: KeyId) -> Path {
    format!("usage/{account}/{region}/{key}").into_bytes()
}

pub(crate) fn grave_of(account: AccountId, key: KeyId, name: &str) -> Path {
    format!("grave/{account}/{key}/{name}").into_bytes()
}

/// The last component of a path, or of an alias path the name from `alias/` on.
pub(crate) fn tail<'p>(path: &'p [u8], prefix: &[u8]) -> Option<&'p str> {
    std::str::from_utf8(path.strip_prefix(prefix)?).ok()
}
