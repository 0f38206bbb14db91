#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::material::tests::planted;

const STORE: [u8; 16] = [7; 16];
/// Of `planted(1)` under the key below.
const MATERIAL_ID: [u8; 32] = [
    0x9e, 0x6d, 0x0b, 0x34, 0x36, 0x47, 0x8a, 0x76, 0x60, 0x3e, 0xaf, 0x75, 0x49, 0xa4, 0x30, 0x13,
    0x80, 0x79, 0x12, 0x56, 0x68, 0x1f, 0xb6, 0x13, 0x66, 0x31, 0x5e, 0xdf, 0xc9, 0xda, 0xdc, 0x32,
];
const CONTEXT: MaterialContext<'_> = MaterialContext {
    account: b"111122223333",
    key_id: "1234abcd-12ab-34cd-56ef-1234567890ab",
    spec: "SYMMETRIC_DEFAULT",
    material_id: &MATERIAL_ID,
};

#[test]
fn domain_keys_survive_a_restart_and_a_change_of_root_key() {
    let [old_root, new_root] = [0, 1].map(|_| RootKey::generate().unwrap());
    let mut keys = DomainKeys::generate(STORE).unwrap();
    let record = keys.wrap_material(&CONTEXT, &planted(1)).unwrap();
    assert_eq!(keys.add_epoch(), Ok(2));

    for root in [&old_root, &new_root] {
        let wrapped: Vec<_> =
            keys.epochs().map(|epoch| (epoch, keys.wrap_epoch(root, epoch).unwrap())).collect();
        assert!(wrapped.iter().all(|(_, record)| record.len() == 65));
        // The order in which a store gives them does not matter.
        let again = DomainKeys::unwrap(STORE, root, wrapped.into_iter().rev()).unwrap();
        assert_eq!((again.current_epoch(), again.epochs().collect()), (2, vec![1, 2]));
        assert_eq!(again.unwrap_material(&CONTEXT, &record).unwrap().expose(), &[1; 32]);
    }
}

#[test]
fn wrapped_domain_keys_open_only_where_they_belong() {
    let root = RootKey::generate().unwrap();
    let keys = DomainKeys::generate(STORE).unwrap();
    let record = keys.wrap_epoch(&root, 1).unwrap();
    let open = |store, root: &RootKey, epoch, record: &[u8]| {
        DomainKeys::unwrap(store, root, [(epoch, record)]).map(|keys| keys.current_epoch())
    };
    assert_eq!(open(STORE, &root, 1, &record), Ok(1));
    assert_eq!(open([8; 16], &root, 1, &record), Err(UnwrapError::Authentication));
    assert_eq!(
        open(STORE, &RootKey::generate().unwrap(), 1, &record),
        Err(UnwrapError::Authentication)
    );
    assert_eq!(open(STORE, &root, 2, &record), Err(UnwrapError::UnknownEpoch(1)));
    assert_eq!(open(STORE, &root, 1, &record[..64]), Err(UnwrapError::Format(None)));
    assert_eq!(open(STORE, &root, 1, &[]), Err(UnwrapError::Format(None)));
    assert_eq!(open(STORE, &root, 1, &[2; 65]), Err(UnwrapError::Format(Some(2))));
    assert_eq!(
        DomainKeys::unwrap(STORE, &root, [(0, [1, 0, 0, 0, 0].repeat(13))]).map(|_| ()),
        Err(UnwrapError::UnknownEpoch(0))
    );
    assert_eq!(
        DomainKeys::unwrap(STORE, &root, [] as [(u32, &[u8]); 0]).map(|_| ()),
        Err(UnwrapError::NoEpoch)
    );
    for bit in 0..record.len() * 8 {
        let mut changed = record.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open(STORE, &root, 1, &changed).is_err(), "bit {bit}");
    }
    assert_eq!(keys.wrap_epoch(&root, 9), Err(CryptoError::UnknownEpoch(9)));
}

