//! The keys that protect the store: rotated, rewrapped, damaged, interrupted. Over a store on disk
//! without a server, since the server must not run meanwhile.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use keystead_crypto::{RootKey, Secret, wrapped_epoch};
use keystead_service::keyring::{Keyring, rewrap_root, rotate_domain_key};
use keystead_service::{
    Access, Clock, MovableClock, NewRoot, OpenError, Root, Service, ServiceSettings,
};
use keystead_store::embedded::{Embedded, OpenOptions};
use keystead_store::{
    Future, Guard, Health, KeyRange, Revision, Statistics, Store, StoreError, Versioned, Watch,
    Write,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ask, open, text, to_base64};

/// A store on disk with keys and ciphertexts of them.
struct Place {
    folder: TempDir,
    /// Request bodies for Decrypt, and what they are to give.
    sealed: Vec<(String, String)>,
}

impl Place {
    /// With `count` keys, each with a ciphertext.
    async fn new(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut place = Self { folder, sealed: Vec::new() };
        let root = Root::Key(RootKey::create_file(&place.root_file()).unwrap());
        let store = place.store();
        let service = open(&store, root).await;
        for number in 0..count {
            let key = ask(&service, "CreateKey", "{}").await.unwrap();
            let id = text(&key["KeyMetadata"], "KeyId");
            let plaintext = to_base64(format!("plaintext {number}"));
            let context = json!({"number": number.to_string()});
            let request =
                json!({"KeyId": id, "Plaintext": plaintext, "EncryptionContext": context});
            let sealed = ask(&service, "Encrypt", &request.to_string()).await.unwrap();
            let blob = text(&sealed, "CiphertextBlob");
            let request = json!({"CiphertextBlob": blob, "EncryptionContext": context});
            place.sealed.push((request.to_string(), plaintext));
        }
        store.close().await.unwrap();
        place
    }

    fn root_file(&self) -> std::path::PathBuf {
        self.folder.path().join("root-key")
    }

    fn root(&self) -> RootKey {
        RootKey::load_file(&self.root_file()).unwrap()
    }

    fn store(&self) -> Arc<dyn Store> {
        embedded(&self.folder.path().join("data"))
    }

    /// Opens the store and decrypts everything.
    async fn decrypts_everything(&self, root: Root) {
        let store = self.store();
        let service = open(&store, root).await;
        for (request, plaintext) in &self.sealed {
            let opened = ask(&service, "Decrypt", request).await.unwrap();
            assert_eq!(text(&opened, "Plaintext"), plaintext);
        }
        store.close().await.unwrap();
    }

    /// Deletes keys and is interrupted each time before their material is erased.
    async fn deleted_but_not_erased(&self, store: &Arc<dyn Store>, keys: usize) {
        let clock: Arc<MovableClock> = Arc::default();
        // Each key takes two commits, to schedule and to delete it; the erasure fails.
        let steps = i64::try_from(2 * keys).unwrap();
        let failing: Arc<dyn Store> = Arc::new(Failing::after(steps, Arc::clone(store)));
        let settings = ServiceSettings::default();
        let dynamic: Arc<dyn Clock> = clock.clone();
        let root = Root::Key(self.root());
        let service = Service::open(settings, Access::Open, failing, root, dynamic).await.unwrap();
        let listed = ask(&service, "ListKeys", "{}").await.unwrap();
        for key in listed["Keys"].as_array().unwrap().iter().take(keys) {
            let request = json!({"KeyId": key["KeyId"], "PendingWindowInDays": 7}).to_string();
            ask(&service, "ScheduleKeyDeletion", &request).await.unwrap();
        }
        clock.advance(8 * 86_400_000);
        assert!(service.sweep().await.is_err());
    }

    async fn refuses(&self, root: Root) -> OpenError {
        let store = self.store();
        let refusal = Keyring::open(store.as_ref(), root, 0).await.unwrap_err();
        store.close().await.unwrap();
        refusal
    }
}

