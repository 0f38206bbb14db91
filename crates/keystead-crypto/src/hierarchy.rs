//! Root key → domain keys → wrapped records.
//!
//! A store has one domain key per epoch, numbered from 1; the highest epoch is the current one and
//! wraps what is written, older ones are kept until no record names them. The root key wraps the
//! domain keys and nothing else. From each domain key one sub-key per purpose is derived (KBKDF),
//! and from that a fresh key for each wrapped record, so that no AES-GCM key but the root key ever
//! encrypts twice.
//!
//! | wrapped domain key | bytes | | wrapped record | bytes |
//! | --- | --- | --- | --- | --- |
//! | format `01` | 1 | | format `01` | 1 |
//! | epoch, be32 | 4 | | epoch, be32 | 4 |
//! | IV | 12 | | N | 16 |
//! | domain key, encrypted | 32 | | IV | 12 |
//! | tag | 16 | | content, encrypted | n |
//! | | | | tag | 16 |
//!
//! - Sub-key: KBKDF-CTR-HMAC-SHA-256(domain key, `label ‖ 00 ‖ be32(256)`), the label being that of
//!   the purpose.
//! - Key of a record: KBKDF-CTR-HMAC-SHA-256(sub-key, `"keystead/v1/record" ‖ 00 ‖ N ‖ be32(256)`).
//! - Authenticated data: all that precedes the ciphertext, then `be32(number of fields)` and each
//!   field with its be32 length. The first field is the label of the purpose. Further fields: of a
//!   domain key the store id; of key material account, key id, key spec and material id (never the
//!   Region, which replicas do not share); of the record key, of the key that seals access keys
//!   and of the one that signs the audit log the store id; of a marker or token what the caller
//!   gives.
//! - The content is 32 bytes of symmetric material, of the record key, of the sealing key or of the
//!   seed of the signing key, PKCS #8 of any length, an HMAC key, or what a marker or token carries.

mod access_keys;
mod audit_key;
mod secrets;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::constant_time;
use zeroize::Zeroizing;

use crate::arena::{Area, ArenaKey, KEY_LEN};
use crate::error::{CryptoError, UnwrapError};
use crate::framing;
use crate::material::SymmetricMaterial;
use crate::primitive::{self, IV_LEN, NONCE_LEN, TAG_LEN};
use crate::provider::RootKey;
use crate::random;
use crate::record_key::RecordKey;

pub use secrets::{InvalidToken, MAX_SECRET};

/// The domain keys of a store, one per epoch; never without one.
///
/// Cloning copies no key: the clones share them. So a holder can change a clone and then put it in
/// place of the original, while requests in flight go on with the latter.
#[derive(Clone, Debug)]
pub struct DomainKeys {
    store_id: [u8; 16],
    // INVARIANT: holds `current`, which is its highest epoch.
    epochs: BTreeMap<u32, Arc<Epoch>>,
    current: u32,
}

impl DomainKeys {
    /// The first domain key of a new store, epoch 1.
    ///
    /// # Errors
    /// [`CryptoError::Random`], [`CryptoError::SecretMemory`], [`CryptoError::Library`].
    pub fn generate(store_id: [u8; 16]) -> Result<Self, CryptoError> {
        let mut keys = Self { store_id, epochs: BTreeMap::new(), current: 0 };
        keys.add_epoch()?;
        Ok(keys)
    }

    /// Unwraps the domain keys of a store: pairs of epoch and wrapped domain key.
    ///
    /// # Errors
    /// Those of [`unwrap_epoch`](Self::unwrap_epoch), and [`UnwrapError::NoEpoch`] when there is no
    /// record at all.
    pub fn unwrap(
        store_id: [u8; 16],
        root: &RootKey,
        records: impl IntoIterator<Item = (u32, impl AsRef<[u8]>)>,
    ) -> Result<Self, UnwrapError> {
        let mut keys = Self { store_id, epochs: BTreeMap::new(), current: 0 };
        for (epoch, record) in records {
            keys.unwrap_epoch(root, epoch, record.as_ref())?;
        }
        if keys.epochs.is_empty() { Err(UnwrapError::NoEpoch) } else { Ok(keys) }
    }