#[test]
fn wrapped_material_opens_only_where_it_belongs() {
    let keys = DomainKeys::generate(STORE).unwrap();
    let record = keys.wrap_material(&CONTEXT, &planted(1)).unwrap();
    assert_eq!(record.len(), 81);
    assert_eq!(wrapped_epoch(&record), Some(1));
    assert_eq!(keys.unwrap_material(&CONTEXT, &record).unwrap().expose(), &[1; 32]);

    let elsewhere = [
        MaterialContext { account: b"444455556666", ..CONTEXT },
        MaterialContext { key_id: "1234abcd-12ab-34cd-56ef-1234567890ac", ..CONTEXT },
        MaterialContext { spec: "HMAC_256", ..CONTEXT },
        MaterialContext { material_id: &[6; 32], ..CONTEXT },
        // The same bytes with another border between the fields.
        MaterialContext { account: b"1111222233331", key_id: &CONTEXT.key_id[1..], ..CONTEXT },
    ];
    for context in elsewhere {
        let error = keys.unwrap_material(&context, &record).map(|_| ());
        assert_eq!(error, Err(UnwrapError::Authentication), "{context:?}");
    }
    for bit in 0..record.len() * 8 {
        let mut changed = record.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(keys.unwrap_material(&CONTEXT, &changed).is_err(), "bit {bit}");
    }
    for len in 0..record.len() {
        assert!(keys.unwrap_material(&CONTEXT, &record[..len]).is_err());
    }
    assert!(keys.unwrap_material(&CONTEXT, &[&record[..], &[0]].concat()).is_err());
    // Another store, even with the same numbers.
    assert!(DomainKeys::generate(STORE).unwrap().unwrap_material(&CONTEXT, &record).is_err());
}

/// Whoever came to know a domain key can wrap what they like, but not find other material for an id.
#[test]
fn material_that_is_not_the_one_named_does_not_open() {
    let keys = DomainKeys::generate(STORE).unwrap();
    assert_eq!(planted(1).id(CONTEXT.key_id, CONTEXT.spec).unwrap(), MATERIAL_ID);
    let forged = keys.wrap_material(&CONTEXT, &planted(2)).unwrap();
    let refusal = keys.unwrap_material(&CONTEXT, &forged).map(|_| ());
    assert_eq!(refusal, Err(UnwrapError::Authentication));
}

/// The record opened by hand, with nothing of this module but the domain key itself.
#[test]
fn the_layout_of_a_wrapped_record_is_as_documented() {
    use aws_lc_rs::{aead, hmac};
    let keys = DomainKeys::generate(STORE).unwrap();
    let record = keys.wrap_material(&CONTEXT, &planted(0x42)).unwrap();
    let prf = |key: &[u8], parts: &[&[u8]]| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &parts.concat()).as_ref().to_vec()
    };
    let domain_key = keys.epoch(1).unwrap().domain_key.expose();
    let sub_key = prf(domain_key, &[b"\0\0\0\x01keystead/v1/domain/material\0\0\0\x01\0"]);
    let key = prf(&sub_key, &[b"\0\0\0\x01keystead/v1/record\0", &record[5..21], b"\0\0\x01\0"]);
    let mut aad = record[..33].to_vec();
    aad.extend_from_slice(b"\0\0\0\x05\0\0\0\x1bkeystead/v1/domain/material\0\0\0\x0c111122223333");
    aad.extend_from_slice(
        b"\0\0\0\x241234abcd-12ab-34cd-56ef-1234567890ab\0\0\0\x11SYMMETRIC_DEFAULT\0\0\0\x20",
    );
    aad.extend_from_slice(&MATERIAL_ID);
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, &key).unwrap());
    let iv = aead::Nonce::try_assume_unique_for_key(&record[21..33]).unwrap();
    let mut rest = record[33..].to_vec();
    assert_eq!(key.open_in_place(iv, aead::Aad::from(aad), &mut rest).unwrap(), [0x42; 32]);
    assert_eq!(record[..5], [1, 0, 0, 0, 1]);
}