fn embedded(directory: &Path) -> Arc<dyn Store> {
    std::fs::create_dir_all(directory).unwrap();
    let options = OpenOptions { create: true, ..OpenOptions::default() };
    Arc::new(Embedded::open(directory, &options).unwrap())
}

async fn count(store: &dyn Store, prefix: &str) -> usize {
    store.scan(KeyRange::prefix(prefix), 10).await.unwrap().len()
}

async fn epochs(store: &dyn Store) -> Vec<String> {
    let found = store.scan(KeyRange::prefix("meta/domain/"), 10).await.unwrap();
    found.into_iter().map(|(path, _)| String::from_utf8(path).unwrap()).collect()
}

#[tokio::test]
async fn a_rotated_domain_key_opens_everything_and_the_old_one_is_gone() {
    // More than one page of materials.
    let place = Place::new(130).await;
    let store = place.store();
    assert_eq!(epochs(store.as_ref()).await, ["meta/domain/00000001"]);
    let rotation = rotate_domain_key(store.as_ref(), Root::Key(place.root())).await.unwrap();
    assert_eq!((rotation.epoch, rotation.rewrapped, rotation.destroyed), (2, 130, 1));
    assert_eq!(epochs(store.as_ref()).await, ["meta/domain/00000002"]);
    for (path, found) in store.scan(KeyRange::prefix("material/"), 1_000).await.unwrap() {
        assert_eq!(wrapped_epoch(&found.value), Some(2), "{}", path.escape_ascii());
    }
    store.close().await.unwrap();
    place.decrypts_everything(Root::Key(place.root())).await;
}

#[tokio::test]
async fn an_interrupted_rotation_is_completed_by_the_next() {
    let place = Place::new(130).await;
    let mut interruptions = 0;
    // One more step each time, until nothing is left to be interrupted.
    for steps in 0.. {
        let store = place.store();
        let failing = Failing::after(steps, Arc::clone(&store));
        let rotation = rotate_domain_key(&failing, Root::Key(place.root())).await;
        store.close().await.unwrap();
        place.decrypts_everything(Root::Key(place.root())).await;
        match rotation {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, OpenError::Store(StoreError::Full)), "{error}"),
        }
        interruptions += 1;
    }
    // The epoch, the record key, the keys that seal access keys and sign the audit log, two pages of
    // materials, the old epochs.
    assert_eq!(interruptions, 7);
    let store = place.store();
    assert_eq!(epochs(store.as_ref()).await.len(), 1);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_rotation_erases_what_a_deletion_left_behind() {
    let place = Place::new(2).await;
    let store = place.store();
    place.deleted_but_not_erased(&store, 1).await;
    assert_eq!(count(store.as_ref(), "grave/").await, 1);
    assert_eq!(count(store.as_ref(), "material/").await, 2);

    let rotation = rotate_domain_key(store.as_ref(), Root::Key(place.root())).await.unwrap();
    assert_eq!((rotation.rewrapped, rotation.destroyed), (1, 1));
    assert_eq!(count(store.as_ref(), "grave/").await, 0);
    assert_eq!(count(store.as_ref(), "material/").await, 1);
    store.close().await.unwrap();
}

/// A damaged grave keeps its own material from being erased, and no other.
#[tokio::test]
async fn a_damaged_grave_holds_up_no_other() {
    let place = Place::new(3).await;
    let store = place.store();
    place.deleted_but_not_erased(&store, 3).await;
    let graves = store.scan(KeyRange::prefix("grave/"), 10).await.unwrap();
    assert_eq!(graves.len(), 3);
    let (path, found) = &graves[0];
    let path = std::str::from_utf8(path).unwrap();
    let mut bad = found.value.clone();
    bad[5] ^= 1;
    put(store.as_ref(), path, &bad).await;
    let service = open(&store, Root::Key(place.root())).await;
    assert!(service.sweep().await.is_err());
    assert_eq!(count(store.as_ref(), "grave/").await, 1);
    assert_eq!(count(store.as_ref(), "material/").await, 1);
    put(store.as_ref(), path, &found.value).await;
    service.sweep().await.unwrap();
    assert_eq!(count(store.as_ref(), "grave/").await, 0);
    assert_eq!(count(store.as_ref(), "material/").await, 0);
    store.close().await.unwrap();
}