    /// Adds a new random domain key, which is the current one from now on, and tells its epoch. Its
    /// wrapped form must be durable in the store before anything wrapped under it is.
    ///
    /// # Errors
    /// [`CryptoError::EpochsExhausted`], and those of [`generate`](Self::generate).
    pub fn add_epoch(&mut self) -> Result<u32, CryptoError> {
        let number = self.current.checked_add(1).ok_or(CryptoError::EpochsExhausted)?;
        let epoch = Epoch::new(ArenaKey::random(Area::Roots)?)?;
        self.epochs.insert(number, Arc::new(epoch));
        self.current = number;
        Ok(number)
    }

    /// Wraps a domain key under `root`: 65 bytes. Also the way to move to another root key.
    ///
    /// # Errors
    /// [`CryptoError::UnknownEpoch`], [`CryptoError::Random`], [`CryptoError::Library`].
    pub fn wrap_epoch(&self, root: &RootKey, epoch: u32) -> Result<Vec<u8>, CryptoError> {
        let domain_key = self.epoch(epoch)?.domain_key.expose();
        let iv = random::random_bytes::<IV_LEN>()?;
        let mut record = head(epoch).to_vec();
        record.extend_from_slice(&iv);
        let aad = framing::authenticated(&record, &[DOMAIN_KEY, &self.store_id]);
        seal_onto(record, root.expose(), &iv, &aad, domain_key)
    }

    /// Unwraps a domain key and adds it; the highest epoch is the current one. Replaces a key of
    /// the same epoch.
    ///
    /// # Errors
    /// [`UnwrapError::Format`], [`UnwrapError::UnknownEpoch`] when the record names another epoch
    /// than `epoch` or epoch 0, [`UnwrapError::Authentication`] when it was changed, or wrapped by
    /// another root key or for another store.
    pub fn unwrap_epoch(
        &mut self,
        root: &RootKey,
        epoch: u32,
        record: &[u8],
    ) -> Result<(), UnwrapError> {
        const AAD_LEN: usize = HEAD_LEN + IV_LEN;
        let named = read_head(record)?;
        if record.len() != AAD_LEN + KEY_LEN + TAG_LEN {
            return Err(UnwrapError::Format(None));
        }
        if named != epoch || epoch == 0 {
            return Err(UnwrapError::UnknownEpoch(named));
        }
        let aad = framing::authenticated(&record[..AAD_LEN], &[DOMAIN_KEY, &self.store_id]);
        let mut iv = [0; IV_LEN];
        iv.copy_from_slice(&record[HEAD_LEN..AAD_LEN]);
        let (ciphertext, tag) = record[AAD_LEN..].split_at(KEY_LEN);
        let domain_key = ArenaKey::filled(Area::Roots, |slot| {
            primitive::open(root.expose(), &iv, &aad, ciphertext, tag, slot)
                .map_err(|_| UnwrapError::Authentication)
        })?;
        self.epochs.insert(epoch, Arc::new(Epoch::new(domain_key)?));
        self.current = self.current.max(epoch);
        Ok(())
    }

    /// Forgets an old domain key. Whatever is still wrapped under it is lost, so first make sure
    /// that no record names it ([`wrapped_epoch`]).
    ///
    /// # Errors
    /// [`CryptoError::CurrentEpoch`], [`CryptoError::UnknownEpoch`].
    pub fn drop_epoch(&mut self, epoch: u32) -> Result<(), CryptoError> {
        if epoch == self.current {
            return Err(CryptoError::CurrentEpoch(epoch));
        }
        self.epochs.remove(&epoch).map(|_| ()).ok_or(CryptoError::UnknownEpoch(epoch))
    }

    /// The epoch under which records are wrapped.
    #[must_use]
    pub fn current_epoch(&self) -> u32 {
        self.current
    }

