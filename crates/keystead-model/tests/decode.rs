//! Request bodies: what is read, what is refused, in which words.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use keystead_model::{
    CreateCustomKeyStoreRequest, CreateGrantRequest, CreateKeyRequest, DataKeyPairSpec,
    DecodeError, DecryptRequest, EncryptRequest, GenerateDataKeyPairRequest,
    GenerateDataKeyRequest, GenerateRandomRequest, GrantOperation, ImportKeyMaterialRequest, Input,
    KeyEncryptionMechanism, KeySpec, ListKeysRequest, ListResourceTagsResponse, OperationName,
    Output, SignRequest, Tag, TagResourceRequest, Timestamp, UntagResourceRequest, decode_any,
};
use proptest::prelude::*;

fn message<T: Input>(body: &str) -> String {
    match T::decode(body.as_bytes()) {
        Err(DecodeError::Validation(message)) => message,
        Err(DecodeError::Serialization(why)) => panic!("{body}: serialization: {why}"),
        Ok(_) => panic!("{body}: accepted"),
    }
}

fn is_malformed<T: Input>(body: &str) -> bool {
    matches!(T::decode(body.as_bytes()), Err(DecodeError::Serialization(_)))
}

#[test]
fn a_full_request_is_read() {
    let input = GenerateDataKeyPairRequest::decode(
        br#"{
            "KeyId": "alias/x", "KeyPairSpec": "ECC_NIST_P256", "DryRun": true,
            "EncryptionContext": {"b": "2", "a": "\u00e9", "": ""}, "GrantTokens": ["t1", "t2"],
            "Recipient": {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": "AP/+"},
            "Unknown": [1, {"KeyId": []}, null]
        }"#,
    )
    .unwrap();
    assert_eq!(input.key_id, "alias/x");
    assert_eq!(input.key_id(), Some("alias/x"));
    assert_eq!(input.key_pair_spec, DataKeyPairSpec::EccNistP256);
    assert!(input.dry_run());
    assert_eq!(input.grant_tokens(), ["t1", "t2"]);
    let context = input.encryption_context().unwrap();
    assert_eq!(context.iter().collect::<Vec<_>>(), [("", ""), ("a", "é"), ("b", "2")]);
    let recipient = input.recipient().unwrap();
    assert_eq!(recipient.key_encryption_algorithm, Some(KeyEncryptionMechanism::RsaesOaepSha256));
    assert_eq!(recipient.attestation_document.as_ref().unwrap().as_slice(), b"\x00\xff\xfe");
    assert_eq!(GenerateDataKeyPairRequest::OPERATION, OperationName::GenerateDataKeyPair);
}

