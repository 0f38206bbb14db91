//! Private keys in other people's encodings.

use keystead_crypto::{
    AsymmetricSpec, InvalidKey, Message, PrivateKey, PublicKey, SigningAlgorithm,
    generate_private_key, import_pkcs8,
};
use proptest::prelude::*;

use crate::{der, quick_specs};

const CURVES: [AsymmetricSpec; 5] = [
    AsymmetricSpec::EccNistP256,
    AsymmetricSpec::EccNistP384,
    AsymmetricSpec::EccNistP521,
    AsymmetricSpec::EccSecgP256k1,
    AsymmetricSpec::Sm2,
];

/// An empty set of attributes and one with an attribute (friendlyName).
fn attributes() -> [Vec<u8>; 2] {
    let name = der::tlv(0x1e, b"\0k");
    let oid = der::tlv(6, &hex::decode("2a864886f70d010914").unwrap());
    let attribute = der::sequence(&[oid, der::tlv(0x31, &name)]);
    [der::tlv(0xa0, &[]), der::tlv(0xa0, &attribute)]
}

#[test]
fn what_is_generated_imports_as_it_is() {
    for spec in quick_specs() {
        let stored = generate_private_key(spec).unwrap();
        assert!(import_pkcs8(spec, stored.expose()).unwrap().ct_eq(stored.expose()), "{spec:?}");
        let key = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap();
        assert_eq!(key.public_spki(), key.public_key().spki());
        PublicKey::from_spki(spec, &key.public_spki()).unwrap();
        for other in AsymmetricSpec::ALL.into_iter().filter(|other| *other != spec) {
            assert!(import_pkcs8(other, stored.expose()).is_err(), "{spec:?} as {other:?}");
            assert!(PrivateKey::from_pkcs8(other, stored.expose()).is_err());
            assert!(PublicKey::from_spki(other, &key.public_spki()).is_err());
        }
    }
}

#[test]
fn sizes_are_those_of_other_libraries() {
    let table = [
        (AsymmetricSpec::MlDsa44, 54, 1334, 2420),
        (AsymmetricSpec::MlDsa65, 54, 1974, 3309),
        (AsymmetricSpec::MlDsa87, 54, 2614, 4627),
        (AsymmetricSpec::EccNistEdwards25519, 48, 44, 64),
    ];
    for (spec, pkcs8, spki, signature) in table {
        let stored = generate_private_key(spec).unwrap();
        let key = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap();
        assert_eq!((stored.len(), key.public_spki().len()), (pkcs8, spki), "{spec:?}");
        let algorithm = spec.signing_algorithms()[0];
        assert_eq!(key.sign(algorithm, Message::Raw(b"m")).unwrap().len(), signature);
    }
}