#[tokio::test]
async fn material_without_a_key_stops_a_rotation_before_anything_is_lost() {
    let place = Place::new(2).await;
    let store = place.store();
    let (path, found) = store.scan(KeyRange::prefix("ref/"), 1).await.unwrap().remove(0);
    store.commit(vec![], vec![Write::Delete(path.clone())]).await.unwrap();
    let refusal = rotate_domain_key(store.as_ref(), Root::Key(place.root())).await.unwrap_err();
    assert!(matches!(refusal, OpenError::Damaged(_)), "{refusal}");
    store.commit(vec![], vec![Write::Put(path, found.value)]).await.unwrap();
    store.close().await.unwrap();
    place.decrypts_everything(Root::Key(place.root())).await;
}

#[tokio::test]
async fn a_rewrapped_store_knows_its_new_root_key_only() {
    let place = Place::new(3).await;
    let store = place.store();
    let other_file = place.folder.path().join("other-root-key");
    let other = RootKey::create_file(&other_file).unwrap();
    rewrap_root(store.as_ref(), Root::Key(place.root()), NewRoot::Key(other)).await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(place.refuses(Root::Key(place.root())).await, OpenError::WrongRootKey));
    let other = || Root::Key(RootKey::load_file(&other_file).unwrap());
    place.decrypts_everything(other()).await;

    // On to a passphrase.
    let passphrase = || Secret::from_slice(b"correct horse battery staple");
    let store = place.store();
    rewrap_root(store.as_ref(), other(), NewRoot::Passphrase(passphrase())).await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(place.refuses(other()).await, OpenError::WrongProvider(_)));
    let wrong = Root::Passphrase(Secret::from_slice(b"incorrect horse"));
    assert!(matches!(place.refuses(wrong).await, OpenError::RootKey(_)));
    place.decrypts_everything(Root::Passphrase(passphrase())).await;

    // And a rotation under it.
    let store = place.store();
    let rotation = rotate_domain_key(store.as_ref(), Root::Passphrase(passphrase())).await.unwrap();
    assert_eq!((rotation.epoch, rotation.rewrapped), (2, 3));
    store.close().await.unwrap();
    place.decrypts_everything(Root::Passphrase(passphrase())).await;
}

/// Whoever destroys the old root key after this must not destroy the only one: the paths of the two
/// files do not tell, since one may be a link to the other.
#[tokio::test]
async fn a_change_to_the_same_root_key_is_refused() {
    let place = Place::new(1).await;
    let store = place.store();
    let same = NewRoot::Key(place.root());
    let refusal = rewrap_root(store.as_ref(), Root::Key(place.root()), same).await.unwrap_err();
    assert!(matches!(refusal, OpenError::SameRootKey), "{refusal}");
    store.close().await.unwrap();
    place.decrypts_everything(Root::Key(place.root())).await;
}

/// Killed after the commit and before the rewriting of the files, the command must be able to run
/// again: what the old root key opens is still in them.
#[tokio::test]
async fn a_change_of_root_key_can_be_repeated() {
    let place = Place::new(1).await;
    let store = place.store();
    let other_file = place.folder.path().join("other-root-key");
    RootKey::create_file(&other_file).unwrap();
    let other = || RootKey::load_file(&other_file).unwrap();
    let passphrase = || Secret::from_slice(b"correct horse battery staple");
    for _ in 0..2 {
        let old = Root::Key(place.root());
        rewrap_root(store.as_ref(), old, NewRoot::Key(other())).await.unwrap();
    }
    for _ in 0..2 {
        let new = NewRoot::Passphrase(passphrase());
        rewrap_root(store.as_ref(), Root::Key(other()), new).await.unwrap();
    }
    // Not with a key that is neither.
    let stranger = NewRoot::Key(RootKey::generate().unwrap());
    let refusal = rewrap_root(store.as_ref(), Root::Key(other()), stranger).await.unwrap_err();
    assert!(matches!(refusal, OpenError::WrongProvider(_)), "{refusal}");
    store.close().await.unwrap();
    place.decrypts_everything(Root::Passphrase(passphrase())).await;
}