    /// All epochs held, ascending.
    pub fn epochs(&self) -> impl Iterator<Item = u32> + '_ {
        self.epochs.keys().copied()
    }

    /// The store these keys belong to.
    #[must_use]
    pub fn store_id(&self) -> &[u8; 16] {
        &self.store_id
    }

    /// Wraps key material under the current epoch: 81 bytes.
    ///
    /// # Errors
    /// [`CryptoError::Random`], [`CryptoError::Library`].
    pub fn wrap_material(
        &self,
        context: &MaterialContext<'_>,
        material: &SymmetricMaterial,
    ) -> Result<Vec<u8>, CryptoError> {
        self.wrap(Purpose::Material, &context.fields(), material.expose())
    }

    /// Unwraps key material into the arena and checks that it is the one whose id the context
    /// names.
    ///
    /// # Errors
    /// [`UnwrapError`]; a record moved to another account, key, spec or material id does not
    /// authenticate, nor does one that holds other material, even if rightly wrapped.
    pub fn unwrap_material(
        &self,
        context: &MaterialContext<'_>,
        record: &[u8],
    ) -> Result<SymmetricMaterial, UnwrapError> {
        let material = self
            .unwrap_key(Purpose::Material, Area::Keys, &context.fields(), record)
            .map(SymmetricMaterial::from_key)?;
        let id = material.id(context.key_id, context.spec)?;
        constant_time::verify_slices_are_equal(&id, context.material_id)
            .map_err(|_| UnwrapError::Authentication)?;
        Ok(material)
    }

    /// Brings wrapped key material to the current epoch; `None` when it is there already.
    ///
    /// # Errors
    /// Those of unwrapping and wrapping.
    pub fn rewrap_material(
        &self,
        context: &MaterialContext<'_>,
        record: &[u8],
    ) -> Result<Option<Vec<u8>>, UnwrapError> {
        if read_head(record)? == self.current {
            return Ok(None);
        }
        let material = self.unwrap_material(context, record)?;
        Ok(Some(self.wrap_material(context, &material)?))
    }

    /// Wraps the record key of the store under the current epoch: 81 bytes.
    ///
    /// # Errors
    /// [`CryptoError::Random`], [`CryptoError::Library`].
    pub fn wrap_record_key(&self, key: &RecordKey) -> Result<Vec<u8>, CryptoError> {
        self.wrap(Purpose::RecordKey, &[&self.store_id], key.expose())
    }

    /// Unwraps the record key of the store.
    ///
    /// # Errors
    /// [`UnwrapError`].
    pub fn unwrap_record_key(&self, record: &[u8]) -> Result<RecordKey, UnwrapError> {
        self.unwrap_key(Purpose::RecordKey, Area::Roots, &[&self.store_id], record)
            .map(RecordKey::from_key)
    }

    /// Brings the wrapped record key to the current epoch; `None` when it is there already.
    ///
    /// # Errors
    /// Those of unwrapping and wrapping.
    pub fn rewrap_record_key(&self, record: &[u8]) -> Result<Option<Vec<u8>>, UnwrapError> {
        if read_head(record)? == self.current {
            return Ok(None);
        }
        let key = self.unwrap_record_key(record)?;
        Ok(Some(self.wrap_record_key(&key)?))
    }

    /// Seals a pagination marker, 49 bytes longer than `content`. It opens only with the same
    /// `aad`: put account, Region and operation there.
    ///
    /// # Errors
    /// [`CryptoError::Random`], [`CryptoError::Library`].
    pub fn seal_marker(&self, aad: &[u8], content: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.wrap(Purpose::Marker, &[aad], content)
    }

    /// Opens a pagination marker, for any bytes whatever.
    ///
    /// # Errors
    /// [`InvalidMarker`]: not one of ours, changed, or made for something else.
    pub fn open_marker(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, InvalidMarker> {
        let len = sealed.len().checked_sub(RECORD_OVERHEAD).ok_or(InvalidMarker)?;
        let mut content = vec![0; len];
        self.unwrap_into(Purpose::Marker, &[aad], sealed, &mut content)
            .map_err(|_| InvalidMarker)?;
        Ok(content)
    }

    fn epoch(&self, epoch: u32) -> Result<&Epoch, CryptoError> {
        self.epochs.get(&epoch).map(Arc::as_ref).ok_or(CryptoError::UnknownEpoch(epoch))
    }

    fn wrap(
        &self,
        purpose: Purpose,
        fields: &[&[u8]],
        content: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let random = random::random_bytes::<{ NONCE_LEN + IV_LEN }>()?;
        let mut record = Vec::with_capacity(RECORD_OVERHEAD + content.len());
        record.extend_from_slice(&head(self.current));
        record.extend_from_slice(&random);
        let once = Once::new(self.epoch(self.current)?.sub_key(purpose), &random)?;
        let aad = purpose.authenticated(&record, fields);
        seal_onto(record, &once.key, &once.iv, &aad, content)
    }

    fn unwrap_key(
        &self,
        purpose: Purpose,
        area: Area,
        fields: &[&[u8]],
        record: &[u8],
    ) -> Result<ArenaKey, UnwrapError> {
        ArenaKey::filled(area, |slot| self.unwrap_into(purpose, fields, record, slot))
    }

    fn unwrap_into(
        &self,
        purpose: Purpose,
        fields: &[&[u8]],
        record: &[u8],
        content: &mut [u8],
    ) -> Result<(), UnwrapError> {
        let epoch = read_head(record)?;
        if record.len() != RECORD_OVERHEAD + content.len() {
            return Err(UnwrapError::Format(None));
        }
        let keys = self.epoch(epoch).map_err(|_| UnwrapError::UnknownEpoch(epoch))?;
        let (before, rest) = record.split_at(HEAD_LEN + NONCE_LEN + IV_LEN);
        let (ciphertext, tag) = rest.split_at(content.len());
        let once = Once::new(keys.sub_key(purpose), &before[HEAD_LEN..])?;
        let aad = purpose.authenticated(before, fields);
        primitive::open(&once.key, &once.iv, &aad, ciphertext, tag, content)
            .map_err(|_| UnwrapError::Authentication)
    }
}

