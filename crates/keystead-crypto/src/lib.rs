//! Keys and what is made with them: key material, data key pairs, the ciphertext blob, the
//! encryption context, and the key hierarchy that keeps all of it safe at rest.
//!
//! # What it is for
//! `keystead-service` holds records and decides who may do what; this room holds secrets and
//! computes. It can be used alone: everything is synchronous, and there is no state but the keys
//! themselves.
//!
//! # What it never does
//! It opens no connection, knows no store, no policy and no exception of AWS, prints no secret, and
//! tells nobody why a ciphertext did not decrypt. There is no primitive of its own making: AWS-LC
//! (by `aws-lc-rs`) does all but SM2 with SM3 (`sm2`) and Argon2id (`argon2`).
//!
//! # An example
//! ```
//! use keystead_crypto::{
//!     Blob, BlobHeader, DomainKeys, EncryptionContext, MaterialContext, RootKey, SymmetricMaterial, decrypt, encrypt,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A new store: root key, domain key, key material; the last two are stored wrapped.
//! let root = RootKey::generate()?;
//! let store_id = [7; 16];
//! let domain_keys = DomainKeys::generate(store_id)?;
//! let stored_domain_key = domain_keys.wrap_epoch(&root, 1)?;
//!
//! let key_id = "1234abcd-12ab-34cd-56ef-1234567890ab";
//! let material = SymmetricMaterial::generate()?;
//! let material_id = material.id(key_id, "SYMMETRIC_DEFAULT")?;
//! let context = MaterialContext {
//!     account: b"111122223333",
//!     key_id,
//!     spec: "SYMMETRIC_DEFAULT",
//!     material_id: &material_id,
//! };
//! let stored_material = domain_keys.wrap_material(&context, &material)?;
//!
//! let header = BlobHeader { key_id: [1; 16], multi_region: false, material_id };
//! let purpose = EncryptionContext::from_pairs([("purpose", "example")])?;
//! let blob = encrypt(&material, &header, b"a secret", &purpose)?;
//!
//! // After a restart.
//! let domain_keys = DomainKeys::unwrap(store_id, &root, [(1, stored_domain_key)])?;
//! let material = domain_keys.unwrap_material(&context, &stored_material)?;
//! let blob = Blob::parse(&blob)?;
//! assert_eq!(blob.header().material_id, material_id);
//! assert!(decrypt(&material, &blob, &purpose)?.ct_eq(b"a secret"));
//! assert!(decrypt(&material, &blob, &EncryptionContext::empty()).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Where to read next
//! [`blob`] and [`hierarchy`] give the formats byte by byte, [`arena`] where keys lie in memory,
//! [`pairs`] what a key pair goes through before it is handed out, [`asymmetric`] which algorithm
//! signs what, [`wrapping`] how key material comes in from outside, [`provider`] where the root key
//! comes from, [`access_key`] how the secrets of access keys are sealed, [`session`] what temporary
//! credentials are made of, [`jws`] which signatures of identity providers are verified, [`audit_key`]
//! what signs the audit log.

pub mod access_key;
pub mod arena;
pub mod asymmetric;
pub mod audit_key;
pub mod blob;
pub mod hierarchy;
pub mod jws;
pub mod mac;
pub mod pairs;
pub mod provider;
pub mod session;
pub mod wrapping;

mod context;
mod error;
mod framing;
mod material;
mod primitive;
mod process;
mod random;
mod record_key;
mod root_check;
mod secret;

