//! What the service is for: a data key pair made under a KMS key is opened again by Decrypt, also
//! after a restart.

use std::collections::HashMap;

use aws_sdk_kms::types::DataKeyPairSpec;
use keystead_testkit::TestServer;

use crate::support::{ACCOUNT, new_key};

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_of_every_spec_survives_a_restart() {
    let mut server = TestServer::start().await.unwrap();
    let mut sealed = Vec::new();
    // The SDK knows specs that came after the model this service is made from.
    for spec in keystead_model::DataKeyPairSpec::ALL {
        let spec = spec.as_str();
        // SM2 is for the Regions of China.
        let region = if spec == "SM2" { "cn-north-1" } else { "us-east-1" };
        let kms = server.client(ACCOUNT, region);
        let key = new_key(&kms).await;
        let context = HashMap::from([("spec".to_owned(), spec.to_owned())]);
        let request = kms.generate_data_key_pair().key_id(key.key_id());
        let request = request.key_pair_spec(DataKeyPairSpec::from(spec));
        let pair = request.set_encryption_context(Some(context.clone())).send().await.unwrap();
        assert_eq!(pair.key_pair_spec.unwrap().as_str(), spec);
        assert_eq!(pair.key_id, key.arn);
        assert_eq!(pair.key_material_id, key.current_key_material_id);
        let (private, public) = (pair.private_key_plaintext.unwrap(), pair.public_key.unwrap());
        // Both are DER SEQUENCEs: PKCS #8 (RFC 5958) and SubjectPublicKeyInfo (RFC 5280).
        assert_eq!((private.as_ref()[0], public.as_ref()[0]), (0x30, 0x30), "{spec}");
        sealed.push((region, key, context, pair.private_key_ciphertext_blob.unwrap(), private));
    }
    assert_eq!(sealed.len(), 9);
    server.restart().await.unwrap();
    for (region, key, context, blob, private) in sealed {
        let kms = server.client(ACCOUNT, region);
        let decrypt = kms.decrypt().ciphertext_blob(blob);
        let opened =
            decrypt.clone().set_encryption_context(Some(context.clone())).send().await.unwrap();
        assert_eq!(opened.plaintext.unwrap(), private, "{context:?}");
        assert_eq!(opened.key_id, key.arn);
        let without = decrypt.send().await.unwrap_err().into_service_error();
        assert!(without.is_invalid_ciphertext_exception(), "{without:?}");
    }
}
