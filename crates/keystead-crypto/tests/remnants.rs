//! Searches the memory of this process for copies of a root key. One test, alone in its process:
//! others at the same time would make and drop memory under the search.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use keystead_crypto::{Argon2Cost, DomainKeys, RootKey, root_check_value, verify_root_check_value};
use zeroize::Zeroizing;

/// Every bit of the key turned over, so that what is searched for is not itself found.
const INVERTED: [u8; 32] = *b"\x0b0Uz\x9f\xc4\xe9\x0e3X}\xa2\xc7\xec\x116[\x80\xa5\xca\xef\x149^\x83\xa8\xcd\xf2\x17<a\x86";

/// Where writable memory holds the key.
fn copies() -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|digits| u64::from_str_radix(digits, 16).unwrap());
        let mut content = Zeroizing::new(vec![0; usize::try_from(to - from).unwrap()]);
        if memory.read_exact_at(&mut content, from).is_err() {
            continue;
        }
        let hits = content.windows(INVERTED.len()).enumerate().filter(|(_, window)| {
            window.iter().zip(&INVERTED).all(|(byte, inverted)| *byte == !*inverted)
        });
        found.extend(hits.map(|(at, _)| format!("{at:#x} after the start of {line}")));
    }
    found
}

/// Writes the key file byte by byte, so that the key is nowhere as a whole but in the file.
fn plant(path: &std::path::Path) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(b"keystead-root-key-v1:")?;
    for inverted in INVERTED {
        write!(file, "{:02x}", !inverted)?;
    }
    file.write_all(b"\n")
}

#[test]
fn a_root_key_is_in_the_arena_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.key");
    plant(&path).unwrap();
    assert_eq!(copies(), [""; 0], "before it is loaded");

    let root = RootKey::load_file(&path).unwrap();
    let place = copies();
    assert_eq!(place.len(), 1, "{place:?}");
    let store_id = [7; 16];
    let mut domain = DomainKeys::generate(store_id).unwrap();
    let wrapped = domain.wrap_epoch(&root, 1).unwrap();
    domain.unwrap_epoch(&root, 1, &wrapped).unwrap();
    let check = root_check_value(&root, &store_id).unwrap();
    verify_root_check_value(&root, &store_id, &check).unwrap();
    let slot = root.to_passphrase_slot(b"passphrase", &Argon2Cost::new(8, 1, 1).unwrap()).unwrap();
    assert_eq!(copies(), place, "after all that is done with it");

    drop(root);
    assert_eq!(copies(), [""; 0], "after it is dropped");
    let root = RootKey::from_passphrase_slot(b"passphrase", &slot).unwrap();
    assert_eq!(copies().len(), 1);
    drop(root);
    assert_eq!(copies(), [""; 0]);
}