#[test]
fn elliptic_keys_of_every_shape_are_stored_in_one() {
    for spec in CURVES {
        let stored = generate_private_key(spec).unwrap();
        let info = der::elements(stored.expose());
        let key = der::elements(der::split(&info[2]).1);
        let scalar = der::split(&key[1]).1.to_vec();
        let point = der::split(der::split(&key[2]).1).1[1..].to_vec();
        assert_eq!(der::ec_pkcs8(spec, &scalar, &[der::ec_public(&point)]), stored.expose());

        let field_len = der::field_len(spec);
        let compressed = [&[2 | point[2 * field_len] & 1], &point[1..=field_len]].concat();
        let curve = der::tlv(0xa0, &der::curve_oid(spec));
        let longer = [&[0, 0], &scalar[..]].concat();
        let mut shapes = vec![
            der::ec_pkcs8(spec, &scalar, &[]),
            der::ec_pkcs8(spec, &longer, &[]),
            der::ec_pkcs8(spec, &scalar, std::slice::from_ref(&curve)),
            der::ec_pkcs8(spec, &scalar, &[curve.clone(), der::ec_public(&point)]),
            der::ec_pkcs8(spec, &scalar, &[der::ec_public(&compressed)]),
        ];
        for attributes in attributes() {
            let mut with_attributes = info.clone();
            with_attributes.push(attributes);
            shapes.push(der::sequence(&with_attributes));
            let mut version_one = with_attributes;
            version_one[0] = der::tlv(2, &[1]);
            shapes.push(der::sequence(&version_one));
            version_one.push(der::tlv(0x81, &[&[0], &point[..]].concat()));
            shapes.push(der::sequence(&version_one));
        }
        for shape in shapes {
            let again = import_pkcs8(spec, &shape);
            assert!(again.is_ok_and(|again| again.ct_eq(stored.expose())), "{spec:?} {shape:02x?}");
        }

        let other_point = {
            let spki = crate::new_key(spec).public_spki();
            spki[spki.len() - point.len()..].to_vec()
        };
        let hybrid = [&[6 | point[2 * field_len] & 1], &point[1..]].concat();
        let other_curve = if spec == CURVES[0] { CURVES[1] } else { CURVES[0] };
        let mut foreign_version_one = info.clone();
        foreign_version_one[0] = der::tlv(2, &[1]);
        foreign_version_one.push(der::tlv(0x81, &[&[0], &other_point[..]].concat()));
        let mut version_two = info.clone();
        version_two[0] = der::tlv(2, &[2]);
        let mut version_zero_with_key = info.clone();
        version_zero_with_key.push(der::tlv(0x81, &[&[0], &point[..]].concat()));
        let refused = [
            der::ec_pkcs8(spec, &scalar, &[der::ec_public(&other_point)]),
            der::ec_pkcs8(spec, &scalar, &[der::ec_public(&hybrid)]),
            der::ec_pkcs8(spec, &scalar, &[der::ec_public(&[0])]),
            der::ec_pkcs8(spec, &scalar, &[der::tlv(0xa0, &der::curve_oid(other_curve))]),
            der::ec_pkcs8(spec, &scalar, &[der::tlv(0xa0, &der::sequence(&[]))]),
            der::ec_pkcs8(spec, &vec![0; field_len], &[]),
            der::ec_pkcs8(spec, &vec![0xff; field_len], &[]),
            der::ec_pkcs8(spec, &[&[1], &scalar[..]].concat(), &[]),
            der::ec_pkcs8(spec, &[], &[]),
            der::sequence(&foreign_version_one),
            der::sequence(&version_two),
            der::sequence(&version_zero_with_key),
            [stored.expose(), &[0]].concat(),
            der::split(&info[2]).1.to_vec(),
            Vec::new(),
        ];
        for (index, shape) in refused.iter().enumerate() {
            assert_eq!(import_pkcs8(spec, shape).map(|_| ()), Err(InvalidKey), "{spec:?} {index}");
        }
    }
}

/// A scalar written without its leading zeros gets them back, and the key works.
#[test]
fn small_scalars_keep_their_field() {
    for spec in CURVES {
        let padded = [vec![0; der::field_len(spec) - 1], vec![5]].concat();
        let stored = import_pkcs8(spec, &der::ec_pkcs8(spec, &[5], &[])).unwrap();
        let again = import_pkcs8(spec, &der::ec_pkcs8(spec, &padded, &[])).unwrap();
        assert!(again.ct_eq(stored.expose()));
        assert_eq!(stored.len(), generate_private_key(spec).unwrap().len());
        let key = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap();
        let algorithm = spec.signing_algorithms()[0];
        let signature = key.sign(algorithm, Message::Raw(b"m")).unwrap();
        assert_eq!(key.verify(algorithm, Message::Raw(b"m"), &signature), Ok(()));
    }
}

/// n − 1 is a scalar of the curve for which SM2 has no signature.
#[test]
fn the_last_scalar_of_sm2_is_refused() {
    let mut scalar =
        hex::decode("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54122").unwrap();
    let spec = AsymmetricSpec::Sm2;
    assert!(import_pkcs8(spec, &der::ec_pkcs8(spec, &scalar, &[])).is_err());
    scalar[31] -= 1;
    assert!(import_pkcs8(spec, &der::ec_pkcs8(spec, &scalar, &[])).is_ok());
}

#[test]
fn edwards_and_ml_dsa_keys_of_version_one() {
    for spec in [AsymmetricSpec::EccNistEdwards25519, AsymmetricSpec::MlDsa44] {
        let stored = generate_private_key(spec).unwrap();
        let spki = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap().public_spki();
        let public = der::split(&der::elements(&spki)[1]).1.to_vec();
        let mut info = der::elements(stored.expose());
        info[0] = der::tlv(2, &[1]);
        info.extend([attributes()[1].clone(), der::tlv(0x81, &public)]);
        let again = import_pkcs8(spec, &der::sequence(&info)).unwrap();
        assert!(again.ct_eq(stored.expose()), "{spec:?}");
        let mut wrong = public;
        wrong[5] ^= 1;
        info[4] = der::tlv(0x81, &wrong);
        assert!(import_pkcs8(spec, &der::sequence(&info)).is_err(), "{spec:?}");
    }
}

