//! The examples of the standards themselves.

use keystead_crypto::{
    AsymmetricSpec, EncryptionAlgorithm, Message, PrivateKey, SigningAlgorithm, VerifyError,
    import_pkcs8,
};

use crate::der;
use crate::ledger::{Ledger, Tally};

fn unhex(digits: &str) -> Vec<u8> {
    hex::decode(digits.replace(' ', "")).unwrap()
}

/// The key of the examples of GM/T 0003.5.
fn standard_sm2_key() -> PrivateKey {
    let scalar = unhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8");
    let pkcs8 = der::ec_pkcs8(AsymmetricSpec::Sm2, &scalar, &[]);
    let stored = import_pkcs8(AsymmetricSpec::Sm2, &pkcs8).unwrap();
    PrivateKey::from_pkcs8(AsymmetricSpec::Sm2, stored.expose()).unwrap()
}

/// GM/T 0003.5, annex A: message, e, r and s.
#[test]
fn sm2_signature_of_the_standard() {
    let key = standard_sm2_key();
    let e = unhex("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640");
    let [r, s] = [
        "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3",
        "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa",
    ]
    .map(|number| der::tlv(2, &[vec![0], unhex(number)].concat()));
    let signature = der::sequence(&[r, s]);
    let algorithm = SigningAlgorithm::Sm2Dsa;
    let mut ledger = Ledger::new("tests/asymmetric/standards.rs sm2_signature_of_the_standard");
    let mut tally = Tally::default();
    for message in [Message::Raw(b"message digest"), Message::Digest(&e)] {
        assert_eq!(key.verify(algorithm, message, &signature), Ok(()), "{message:?}");
        tally.count(true);
    }
    for message in [Message::Raw(b"message digesT"), Message::Digest(&[1; 32])] {
        let verified = key.verify(algorithm, message, &signature);
        assert_eq!(verified, Err(VerifyError::InvalidSignature), "{message:?}");
        tally.count(false);
    }
    ledger.record("GM/T 0003.5, annex A", tally);
    ledger.close();
}

/// GM/T 0003.5, annex C, the ciphertext written as GM/T 0009 does.
#[test]
fn sm2_ciphertext_of_the_standard() {
    let ciphertext = der::sequence(&[
        der::tlv(2, &unhex("04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73")),
        der::tlv(2, &unhex("00e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0")),
        der::tlv(4, &unhex("59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766")),
        der::tlv(4, &unhex("21886ca989ca9c7d58087307ca93092d651efa")),
    ]);
    let plaintext = standard_sm2_key().decrypt(EncryptionAlgorithm::Sm2Pke, &ciphertext).unwrap();
    assert_eq!(plaintext.expose(), b"encryption standard");
    let mut ledger = Ledger::new("tests/asymmetric/standards.rs sm2_ciphertext_of_the_standard");
    let mut tally = Tally::default();
    tally.count(true);
    ledger.record("GM/T 0003.5, annex C", tally);
    ledger.close();
}

/// The first point of that ciphertext is the nonce of annex C times the generator, so its x is the
/// secret that the nonce as a private key shares with the generator as a public one.
#[test]
fn sm2_agreement_from_the_numbers_of_the_standard() {
    let nonce = unhex("59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21");
    let generator = unhex(
        "04 32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7\
         bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0",
    );
    let spec = AsymmetricSpec::Sm2;
    let stored = import_pkcs8(spec, &der::ec_pkcs8(spec, &nonce, &[])).unwrap();
    let key = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap();
    let secret = key.agree(&der::ec_spki(spec, &generator)).unwrap();
    let expected = unhex("04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73");
    assert_eq!(secret.expose(), expected);
    let mut ledger =
        Ledger::new("tests/asymmetric/standards.rs sm2_agreement_from_the_numbers_of_the_standard");
    let mut tally = Tally::default();
    tally.count(true);
    ledger.record("GM/T 0003.5, annex C, first point", tally);
    ledger.close();
}

/// RFC 8032, 7.1: signing is deterministic, so ours are the very bytes.
#[test]
fn ed25519_of_the_rfc() {
    let algorithm = SigningAlgorithm::Ed25519Sha512;
    let mut ledger = Ledger::new("tests/asymmetric/standards.rs ed25519_of_the_rfc");
    let mut tally = Tally::default();
    for case in crate::cases(include_str!("../../testdata/rfc8032.json")) {
        let [seed, public, message, signature] = ["secretKey", "publicKey", "message", "signature"]
            .map(|name| unhex(case[name].as_str().unwrap()));
        let pkcs8 = [unhex("302e020100300506032b657004220420"), seed].concat();
        let key = PrivateKey::from_pkcs8(AsymmetricSpec::EccNistEdwards25519, &pkcs8).unwrap();
        assert!(key.public_spki().ends_with(&public), "{case}");
        assert_eq!(key.sign(algorithm, Message::Raw(&message)).unwrap(), signature, "{case}");
        assert_eq!(key.verify(algorithm, Message::Raw(&message), &signature), Ok(()), "{case}");
        tally.count(true);
    }
    ledger.record("RFC 8032, 7.1", tally);
    ledger.close();
}