pub use access_key::{
    AccessKeySeal, SECRET_ACCESS_KEY_LEN, random_access_key_id, random_secret_access_key,
};
pub use asymmetric::{
    AgreeError, AsymmetricSpec, DecryptError, EncryptError, EncryptionAlgorithm, InvalidKey,
    Message, MessageError, PrivateKey, PublicKey, SignError, SigningAlgorithm, VerifyError,
    check_message, generate_private_key, import_pkcs8,
};
pub use audit_key::{AUDIT_PUBLIC_KEY_LEN, AUDIT_SIGNATURE_LEN, AuditSigningKey};
pub use blob::{BLOB_OVERHEAD, Blob, BlobHeader, InvalidCiphertext, MAX_BLOB, decrypt, encrypt};
pub use context::{DuplicateKey, EncryptionContext};
pub use error::{CryptoError, RootCheckError, UnwrapError};
pub use hierarchy::{
    DomainKeys, InvalidMarker, InvalidToken, MAX_SECRET, MaterialContext, wrapped_epoch,
};
pub use jws::{InvalidJwsKey, InvalidJwsSignature, JwsAlgorithm, JwsCurve, JwsKey};
pub use mac::{InvalidMac, MacKey, MacSpec};
pub use material::{SymmetricMaterial, secret_material_id};
pub use pairs::{DataKeyPair, PairSpec, generate_pair};
pub use process::{Hardening, HardeningFailure, harden_process};
pub use provider::{Argon2Cost, RootKey, RootKeyError};
pub use random::{fill_random, random_bytes};
pub use record_key::{RECORD_TAG_LEN, RecordKey};
pub use root_check::{root_check_value, verify_root_check_value};
pub use secret::Secret;
pub use session::MAX_SESSION_CONTENT;
pub use wrapping::{
    ImportedMaterial, WrappingAlgorithm, WrappingError, WrappingKey, WrappingKeySpec,
    WrappingMismatch, check_wrapping, generate_wrapping_key,
};

#[cfg(test)]
mod vectors;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::fmt::Debug;

    /// 32 bytes of text, so that no way of printing them can hide them.
    const PLANTED: &[u8; 32] = b"planted-secret-planted-secret-XY";

    fn shows_no_secret(value: &dyn Debug) {
        let decimal = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        for shown in
            [format!("{value:?}"), format!("{value:#?}").replace(",\n", ", ").replace("  ", "")]
        {
            let forms = ["planted".to_owned(), decimal(&PLANTED[..4]), hex::encode(&PLANTED[..4])];
            for form in forms {
                assert!(!shown.to_lowercase().contains(&form), "{shown}");
            }
        }
    }

    #[test]
    fn no_public_type_prints_a_secret() {
        let key = || {
            arena::ArenaKey::filled(arena::Area::Roots, |slot| {
                slot.copy_from_slice(PLANTED);
                Ok::<_, CryptoError>(())
            })
            .unwrap()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.key");
        std::fs::write(&path, format!("keystead-root-key-v1:{}\n", hex::encode(PLANTED))).unwrap();
        let readable = RootKey::load_file(&path).unwrap_err();
        shows_no_secret(&readable);
        std::fs::write(&path, PLANTED.repeat(4)).unwrap();
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, permissions).unwrap();
        shows_no_secret(&RootKey::load_file(&path).unwrap_err());

        let material = SymmetricMaterial::from_key(key());
        let pair = DataKeyPair { private_pkcs8: Secret::from_slice(PLANTED), public_spki: vec![1] };
        let blob = encrypt(
            &material,
            &BlobHeader { key_id: [0; 16], multi_region: false, material_id: [0; 32] },
            PLANTED,
            &EncryptionContext::from_pairs([("planted", "planted")]).unwrap(),
        )
        .unwrap();
        let slot = RootKey::generate()
            .unwrap()
            .to_passphrase_slot(PLANTED, &Argon2Cost::new(8, 1, 1).unwrap())
            .unwrap();

        shows_no_secret(&key());
        shows_no_secret(&Secret::from_slice(PLANTED));
        shows_no_secret(&material);
        shows_no_secret(&RecordKey::from_key(key()));
        shows_no_secret(&AccessKeySeal::from_key(key()));
        shows_no_secret(&DomainKeys::generate([0; 16]).unwrap());
        shows_no_secret(&RootKey::generate().unwrap());
        shows_no_secret(&RootKey::from_passphrase_slot(&PLANTED[1..], &slot).unwrap_err());
        shows_no_secret(&pair);
        shows_no_secret(&MacKey::from_slice(MacSpec::Hmac256, PLANTED).unwrap());
        shows_no_secret(&Message::Raw(PLANTED));
        shows_no_secret(&Blob::parse(&blob).unwrap());
        shows_no_secret(&EncryptionContext::from_pairs([("planted", "planted")]).unwrap());
        shows_no_secret(&arena::status());
    }

    #[test]
    fn types_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<arena::ArenaKey>();
        shared::<Secret>();
        shared::<RootKey>();
        shared::<DomainKeys>();
        shared::<SymmetricMaterial>();
        shared::<RecordKey>();
        shared::<AccessKeySeal>();
        shared::<DataKeyPair>();
        shared::<PrivateKey>();
        shared::<PublicKey>();
        shared::<MacKey>();
        shared::<WrappingKey>();
        shared::<EncryptionContext>();
    }
}