/// Two commands at once: an epoch wrapped by a root key that the store no longer is under would be
/// lost, and every key with it.
#[tokio::test]
async fn a_rotation_and_a_change_of_root_key_exclude_each_other() {
    let place = Place::new(2).await;
    let other_file = place.folder.path().join("other-root-key");
    RootKey::create_file(&other_file).unwrap();
    let other = || RootKey::load_file(&other_file).unwrap();

    let store = place.store();
    let root = place.root();
    let rotation = |store: Arc<dyn Store>| -> Future<'static, ()> {
        Box::pin(async move {
            rotate_domain_key(store.as_ref(), Root::Key(root)).await.unwrap();
        })
    };
    let meddling = Failing::with(rotation, Arc::clone(&store));
    let new = NewRoot::Key(other());
    let lost = rewrap_root(&meddling, Root::Key(place.root()), new).await.unwrap_err();
    assert!(matches!(lost, OpenError::Store(StoreError::Conflict)), "{lost}");
    assert_eq!(epochs(store.as_ref()).await, ["meta/domain/00000002"]);
    store.close().await.unwrap();
    place.decrypts_everything(Root::Key(place.root())).await;

    let store = place.store();
    let (root, new) = (place.root(), other());
    let change = |store: Arc<dyn Store>| -> Future<'static, ()> {
        Box::pin(async move {
            rewrap_root(store.as_ref(), Root::Key(root), NewRoot::Key(new)).await.unwrap();
        })
    };
    let meddling = Failing::with(change, Arc::clone(&store));
    let lost = rotate_domain_key(&meddling, Root::Key(place.root())).await.unwrap_err();
    assert!(matches!(lost, OpenError::Store(StoreError::Conflict)), "{lost}");
    store.close().await.unwrap();
    place.decrypts_everything(Root::Key(other())).await;
}

#[tokio::test]
async fn a_store_under_another_root_key_is_told_from_a_damaged_one() {
    let place = Place::new(1).await;
    let stranger = Root::Key(RootKey::generate().unwrap());
    assert!(matches!(place.refuses(stranger).await, OpenError::WrongRootKey));
    for record in ["meta/domain/00000001", "meta/record-key"] {
        let store = place.store();
        let whole = store.read(record.as_bytes()).await.unwrap().unwrap().value;
        for byte in 0..whole.len() {
            let mut bad = whole.clone();
            bad[byte] ^= 0x40;
            put(store.as_ref(), record, &bad).await;
            let refusal =
                Keyring::open(store.as_ref(), Root::Key(place.root()), 0).await.unwrap_err();
            assert!(matches!(refusal, OpenError::Damaged(_)), "{record} {byte}: {refusal}");
        }
        put(store.as_ref(), record, &whole).await;
        store.close().await.unwrap();
    }
    let store = place.store();
    let whole = store.read(b"meta/store").await.unwrap().unwrap().value;
    for bad in [&b""[..], b"{", b"[]", b"\xff", &whole[..whole.len() - 1]] {
        put(store.as_ref(), "meta/store", bad).await;
        let refusal = Keyring::open(store.as_ref(), Root::Key(place.root()), 0).await.unwrap_err();
        assert!(matches!(refusal, OpenError::Damaged(_)), "{refusal}");
    }
    // A store without its header is not taken for a new one.
    store.commit(vec![], vec![Write::Delete(b"meta/store".to_vec())]).await.unwrap();
    let refusal = Keyring::open(store.as_ref(), Root::Key(place.root()), 0).await.unwrap_err();
    assert!(matches!(refusal, OpenError::NoHeader), "{refusal}");
    put(store.as_ref(), "meta/store", &whole).await;
    store.close().await.unwrap();
    place.decrypts_everything(Root::Key(place.root())).await;
}