/// What wrapped key material belongs to. All of it is authenticated; see [the module](self).
#[derive(Copy, Clone, Debug)]
pub struct MaterialContext<'a> {
    /// The account that owns the key.
    pub account: &'a [u8],
    /// The key id, without Region or account.
    pub key_id: &'a str,
    /// The key spec, in AWS's spelling.
    pub spec: &'a str,
    /// The id of this material ([`SymmetricMaterial::id`]).
    pub material_id: &'a [u8; 32],
}

impl MaterialContext<'_> {
    fn fields(&self) -> [&[u8]; 4] {
        [self.account, self.key_id.as_bytes(), self.spec.as_bytes(), self.material_id]
    }
}

/// The domain key epoch that a wrapped record names; `None` when the bytes are no such record.
#[must_use]
pub fn wrapped_epoch(record: &[u8]) -> Option<u32> {
    if record.len() < RECORD_OVERHEAD { None } else { read_head(record).ok() }
}

/// A pagination marker that is not ours, was changed, or was made for something else.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid marker")]
pub struct InvalidMarker;

const FORMAT: u8 = 1;
const HEAD_LEN: usize = 1 + 4;
const RECORD_OVERHEAD: usize = HEAD_LEN + NONCE_LEN + IV_LEN + TAG_LEN;
const DOMAIN_KEY: &[u8] = b"keystead/v1/domain-key";
const RECORD: &[u8] = b"keystead/v1/record";

/// What a sub-key of a domain key is for: one key, one purpose (NIST SP 800-57 part 1, 5.2).
#[derive(Copy, Clone)]
enum Purpose {
    Material,
    RecordKey,
    Marker,
    ImportToken,
    GrantToken,
    AccessKeys,
    AuditKey,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Material => b"keystead/v1/domain/material",
            Self::RecordKey => b"keystead/v1/domain/record-key",
            Self::Marker => b"keystead/v1/domain/marker",
            Self::ImportToken => b"keystead/v1/domain/import-token",
            Self::GrantToken => b"keystead/v1/domain/grant-token",
            Self::AccessKeys => b"keystead/v1/domain/access-keys",
            Self::AuditKey => b"keystead/v1/domain/audit-key",
        }
    }

    fn authenticated(self, before: &[u8], fields: &[&[u8]]) -> Vec<u8> {
        let mut all = vec![self.label()];
        all.extend_from_slice(fields);
        framing::authenticated(before, &all)
    }
}