#[test]
fn null_and_an_empty_body_mean_absent() {
    for body in ["", "  \r\n", "{}", r#"{"NumberOfBytes":null}"#, r#"{"Recipient":null}"#] {
        assert_eq!(GenerateRandomRequest::decode(body.as_bytes()), Ok(Default::default()));
    }
    let input = DecryptRequest::decode(br#"{"EncryptionContext":null,"KeyId":null}"#).unwrap();
    assert_eq!((input.key_id(), input.encryption_context()), (None, None));
    assert!(!DecryptRequest::decode(br#"{"DryRun":false}"#).unwrap().dry_run());
    assert!(!input.dry_run() && input.grant_tokens().is_empty() && input.recipient().is_none());
}

#[test]
fn names_are_told_apart_by_letter_case() {
    let input = DecryptRequest::decode(br#"{"keyId":1,"KEYID":2,"KeyId":"a"}"#).unwrap();
    assert_eq!(input.key_id(), Some("a"));
    assert_eq!(DecryptRequest::decode(br#"{"keyId":"a"}"#), Ok(DecryptRequest::default()));
}

#[test]
fn wrong_types_are_malformed() {
    for body in [
        r#"{"KeyId":1,"Plaintext":"YQ=="}"#,
        r#"{"KeyId":["a"],"Plaintext":"YQ=="}"#,
        r#"{"KeyId":"a","Plaintext":1}"#,
        r#"{"KeyId":"a","Plaintext":"YQ=="} x"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","DryRun":"true"}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","DryRun":1}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","EncryptionAlgorithm":1}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","EncryptionContext":[]}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","EncryptionContext":"x"}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","EncryptionContext":{"a":1}}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","EncryptionContext":{"a":["b"]}}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","EncryptionContext":{"a":"b","\u0061":"c"}}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","GrantTokens":"t"}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","GrantTokens":[1]}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","GrantTokens":[null]}"#,
        r#"{"KeyId":"a","Plaintext":"YQ==","GrantTokens":["",1]}"#,
        r#"{"KeyId":"a","KeyId":"a","Plaintext":"YQ=="}"#,
        // Found whatever else is broken before it.
        r#"{"KeyId":"","Plaintext":"","DryRun":0}"#,
        "null",
        "[]",
        "KeyId=a",
    ] {
        assert!(is_malformed::<EncryptRequest>(body), "{body}");
    }
    assert!(is_malformed::<TagResourceRequest>(r#"{"KeyId":"a","Tags":[1]}"#));
    assert!(is_malformed::<TagResourceRequest>(r#"{"KeyId":"a","Tags":[null]}"#));
    assert!(is_malformed::<TagResourceRequest>(r#"{"KeyId":"a","Tags":{}}"#));
    assert!(is_malformed::<DecryptRequest>(r#"{"Recipient":"x"}"#));
}

#[test]
fn blobs_are_base64_of_the_standard_alphabet_with_padding() {
    let read = |text: &str| {
        EncryptRequest::decode(format!(r#"{{"KeyId":"a","Plaintext":"{text}"}}"#).as_bytes())
    };
    assert_eq!(read("+/+/").unwrap().plaintext.as_slice(), b"\xfb\xff\xbf");
    assert_eq!(read("YQ\\u003d=").unwrap().plaintext.as_slice(), b"a");
    for text in
        ["YQ", "YQ=", "YQ===", "-_-_", "YR==", "YQ==YQ==", "Y Q==", "YQ==\\n", "====", "é===", "A"]
    {
        assert!(matches!(read(text), Err(DecodeError::Serialization(_))), "{text}");
    }
}

#[test]
fn integers_have_an_integral_value_of_32_bits() {
    let read = |text: &str| {
        GenerateRandomRequest::decode(format!(r#"{{"NumberOfBytes":{text}}}"#).as_bytes())
    };
    for text in ["32", "32.0", "3.2e1", "320E-1"] {
        assert_eq!(read(text).unwrap().number_of_bytes, Some(32), "{text}");
    }
    for text in ["1.5", "2147483648", "-2147483649", "1e400", "1e10", "\"32\"", "true", "[32]"] {
        assert!(matches!(read(text), Err(DecodeError::Serialization(_))), "{text}");
    }
    for text in ["2147483647", "-2147483648", "0", "-0", "1025"] {
        assert!(matches!(read(text), Err(DecodeError::Validation(_))), "{text}");
    }
}

#[test]
fn timestamps_are_numbers() {
    let read = |text: &str| {
        let body = format!(
            r#"{{"KeyId":"a","ImportToken":"YQ==","EncryptedKeyMaterial":"YQ==","ValidTo":{text}}}"#
        );
        ImportKeyMaterialRequest::decode(body.as_bytes()).map(|input| input.valid_to)
    };
    assert_eq!(read("1614905581.947"), Ok(Some(Timestamp::from_millis(1_614_905_581_947))));
    assert_eq!(read("1614905581"), Ok(Some(Timestamp::from_millis(1_614_905_581_000))));
    for text in ["\"2021-03-05T00:53:01Z\"", "1e300", "{}"] {
        assert!(matches!(read(text), Err(DecodeError::Serialization(_))), "{text}");
    }
}

#[test]
fn each_constraint_has_its_text() {
    assert_eq!(
        message::<EncryptRequest>(r#"{"Plaintext":"YQ=="}"#),
        "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must \
         not be null"
    );
    assert_eq!(
        message::<EncryptRequest>(r#"{"KeyId":"a","Plaintext":null}"#),
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member \
         must not be null"
    );
    // The next three are recorded in this form.
    assert_eq!(
        message::<CreateKeyRequest>(r#"{"KeyUsage":"RANDOM"}"#),
        "1 validation error detected: Value 'RANDOM' at 'keyUsage' failed to satisfy constraint: Member \
         must satisfy enum value set: [SIGN_VERIFY, ENCRYPT_DECRYPT, GENERATE_VERIFY_MAC, KEY_AGREEMENT]"
    );
    assert_eq!(
        message::<GenerateDataKeyRequest>(r#"{"KeyId":"a","NumberOfBytes":1025}"#),
        "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: \
         Member must have value less than or equal to 1024"
    );
    let value = "v".repeat(257);
    assert_eq!(
        message::<TagResourceRequest>(&format!(
            r#"{{"KeyId":"a","Tags":[{{"TagKey":"a","TagValue":"{value}"}}]}}"#
        )),
        format!(
            "1 validation error detected: Value '{value}' at 'tags.1.member.tagValue' failed to satisfy \
             constraint: Member must have length less than or equal to 256"
        )
    );
    assert_eq!(
        message::<EncryptRequest>(r#"{"KeyId":"","Plaintext":"YQ=="}"#),
        "2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must \
         have length greater than or equal to 1; Value '' at 'keyId' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: ^\\p{ASCII}+$"
    );
    assert_eq!(
        message::<EncryptRequest>(r#"{"KeyId":"a","Plaintext":""}"#),
        "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must \
         have length greater than or equal to 1"
    );
    assert_eq!(
        message::<CreateGrantRequest>(
            r#"{"KeyId":"a","GranteePrincipal":"a b","Operations":["Decrypt"]}"#
        ),
        "1 validation error detected: Value 'a b' at 'granteePrincipal' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: ^[\\w+=,.@:/-]+$"
    );
    assert_eq!(
        message::<EncryptRequest>(&format!(
            r#"{{"KeyId":"a","Plaintext":"YQ==","GrantTokens":[{}"x"]}}"#,
            "\"x\",".repeat(10)
        )),
        "1 validation error detected: Value '[x, x, x, x, x, x, x, x, x, x, x]' at 'grantTokens' failed \
         to satisfy constraint: Member must have length less than or equal to 10"
    );
    assert_eq!(
        message::<UntagResourceRequest>(r#"{"KeyId":"a","TagKeys":["a",""]}"#),
        "1 validation error detected: Value '[a, ]' at 'tagKeys' failed to satisfy constraint: Member \
         must satisfy constraint: [Member must have length less than or equal to 128, Member must have \
         length greater than or equal to 1]"
    );
    let operations: Vec<&str> = GrantOperation::WIRE.to_vec();
    assert_eq!(
        message::<CreateGrantRequest>(
            r#"{"KeyId":"a","GranteePrincipal":"a","Operations":["Decrypt","decrypt"]}"#
        ),
        format!(
            "1 validation error detected: Value '[Decrypt, decrypt]' at 'operations' failed to satisfy \
             constraint: Member must satisfy constraint: [Member must satisfy enum value set: [{}]]",
            operations.join(", ")
        )
    );
}

#[test]
fn several_violations_are_told_in_the_order_of_the_model() {
    assert_eq!(
        message::<GenerateDataKeyRequest>(
            r#"{"GrantTokens":[""],"KeySpec":"AES_512","NumberOfBytes":0}"#
        ),
        "4 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must \
         not be null; Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value \
         greater than or equal to 1; Value 'AES_512' at 'keySpec' failed to satisfy constraint: Member \
         must satisfy enum value set: [AES_256, AES_128]; Value '[]' at 'grantTokens' failed to satisfy \
         constraint: Member must satisfy constraint: [Member must have length less than or equal to \
         8192, Member must have length greater than or equal to 1]"
    );
    // One value may break two constraints; nested members count like others.
    let text = message::<CreateKeyRequest>(
        r#"{"Policy":"","Tags":[{"TagKey":"a"},{"TagKey":"","TagValue":"b"}]}"#,
    );
    assert!(text.starts_with("4 validation errors detected: Value '' at 'policy' "), "{text}");
    assert!(
        text.contains("; Value '' at 'policy' failed to satisfy constraint: Member must satisfy")
    );
    assert!(text.contains("; Value null at 'tags.1.member.tagValue' "), "{text}");
    assert!(text.contains("; Value '' at 'tags.2.member.tagKey' "), "{text}");
}

#[test]
fn secrets_are_not_shown() {
    let body = r#"{
        "CustomKeyStoreName": "n", "KeyStorePassword": "plante",
        "XksProxyAuthenticationCredential": {"AccessKeyId": "planted", "RawSecretAccessKey": "planted!"}
    }"#;
    let text = message::<CreateCustomKeyStoreRequest>(body);
    assert!(
        text.starts_with("5 validation errors detected: Value at 'keyStorePassword' "),
        "{text}"
    );
    assert!(
        text.contains("Value at 'xksProxyAuthenticationCredential.rawSecretAccessKey' "),
        "{text}"
    );
    assert!(!text.contains("plante"), "{text}");

    let text = message::<SignRequest>(
        r#"{"KeyId":"","Message":"cGxhbnRlZA==","SigningAlgorithm":"ED25519_SHA_512"}"#,
    );
    assert!(!text.contains("cGxhbnRlZA"), "{text}");
    let text = message::<EncryptRequest>(
        r#"{"KeyId":"","Plaintext":"YQ==","EncryptionContext":{"k":"planted"}}"#,
    );
    assert!(!text.contains("planted"), "{text}");
}

#[test]
fn a_null_context_value_has_a_text_of_its_own() {
    let body = r#"{"KeyId":"a","Plaintext":"YQ==","EncryptionContext":{"a":null}}"#;
    assert_eq!(message::<EncryptRequest>(body), "Invalid EncryptionContext");
    let body = r#"{"KeyId":"","Plaintext":"YQ==","EncryptionContext":{"a":null}}"#;
    assert!(message::<EncryptRequest>(body).starts_with("2 validation errors detected: "));
    let body = r#"{"KeyId":"a","Plaintext":"YQ==","EncryptionContext":{"a":null,"b":1}}"#;
    assert!(is_malformed::<EncryptRequest>(body));
}

#[test]
fn length_of_text_counts_code_points() {
    let body = |count: usize| format!(r#"{{"KeyId":"a","TagKeys":["{}"]}}"#, "😀".repeat(count));
    assert!(UntagResourceRequest::decode(body(128).as_bytes()).is_ok());
    message::<UntagResourceRequest>(&body(129));

    let body =
        |password: &str| format!(r#"{{"CustomKeyStoreName":"n","KeyStorePassword":"{password}"}}"#);
    assert!(CreateCustomKeyStoreRequest::decode(body("ééééééé").as_bytes()).is_ok());
    message::<CreateCustomKeyStoreRequest>(&body("éééééé"));
}

#[test]
fn patterns_match_the_whole_text() {
    let read =
        |marker: &str| ListKeysRequest::decode(format!(r#"{{"Marker":"{marker}"}}"#).as_bytes());
    assert!(read("abc ÿ").is_ok());
    for marker in ["a\\u0100", "\\u0100a", "a\\n", "\\u0000"] {
        assert!(read(marker).is_err(), "{marker}");
    }
}

#[test]
fn messages_are_bounded() {
    let long = "é".repeat(100_000);
    let text = message::<EncryptRequest>(&format!(r#"{{"KeyId":"{long}","Plaintext":"YQ=="}}"#));
    assert!(text.contains(&format!("Value '{}...' at 'keyId' ", "é".repeat(1024))), "{text}");
    let text = message::<UntagResourceRequest>(&format!(
        r#"{{"KeyId":"a","TagKeys":["{long}","{long}"]}}"#
    ));
    assert!(text.contains(&format!("Value '[{}...]' at 'tagKeys' ", "é".repeat(1024))), "{text}");
    let exact = "x".repeat(1024);
    let text = message::<ListKeysRequest>(&format!(r#"{{"Marker":"{exact}y"}}"#));
    assert!(text.contains(&format!("Value '{exact}...' at")), "{text}");

    let tags = "{},".repeat(10_000);
    let text = message::<TagResourceRequest>(&format!(r#"{{"KeyId":"a","Tags":[{tags}{{}}]}}"#));
    assert!(text.starts_with("128 validation errors detected: "), "{text}");
    assert_eq!(text.matches("failed to satisfy").count(), 128);
}

#[test]
fn large_bodies_end_quickly_whatever_they_hold() {
    let many = (0..60_000).map(|i| format!("\"{i}\":0,")).collect::<String>();
    let body = format!(r#"{{{many}"KeyId":"a","Plaintext":"YQ=="}}"#);
    assert!(EncryptRequest::decode(body.as_bytes()).is_ok());
    for body in [
        "[".repeat(10_000_000),
        format!("{{\"a\":{}", "[".repeat(10_000_000)),
        format!("{{\"a\":[{}0]}}", "0,".repeat(5_000_000)),
        format!("{{\"a\":\"{}", "\\\\".repeat(5_000_000)),
        format!("{{\"KeyId\":{}}}", "9".repeat(10_000_000)),
    ] {
        assert!(is_malformed::<EncryptRequest>(&body));
    }
}

#[test]
fn targets_name_operations() {
    assert_eq!(OperationName::ALL.len(), 54);
    assert_eq!(
        OperationName::from_target("TrentService.ReEncrypt"),
        Some(OperationName::ReEncrypt)
    );
    for target in
        ["", "ReEncrypt", "TrentService.", "TrentService.reEncrypt", "trentservice.ReEncrypt"]
    {
        assert_eq!(OperationName::from_target(target), None, "{target}");
    }
}

#[test]
fn enumerations_are_their_wire_text_in_serde() {
    for spec in KeySpec::ALL {
        let json = serde_json::to_string(spec).unwrap();
        assert_eq!(json, format!("\"{spec}\""));
        assert_eq!(serde_json::from_str::<KeySpec>(&json).unwrap(), *spec);
        assert_eq!(KeySpec::parse(spec.as_str()), Some(*spec));
    }
    assert!(serde_json::from_str::<KeySpec>("\"rsa_2048\"").is_err());
}

/// JSON of every kind whose names are often those of the model.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[a-zA-Z0-9+/=_:-]{0,24}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let name = prop_oneof![
        prop::sample::select(vec![
            "KeyId",
            "Plaintext",
            "CiphertextBlob",
            "EncryptionContext",
            "GrantTokens",
            "Tags",
            "TagKey",
            "TagValue",
            "Recipient",
            "AttestationDocument",
            "DryRun",
            "Limit",
            "Policy",
            "Operations",
            "Constraints",
            "EncryptionContextEquals",
            "NumberOfBytes",
            "ValidTo",
        ])
        .prop_map(str::to_owned),
        "[a-z]{0,3}",
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map(name.clone(), inner, 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(body in prop::collection::vec(any::<u8>(), 0..300)) {
        for operation in OperationName::ALL {
            let _ = decode_any(*operation, &body);
        }
    }

    #[test]
    fn any_json_gives_an_answer(json in any_json(), cut in 0..2000_usize, flip: u8) {
        let mut body = serde_json::to_vec(&json).unwrap();
        for operation in OperationName::ALL {
            let _ = decode_any(*operation, &body);
        }
        let length = body.len();
        body[cut % length] ^= flip;
        for operation in OperationName::ALL {
            let _ = decode_any(*operation, &body);
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        tags in prop::collection::vec((any::<char>(), "\\PC{0,20}|[\\x00-\\x7f]{0,20}"), 0..8),
    ) {
        let tags: Vec<Tag> = tags
            .into_iter()
            .map(|(key, value)| Tag { tag_key: key.to_string(), tag_value: value })
            .collect();
        let output =
            ListResourceTagsResponse { tags: Some(tags.clone()), ..Default::default() }.encode();
        let theirs: serde_json::Value = serde_json::from_slice(&output).unwrap();
        for (tag, json) in tags.iter().zip(theirs["Tags"].as_array().unwrap()) {
            prop_assert_eq!(json["TagKey"].as_str(), Some(tag.tag_key.as_str()));
            prop_assert_eq!(json["TagValue"].as_str(), Some(tag.tag_value.as_str()));
        }
        // The response's only member is one that TagResource takes.
        let body = [br#"{"KeyId":"a","#, &output[1..]].concat();
        let input = TagResourceRequest::decode(&body).unwrap();
        prop_assert_eq!(input.tags, tags);
    }

    #[test]
    fn contexts_are_read_as_serde_json_writes_them(
        context in prop::collection::btree_map(any::<String>(), any::<String>(), 0..8),
    ) {
        let body = serde_json::json!({"EncryptionContext": context});
        let input = DecryptRequest::decode(&serde_json::to_vec(&body).unwrap()).unwrap();
        prop_assert_eq!(input.encryption_context, Some(context.into_iter().collect()));
    }
}