#[tokio::test]
async fn a_store_of_a_newer_release_is_refused_as_such() {
    let place = Place::new(1).await;
    let store = place.store();
    let whole = store.read(b"meta/store").await.unwrap().unwrap().value;
    let mut header: Value = serde_json::from_slice(&whole).unwrap();
    for format in [json!(2), json!(u64::MAX)] {
        header["format"] = format.clone();
        put(store.as_ref(), "meta/store", header.to_string().as_bytes()).await;
        let refusal = Keyring::open(store.as_ref(), Root::Key(place.root()), 0).await.unwrap_err();
        let OpenError::Newer { found } = refusal else { panic!("{refusal}") };
        assert_eq!(u64::from(found), format.as_u64().unwrap().min(u64::from(u32::MAX)));
    }
    // Also one of a shape that this release does not know.
    put(store.as_ref(), "meta/store", b"{\"format\":2,\"root\":{}}").await;
    let refusal = Keyring::open(store.as_ref(), Root::Key(place.root()), 0).await.unwrap_err();
    assert!(matches!(refusal, OpenError::Newer { found: 2 }), "{refusal}");
    store.close().await.unwrap();
}

async fn put(store: &dyn Store, path: &str, value: &[u8]) {
    let write = Write::Put(path.as_bytes().to_vec(), value.to_vec());
    store.commit(vec![], vec![write]).await.unwrap();
}

/// What somebody else does to a store.
type Meanwhile = Box<dyn FnOnce(Arc<dyn Store>) -> Future<'static, ()> + Send>;

/// A store that is full after some commits and erasures, or on which somebody else is faster.
struct Failing {
    store: Arc<dyn Store>,
    left: AtomicI64,
    /// Done before the first commit.
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl Failing {
    fn after(steps: i64, store: Arc<dyn Store>) -> Self {
        Self { store, left: AtomicI64::new(steps), meanwhile: Mutex::new(None) }
    }

    fn with(
        meanwhile: impl FnOnce(Arc<dyn Store>) -> Future<'static, ()> + Send + 'static,
        store: Arc<dyn Store>,
    ) -> Self {
        let meanwhile = Mutex::new(Some(Box::new(meanwhile) as Meanwhile));
        Self { store, left: AtomicI64::new(i64::MAX), meanwhile }
    }

    fn step(&self) -> Result<(), StoreError> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            1.. => Ok(()),
            _ => Err(StoreError::Full),
        }
    }
}

impl Store for Failing {
    fn read<'a>(&'a self, key: &'a [u8]) -> Future<'a, Result<Option<Versioned>, StoreError>> {
        self.store.read(key)
    }

    #[allow(clippy::type_complexity, reason = "the trait's own")]
    fn scan<'a>(
        &'a self,
        range: KeyRange,
        limit: usize,
    ) -> Future<'a, Result<Vec<(Vec<u8>, Versioned)>, StoreError>> {
        self.store.scan(range, limit)
    }

    fn commit<'a>(
        &'a self,
        guards: Vec<Guard>,
        writes: Vec<Write>,
    ) -> Future<'a, Result<Revision, StoreError>> {
        Box::pin(async move {
            let meanwhile = self.meanwhile.lock().unwrap().take();
            if let Some(meanwhile) = meanwhile {
                meanwhile(Arc::clone(&self.store)).await;
            }
            self.step()?;
            self.store.commit(guards, writes).await
        })
    }

    fn watch(&self, from: Option<Revision>) -> Result<Watch, StoreError> {
        self.store.watch(from)
    }

    fn revision(&self) -> Revision {
        self.store.revision()
    }

    fn erase<'a>(&'a self, keys: Vec<Vec<u8>>) -> Future<'a, Result<Revision, StoreError>> {
        Box::pin(async move {
            self.step()?;
            self.store.erase(keys).await
        })
    }

    fn health(&self) -> Health {
        self.store.health()
    }

    fn statistics(&self) -> Statistics {
        self.store.statistics()
    }

    fn close<'a>(&'a self) -> Future<'a, Result<(), StoreError>> {
        self.store.close()
    }
}