/// A domain key with its sub-keys, all in the arena.
#[derive(Debug)]
struct Epoch {
    domain_key: ArenaKey,
    material: ArenaKey,
    record_key: ArenaKey,
    marker: ArenaKey,
    import_token: ArenaKey,
    grant_token: ArenaKey,
    access_keys: ArenaKey,
    audit_key: ArenaKey,
}

impl Epoch {
    fn new(domain_key: ArenaKey) -> Result<Self, CryptoError> {
        let derive = |purpose: Purpose| {
            ArenaKey::filled(Area::Roots, |slot| {
                primitive::derive(domain_key.expose(), purpose.label(), &[], slot)
            })
        };
        let material = derive(Purpose::Material)?;
        let record_key = derive(Purpose::RecordKey)?;
        let marker = derive(Purpose::Marker)?;
        let import_token = derive(Purpose::ImportToken)?;
        let grant_token = derive(Purpose::GrantToken)?;
        let access_keys = derive(Purpose::AccessKeys)?;
        let audit_key = derive(Purpose::AuditKey)?;
        Ok(Self {
            domain_key,
            material,
            record_key,
            marker,
            import_token,
            grant_token,
            access_keys,
            audit_key,
        })
    }

    fn sub_key(&self, purpose: Purpose) -> &ArenaKey {
        match purpose {
            Purpose::Material => &self.material,
            Purpose::RecordKey => &self.record_key,
            Purpose::Marker => &self.marker,
            Purpose::ImportToken => &self.import_token,
            Purpose::GrantToken => &self.grant_token,
            Purpose::AccessKeys => &self.access_keys,
            Purpose::AuditKey => &self.audit_key,
        }
    }
}

/// Key and IV of one wrapped record.
struct Once {
    key: Zeroizing<[u8; KEY_LEN]>,
    iv: [u8; IV_LEN],
}

impl Once {
    /// `random` is N and IV, as they stand in the record.
    fn new(sub_key: &ArenaKey, random: &[u8]) -> Result<Self, CryptoError> {
        let (nonce, iv_bytes) = random.split_at(NONCE_LEN);
        let mut once = Self { key: Zeroizing::new([0; KEY_LEN]), iv: [0; IV_LEN] };
        once.iv.copy_from_slice(iv_bytes);
        primitive::derive(sub_key.expose(), RECORD, nonce, &mut once.key)?;
        Ok(once)
    }
}

fn head(epoch: u32) -> [u8; HEAD_LEN] {
    let [a, b, c, d] = epoch.to_be_bytes();
    [FORMAT, a, b, c, d]
}

fn read_head(record: &[u8]) -> Result<u32, UnwrapError> {
    match *record {
        [FORMAT, a, b, c, d, ..] => Ok(u32::from_be_bytes([a, b, c, d])),
        [format, ..] if format != FORMAT => Err(UnwrapError::Format(Some(format))),
        _ => Err(UnwrapError::Format(None)),
    }
}

/// Appends ciphertext and tag to the part of the record that precedes them.
fn seal_onto(
    mut record: Vec<u8>,
    key: &[u8; KEY_LEN],
    iv: &[u8; IV_LEN],
    aad: &[u8],
    content: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let start = record.len();
    record.resize(start + content.len() + TAG_LEN, 0);
    let (ciphertext, tag) = record[start..].split_at_mut(content.len());
    primitive::seal(key, iv, aad, content, ciphertext, tag)?;
    Ok(record)
}

#[cfg(test)]
#[path = "hierarchy/tests.rs"]
mod tests;