#[test]
fn rotation_rewraps_and_then_forgets() {
    let mut keys = DomainKeys::generate(STORE).unwrap();
    let before = keys.clone();
    let record_key = RecordKey::generate().unwrap();
    let wrapped_key = keys.wrap_record_key(&record_key).unwrap();
    let material = keys.wrap_material(&CONTEXT, &planted(1)).unwrap();
    assert_eq!(keys.rewrap_material(&CONTEXT, &material), Ok(None));
    assert_eq!(keys.rewrap_record_key(&wrapped_key), Ok(None));

    assert_eq!(keys.add_epoch(), Ok(2));
    let new_material = keys.rewrap_material(&CONTEXT, &material).unwrap().unwrap();
    let new_wrapped_key = keys.rewrap_record_key(&wrapped_key).unwrap().unwrap();
    assert_eq!([&material, &new_material].map(|record| wrapped_epoch(record)), [Some(1), Some(2)]);
    assert_eq!(
        before.unwrap_material(&CONTEXT, &new_material).map(|_| ()),
        Err(UnwrapError::UnknownEpoch(2))
    );

    assert_eq!(keys.drop_epoch(2), Err(CryptoError::CurrentEpoch(2)));
    assert_eq!(keys.drop_epoch(1), Ok(()));
    assert_eq!(keys.drop_epoch(1), Err(CryptoError::UnknownEpoch(1)));
    assert_eq!(
        keys.unwrap_material(&CONTEXT, &material).map(|_| ()),
        Err(UnwrapError::UnknownEpoch(1))
    );
    assert_eq!(keys.unwrap_material(&CONTEXT, &new_material).unwrap().expose(), &[1; 32]);
    // Rotation leaves the tags of the records as they are.
    let again = keys.unwrap_record_key(&new_wrapped_key).unwrap();
    assert_eq!(again.tag(b"k", b"v"), record_key.tag(b"k", b"v"));
    // The clone taken before still has what it had.
    assert_eq!(before.unwrap_material(&CONTEXT, &material).unwrap().expose(), &[1; 32]);
}

#[test]
fn records_of_one_purpose_do_not_serve_another() {
    let keys = DomainKeys::generate(STORE).unwrap();
    let material = keys.wrap_material(&CONTEXT, &planted(1)).unwrap();
    let record_key = keys.wrap_record_key(&RecordKey::generate().unwrap()).unwrap();
    let marker = keys.seal_marker(&STORE, &[1; 32]).unwrap();
    assert_eq!(
        keys.unwrap_material(&CONTEXT, &record_key).map(|_| ()),
        Err(UnwrapError::Authentication)
    );
    for record in [&material, &marker] {
        assert_eq!(keys.unwrap_record_key(record).map(|_| ()), Err(UnwrapError::Authentication));
    }
    for record in [&material, &record_key] {
        assert_eq!(keys.open_marker(&STORE, record), Err(InvalidMarker));
    }
}

#[test]
fn markers_open_only_for_what_they_were_made() {
    let mut keys = DomainKeys::generate(STORE).unwrap();
    let marker = keys.seal_marker(b"ListKeys", b"after this").unwrap();
    assert_eq!(marker.len(), 49 + 10);
    keys.add_epoch().unwrap();
    assert_eq!(keys.open_marker(b"ListKeys", &marker).unwrap(), b"after this");
    assert_eq!(keys.open_marker(b"ListAliases", &marker), Err(InvalidMarker));
    for bit in 0..marker.len() * 8 {
        let mut changed = marker.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(keys.open_marker(b"ListKeys", &changed), Err(InvalidMarker), "bit {bit}");
    }
    for len in 0..marker.len() {
        assert_eq!(keys.open_marker(b"ListKeys", &marker[..len]), Err(InvalidMarker));
    }
    let empty = keys.seal_marker(b"", b"").unwrap();
    assert_eq!(keys.open_marker(b"", &empty).unwrap(), b"");
}

#[test]
fn epochs_do_not_wrap_around() {
    let mut keys = DomainKeys::generate(STORE).unwrap();
    keys.current = u32::MAX;
    assert_eq!(keys.add_epoch(), Err(CryptoError::EpochsExhausted));
}

#[test]
fn wrapped_epoch_is_total() {
    assert_eq!(wrapped_epoch(&[]), None);
    assert_eq!(wrapped_epoch(&[1; 48]), None);
    assert_eq!(wrapped_epoch(&[2; 81]), None);
    assert_eq!(wrapped_epoch(&[1; 81]), Some(0x0101_0101));
}
