//! The life of imported key material, where time, restarts and the domain key come into it. Every
//! wrapping with every spec: docs/interoperability.md.

use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::operation::import_key_material::ImportKeyMaterialOutput;
use aws_sdk_kms::operation::import_key_material::builders::ImportKeyMaterialFluentBuilder;
use aws_sdk_kms::primitives::{Blob, DateTime};
use aws_sdk_kms::types::{
    AlgorithmSpec, ExpirationModelType, ImportType, KeySpec, KeyUsageType, OriginType,
    WrappingKeySpec,
};
use keystead_crypto::{AsymmetricSpec, EncryptionAlgorithm, PublicKey, RootKey};
use keystead_service::Root;
use keystead_service::keyring::rotate_domain_key;
use keystead_store::Store;
use keystead_store::embedded::{Embedded, OpenOptions};
use keystead_testkit::{Outcome, TestServer, invariants, outcome};

use crate::support::{ACCOUNT, REGION, refused};

const DAY: Duration = Duration::from_secs(86_400);
/// SM2 wraps in the Regions of China alone.
const CHINA: &str = "cn-north-1";

/// Wraps key material as `algorithm` says: RSAES_OAEP_SHA_256 under RSA, or SM2PKE.
pub(crate) fn wrap(algorithm: EncryptionAlgorithm, spki: &[u8], material: &[u8]) -> Vec<u8> {
    let spec = match algorithm {
        EncryptionAlgorithm::Sm2Pke => AsymmetricSpec::parse("SM2"),
        _ => AsymmetricSpec::parse("RSA_2048"),
    };
    PublicKey::from_spki(spec.unwrap(), spki).unwrap().encrypt(algorithm, material).unwrap()
}

/// An import of this material that is ready to be sent.
pub(crate) async fn ready(
    kms: &Client,
    id: &str,
    material: &[u8],
) -> ImportKeyMaterialFluentBuilder {
    let given = kms.get_parameters_for_import().key_id(id);
    let given = given.wrapping_algorithm(AlgorithmSpec::RsaesOaepSha256);
    let given = given.wrapping_key_spec(WrappingKeySpec::Rsa2048).send().await.unwrap();
    let spki = given.public_key.unwrap();
    let wrapped = wrap(EncryptionAlgorithm::RsaesOaepSha256, spki.as_ref(), material);
    let request = kms.import_key_material().key_id(id).import_token(given.import_token.unwrap());
    let request = request.encrypted_key_material(Blob::new(wrapped));
    request.expiration_model(ExpirationModelType::KeyMaterialDoesNotExpire)
}

pub(crate) async fn put(kms: &Client, id: &str, material: &[u8]) -> ImportKeyMaterialOutput {
    ready(kms, id, material).await.send().await.unwrap()
}

pub(crate) async fn external(kms: &Client) -> String {
    let request = kms.create_key().origin(OriginType::External);
    request.send().await.unwrap().key_metadata.unwrap().key_id
}

async fn state(kms: &Client, id: &str) -> String {
    let key = kms.describe_key().key_id(id).send().await.unwrap().key_metadata.unwrap();
    key.key_state.unwrap().as_str().to_owned()
}

async fn seal(kms: &Client, id: &str) -> Blob {
    let sealed = kms.encrypt().key_id(id).plaintext(Blob::new("p")).send().await.unwrap();
    sealed.ciphertext_blob.unwrap()
}

async fn opens(kms: &Client, blob: &Blob) {
    let opened = kms.decrypt().ciphertext_blob(blob.clone()).send().await.unwrap();
    assert_eq!(opened.plaintext.unwrap().as_ref(), b"p");
}

fn named(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Refused { name, .. } => name,
        other => panic!("not refused: {other:?}"),
    }
}

/// The token carries all there is to an import: it survives a restart of the server. It is sealed by
/// the domain key of its time: after that key's rotation it is refused, and a new one is had.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_after_a_restart_and_after_a_rotated_domain_key() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let (one, two) = (external(&kms).await, external(&kms).await);
    let (first, second) = (ready(&kms, &one, &[1; 32]).await, ready(&kms, &two, &[2; 32]).await);
    server.restart().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let again = |request: &ImportKeyMaterialFluentBuilder| {
        let input = request.as_input();
        kms.import_key_material()
            .set_key_id(input.get_key_id().clone())
            .set_import_token(input.get_import_token().clone())
            .set_encrypted_key_material(input.get_encrypted_key_material().clone())
            .expiration_model(ExpirationModelType::KeyMaterialDoesNotExpire)
    };
    again(&first).send().await.unwrap();
    let sealed = seal(&kms, &one).await;
    server.stop().await.unwrap();
    {
        let store = Embedded::open(server.data_dir(), &OpenOptions::default()).unwrap();
        let root = Root::Key(RootKey::load_file(server.root_key_file()).unwrap());
        rotate_domain_key(&store, root).await.unwrap();
        store.close().await.unwrap();
    }
    server.restart().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    opens(&kms, &sealed).await;
    let request = kms.import_key_material().key_id(&two);
    let request = request
        .set_import_token(second.as_input().get_import_token().clone())
        .set_encrypted_key_material(second.as_input().get_encrypted_key_material().clone())
        .expiration_model(ExpirationModelType::KeyMaterialDoesNotExpire);
    assert_eq!(named(&outcome(request.send().await)), "InvalidImportTokenException");
    assert_eq!(state(&kms, &two).await, "PendingImport");
    put(&kms, &two, &[2; 32]).await;
    opens(&kms, &seal(&kms, &two).await).await;
    invariants::check(server.service().unwrap()).await.unwrap();
}