#[test]
fn rsa_keys_are_checked_and_stored_in_one_shape() {
    let spec = AsymmetricSpec::Rsa2048;
    let stored = generate_private_key(spec).unwrap();
    let info = der::elements(stored.expose());
    let inner = der::elements(der::split(&info[2]).1);
    let rebuilt = |inner: &[Vec<u8>]| {
        der::sequence(&[info[0].clone(), info[1].clone(), der::tlv(4, &der::sequence(inner))])
    };
    assert_eq!(rebuilt(&inner), stored.expose());

    let without_null = der::sequence(&[der::elements(&info[1])[0].clone()]);
    let mut version_one = info.clone();
    version_one[0] = der::tlv(2, &[1]);
    let public = der::sequence(&[inner[1].clone(), inner[2].clone()]);
    version_one.push(der::tlv(0x81, &[&[0], &public[..]].concat()));
    for shape in [
        der::sequence(&[info[0].clone(), without_null, info[2].clone()]),
        der::sequence(&[&info[..], &[attributes()[1].clone()]].concat()),
        der::sequence(&version_one),
    ] {
        assert!(import_pkcs8(spec, &shape).unwrap().ct_eq(stored.expose()));
    }

    // Every integer, and the version: changed, it does not fit the others.
    for index in 0..inner.len() {
        let mut changed = inner.clone();
        let last = changed[index].len() - 1;
        changed[index][last] ^= 2;
        assert!(import_pkcs8(spec, &rebuilt(&changed)).is_err(), "integer {index}");
    }
    // Three primes.
    let mut three = inner.clone();
    three[0] = der::tlv(2, &[1]);
    three.push(der::sequence(&[der::sequence(&[
        inner[4].clone(),
        inner[6].clone(),
        inner[8].clone(),
    ])]));
    assert!(import_pkcs8(spec, &rebuilt(&three)).is_err());
    let mut foreign = version_one;
    let key_len = foreign[3].len();
    foreign[3][key_len / 2] ^= 1;
    assert!(import_pkcs8(spec, &der::sequence(&foreign)).is_err());
    let with_more = [stored.expose(), &[0]].concat();
    assert!(import_pkcs8(spec, &with_more).is_err());
    assert!(import_pkcs8(spec, &der::tlv(0x30, &vec![0; 9000])).is_err());
}

#[test]
fn cut_keys_are_refused() {
    for spec in quick_specs() {
        let stored = generate_private_key(spec).unwrap();
        let spki = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap().public_spki();
        for len in (0..stored.len()).step_by(if spec.is_rsa() { 13 } else { 1 }) {
            assert!(import_pkcs8(spec, &stored.expose()[..len]).is_err(), "{spec:?} {len}");
            assert!(PrivateKey::from_pkcs8(spec, &stored.expose()[..len]).is_err());
        }
        for len in (0..spki.len()).step_by(7) {
            assert!(PublicKey::from_spki(spec, &spki[..len]).is_err(), "{spec:?} {len}");
        }
    }
}

/// Whatever a changed byte makes of a key, a key that is taken works.
#[test]
fn changed_keys_are_refused_or_work() {
    for spec in quick_specs().filter(|spec| !spec.is_rsa()) {
        let stored = generate_private_key(spec).unwrap();
        for index in 0..stored.len() {
            let mut changed = stored.expose().to_vec();
            changed[index] ^= 1 << (index % 8);
            let Ok(taken) = import_pkcs8(spec, &changed) else { continue };
            let key = PrivateKey::from_pkcs8(spec, taken.expose()).unwrap();
            let algorithm = spec.signing_algorithms()[0];
            let signature = key.sign(algorithm, Message::Raw(b"m")).unwrap();
            assert_eq!(key.verify(algorithm, Message::Raw(b"m"), &signature), Ok(()));
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_whatever_make_the_readers_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for spec in AsymmetricSpec::ALL {
            prop_assert!(import_pkcs8(spec, &bytes).is_err());
            prop_assert!(PublicKey::from_spki(spec, &bytes).is_err());
        }
    }

    #[test]
    fn seeds_are_all_keys(seed: [u8; 32], message in prop::collection::vec(any::<u8>(), 0..100)) {
        let spec = AsymmetricSpec::EccNistEdwards25519;
        let pkcs8 = [&hex::decode("302e020100300506032b657004220420").unwrap()[..], &seed].concat();
        let stored = import_pkcs8(spec, &pkcs8).unwrap();
        prop_assert!(stored.ct_eq(&pkcs8));
        let key = PrivateKey::from_pkcs8(spec, &pkcs8).unwrap();
        let signature = key.sign(SigningAlgorithm::Ed25519Sha512, Message::Raw(&message)).unwrap();
        prop_assert!(key.verify(SigningAlgorithm::Ed25519Sha512, Message::Raw(&message), &signature).is_ok());
    }
}