/// A token is good until its very last millisecond, and for its own key alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_when_it_says() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let (one, two) = (external(&kms).await, external(&kms).await);
    let request = ready(&kms, &one, &[1; 32]).await;
    let stray = request.clone().key_id(&two).send().await;
    assert_eq!(named(&outcome(stray)), "InvalidImportTokenException");
    let mut server = server;
    server.advance(DAY + Duration::from_secs(1)).await.unwrap();
    let late = outcome(request.clone().send().await);
    assert_eq!(named(&late), "ExpiredImportTokenException");
    server.set_back(Duration::from_secs(3_600)).unwrap();
    request.send().await.unwrap();
    assert_eq!(state(&kms, &one).await, "Enabled");
}

/// Two materials with an end each: whichever ends makes the key unusable, until that one, and no
/// other, is imported again; also when the end came while nothing swept.
#[tokio::test(flavor = "multi_thread")]
async fn each_material_has_an_end_of_its_own() {
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let id = external(&kms).await;
    let now = std::time::SystemTime::now();
    let until = |days: u32| DateTime::from(now + days * DAY);
    let first = ready(&kms, &id, &[1; 32]).await;
    let first = first.expiration_model(ExpirationModelType::KeyMaterialExpires);
    let first_id = first.valid_to(until(10)).send().await.unwrap().key_material_id.unwrap();
    let old = seal(&kms, &id).await;
    let second = ready(&kms, &id, &[2; 32]).await.import_type(ImportType::NewKeyMaterial);
    let second = second.expiration_model(ExpirationModelType::KeyMaterialExpires);
    let second_id = second.valid_to(until(20)).send().await.unwrap().key_material_id.unwrap();
    kms.rotate_key_on_demand().key_id(&id).send().await.unwrap();
    let new = seal(&kms, &id).await;
    invariants::check(server.service().unwrap()).await.unwrap();

    server.advance_unswept(11 * DAY).unwrap();
    let key = kms.describe_key().key_id(&id).send().await.unwrap().key_metadata.unwrap();
    let pending = refused(
        "KMSInvalidStateException",
        format!("{} is pending import.", key.arn.as_ref().unwrap()),
    );
    assert_eq!(state(&kms, &id).await, "PendingImport");
    let decrypt = |blob: &Blob| kms.decrypt().ciphertext_blob(blob.clone()).send();
    assert_eq!(outcome(decrypt(&old).await), pending);
    assert_eq!(outcome(decrypt(&new).await), pending);
    // The other material is there already; a third is none of the key's.
    put(&kms, &id, &[2; 32]).await;
    assert_eq!(outcome(decrypt(&new).await), pending);
    let strange = ready(&kms, &id, &[3; 32]).await.send().await;
    assert_eq!(named(&outcome(strange)), "IncorrectKeyMaterialException");
    let mistaken = ready(&kms, &id, &[1; 32]).await.key_material_id(&second_id).send().await;
    assert_eq!(named(&outcome(mistaken)), "IncorrectKeyMaterialException");
    let back = ready(&kms, &id, &[1; 32]).await.key_material_id(&first_id).send().await.unwrap();
    assert_eq!(back.key_material_id.unwrap(), first_id);
    opens(&kms, &old).await;
    opens(&kms, &new).await;
    server.service().unwrap().sweep().await.unwrap();
    // Imported without an end now, both stay.
    server.advance(100 * DAY).await.unwrap();
    opens(&kms, &old).await;
    opens(&kms, &new).await;
    // Deletion names the material.
    kms.delete_imported_key_material().key_id(&id).key_material_id(&first_id).send().await.unwrap();
    assert_eq!(outcome(decrypt(&new).await), pending);
    put(&kms, &id, &[1; 32]).await;
    opens(&kms, &old).await;
    let census = invariants::check(server.service().unwrap()).await.unwrap();
    assert_eq!((census.keys, census.materials), (1, 2));
}

/// SM2PKE, from the wrapping key to a signature's MAC and a ciphertext.
#[tokio::test(flavor = "multi_thread")]
async fn sm2_wraps_in_china() {
    let server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, CHINA);
    let symmetric = external(&kms).await;
    let mac = kms.create_key().origin(OriginType::External).key_spec(KeySpec::Hmac256);
    let mac = mac.key_usage(KeyUsageType::GenerateVerifyMac).send().await.unwrap();
    let mac = mac.key_metadata.unwrap().key_id;
    for id in [&symmetric, &mac] {
        let given = kms.get_parameters_for_import().key_id(id);
        let given = given.wrapping_algorithm(AlgorithmSpec::Sm2Pke);
        let given = given.wrapping_key_spec(WrappingKeySpec::Sm2).send().await.unwrap();
        let spki = given.public_key.unwrap();
        let wrapped = wrap(EncryptionAlgorithm::Sm2Pke, spki.as_ref(), &[7; 32]);
        let mut damaged = wrapped.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let request = kms.import_key_material().key_id(id);
        let request = request.import_token(given.import_token.unwrap());
        let request = request.expiration_model(ExpirationModelType::KeyMaterialDoesNotExpire);
        let broken = request.clone().encrypted_key_material(Blob::new(damaged)).send().await;
        assert_eq!(named(&outcome(broken)), "InvalidCiphertextException");
        request.encrypted_key_material(Blob::new(wrapped)).send().await.unwrap();
    }
    opens(&kms, &seal(&kms, &symmetric).await).await;
    let made = kms.generate_mac().key_id(&mac).message(Blob::new("m"));
    let made = made.mac_algorithm("HMAC_SHA_256".into()).send().await.unwrap().mac.unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[7; 32]);
    assert_eq!(made.as_ref(), aws_lc_rs::hmac::sign(&key, b"m").as_ref());
}
