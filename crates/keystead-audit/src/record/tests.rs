#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use serde_json::{Value, json};

use super::*;

const TIME: i64 = 1_767_607_651_999;
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn id(fill: u8) -> EventId {
    EventId::from_random([fill; 16])
}

fn signer_session() -> SessionContext<'static> {
    SessionContext {
        issuer: Some(SessionIssuer {
            kind: IssuerKind::Role,
            principal_id: "AROAEXAMPLE",
            arn: "arn:aws:iam::111122223333:role/Signer",
            account_id: "111122223333",
            user_name: Some("Signer"),
        }),
        web_identity: None,
        creation_date: 1_767_607_200_000,
        mfa_authenticated: false,
        source_identity: None,
        ec2_role_delivery: None,
    }
}

fn signer() -> UserIdentity<'static> {
    UserIdentity::assumed_role(
        "AROAEXAMPLE:signer",
        "arn:aws:sts::111122223333:assumed-role/Signer/signer",
        "111122223333",
        "ASIAEXAMPLE",
        signer_session(),
    )
}

fn parsed(record: &Record<'_>) -> Value {
    let line = record.encode();
    assert!(!line.contains(&b'\n'));
    serde_json::from_slice(&line).unwrap()
}

fn identity(identity: UserIdentity<'_>) -> Value {
    parsed(&Record::api_call(id(1), TIME, "Encrypt", "eu-west-1", identity))["userIdentity"].clone()
}

/// The reference shape: byte for byte, in CloudTrail's order of members.
#[test]
fn data_key_pair() {
    let mut parameters = Object::parameters();
    parameters
        .text("keyId", "alias/pairs")
        .text("keyPairSpec", "ECC_NIST_P256")
        .map("encryptionContext", [("tenant", "a")]);
    let mut additional = Object::additional();
    additional.text("keyMaterialId", "ab").object("recipient", |recipient| {
        recipient.text("attestationDocumentModuleId", "i-0-enc0");
    });
    let resources = [Resource { account_id: "111122223333", arn: KEY }];
    let record = Record {
        source_ip_address: Some("192.0.2.7"),
        user_agent: Some("aws-cli/2"),
        request_parameters: Some(&parameters),
        additional_event_data: Some(&additional),
        request_id: Some("req-1"),
        resources: Some(&resources),
        tls_details: Some(TlsDetails {
            version: "TLSv1.3",
            cipher_suite: "TLS_AES_256_GCM_SHA384",
            client_provided_host_header: Some("kms.eu-west-1.example.test"),
            key_exchange: Some("X25519MLKEM768"),
        }),
        ..Record::api_call(id(0xab), TIME, "GenerateDataKeyPair", "eu-west-1", signer())
    };
    let expected = concat!(
        r#"{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:signer","#,
        r#""arn":"arn:aws:sts::111122223333:assumed-role/Signer/signer","accountId":"111122223333","#,
        r#""accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","#,
        r#""principalId":"AROAEXAMPLE","arn":"arn:aws:iam::111122223333:role/Signer","#,
        r#""accountId":"111122223333","userName":"Signer"},"attributes":{"#,
        r#""creationDate":"2026-01-05T10:00:00Z","mfaAuthenticated":"false"}}},"#,
        r#""eventTime":"2026-01-05T10:07:31Z","eventSource":"kms.amazonaws.com","#,
        r#""eventName":"GenerateDataKeyPair","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.7","#,
        r#""userAgent":"aws-cli/2","requestParameters":{"keyId":"alias/pairs","#,
        r#""keyPairSpec":"ECC_NIST_P256","encryptionContext":{"tenant":"a"}},"responseElements":null,"#,
        r#""additionalEventData":{"keyMaterialId":"ab","recipient":{"attestationDocumentModuleId":"i-0-enc0"}},"#,
        r#""requestID":"req-1","eventID":"abababab-abab-4bab-abab-abababababab","readOnly":true,"#,
        r#""resources":[{"accountId":"111122223333","type":"AWS::KMS::Key","#,
        r#""ARN":"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}],"#,
        r#""eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","#,
        r#""eventCategory":"Management","tlsDetails":{"tlsVersion":"TLSv1.3","#,
        r#""cipherSuite":"TLS_AES_256_GCM_SHA384","#,
        r#""clientProvidedHostHeader":"kms.eu-west-1.example.test","keyExchange":"X25519MLKEM768"}}"#,
    );
    assert_eq!(String::from_utf8(record.encode()).unwrap(), expected);
    let line = record.encode();
    assert_eq!(event_id_of(&line), Some(&b"abababab-abab-4bab-abab-abababababab"[..]));
}

#[test]
fn kinds_of_callers() {
    assert_eq!(
        identity(UserIdentity::root("1", "arn:aws:iam::1:root", Some("AKIA"))),
        json!({"type": "Root", "principalId": "1", "arn": "arn:aws:iam::1:root",
            "accountId": "1", "accessKeyId": "AKIA"})
    );
    let user = UserIdentity::iam_user("AIDA", "arn:aws:iam::1:user/u", "1", "AKIA", "u");
    assert_eq!(
        identity(user.clone()),
        json!({"type": "IAMUser", "principalId": "AIDA", "arn": "arn:aws:iam::1:user/u",
            "accountId": "1", "accessKeyId": "AKIA", "userName": "u"})
    );
    let session = SessionContext { issuer: None, mfa_authenticated: true, ..signer_session() };
    let attributes = json!({"creationDate": "2026-01-05T10:00:00Z", "mfaAuthenticated": "true"});
    assert_eq!(
        identity(user.clone().with_session(session))["sessionContext"],
        json!({"attributes": attributes})
    );
    let invoked = user.invoked_by("secretsmanager.amazonaws.com");
    assert_eq!(identity(invoked)["invokedBy"], "secretsmanager.amazonaws.com");
    assert_eq!(
        identity(signer().foreign()),
        json!({
        "type": "AWSAccount", "principalId": "AROAEXAMPLE:signer", "accountId": "111122223333"})
    );
    assert_eq!(
        identity(UserIdentity::service("s.amazonaws.com")),
        json!({"type": "AWSService", "invokedBy": "s.amazonaws.com"})
    );
    assert_eq!(
        identity(UserIdentity::web_identity_user("p:a:s", "s", "p")),
        json!({"type": "WebIdentityUser", "principalId": "p:a:s", "userName": "s",
            "identityProvider": "p"})
    );
    let issuer = SessionIssuer {
        kind: IssuerKind::Root,
        principal_id: "1",
        arn: "arn:aws:iam::1:root",
        account_id: "1",
        user_name: None,
    };
    let session = SessionContext {
        issuer: Some(issuer),
        web_identity: Some(WebIdentity {
            federated_provider: "arn:p",
            attributes: &[("p:aud", "a"), ("p:sub", "s")],
        }),
        source_identity: Some("alice"),
        ec2_role_delivery: Some("2.0"),
        ..signer_session()
    };
    let federated = UserIdentity::federated_user("1:bob", "arn:f", "1", "ASIA", session);
    let found = identity(federated);
    assert_eq!(found["type"], "FederatedUser");
    let context = &found["sessionContext"];
    assert_eq!(context["sessionIssuer"]["type"], "Root");
    assert_eq!(context["sessionIssuer"].get("userName"), None);
    assert_eq!(
        context["webIdFederationData"],
        json!({"federatedProvider": "arn:p", "attributes": {"p:aud": "a", "p:sub": "s"}})
    );
    assert_eq!(
        (&context["sourceIdentity"], &context["ec2RoleDelivery"]),
        (&json!("alice"), &json!("2.0"))
    );
}

#[test]
fn service_event() {
    let mut details = Object::parameters();
    details.text("rotationType", "AUTOMATIC").text("keyId", KEY);
    let resources = [Resource { account_id: "111122223333", arn: KEY }];
    let record = Record {
        service_event_details: Some(&details),
        resources: Some(&resources),
        ..Record::service_event(id(1), TIME, "RotateKey", "eu-west-1", "111122223333")
    };
    let found = parsed(&record);
    assert_eq!(
        found["userIdentity"],
        json!({"accountId": "111122223333", "invokedBy": "AWS Internal"})
    );
    assert_eq!(found["sourceIPAddress"], "AWS Internal");
    assert_eq!(found["userAgent"], "AWS Internal");
    assert_eq!(found["eventType"], "AwsServiceEvent");
    assert_eq!(found["readOnly"], false);
    assert_eq!(found["requestParameters"], Value::Null);
    assert_eq!(found["responseElements"], Value::Null);
    assert_eq!(found.get("requestID"), None);
    assert_eq!(found["serviceEventDetails"]["rotationType"], "AUTOMATIC");
    assert_eq!(found["recipientAccountId"], "111122223333");
}

#[test]
fn a_failure_and_what_is_seldom() {
    let record = Record {
        error: Some(Failure { code: "AccessDenied", message: Some("no") }),
        read_only: false,
        resources: Some(&[]),
        vpc_endpoint_id: Some("vpce-1"),
        vpc_endpoint_account_id: Some("1"),
        session_credential_from_console: true,
        addendum: Some(Addendum {
            reason: AddendumReason::UpdatedData,
            updated_fields: Some("eventTime"),
            original_request_id: Some("r"),
            original_event_id: Some(id(2)),
        }),
        ..Record::api_call(id(1), TIME, "CreateKey", "eu-west-1", signer())
    };
    let found = parsed(&record);
    assert_eq!(
        (&found["errorCode"], &found["errorMessage"]),
        (&json!("AccessDenied"), &json!("no"))
    );
    assert_eq!(found["resources"], json!([]));
    assert_eq!(found["vpcEndpointId"], "vpce-1");
    assert_eq!(found["sessionCredentialFromConsole"], "true");
    assert_eq!(found["addendum"]["reason"], "UPDATED_DATA");
    assert_eq!(found["addendum"]["originalEventID"], id(2).to_string());
    assert_eq!(found.get("additionalEventData"), None);
    assert_eq!(found.get("tlsDetails"), None);
    let empty = Object::additional();
    let record = Record { additional_event_data: Some(&empty), ..record };
    assert_eq!(parsed(&record).get("additionalEventData"), None);
    let line = record.encode();
    assert_eq!(event_id_of(&line), Some(id(1).to_string().as_bytes()), "not that of the addendum");
}

#[test]
fn copies_for_two_accounts() {
    let record = Record::api_call(id(1), TIME, "Decrypt", "eu-west-1", signer());
    let (caller, owner) = record.for_both_accounts(id(2), id(3), "999988887777");
    let (caller, owner) = (parsed(&caller), parsed(&owner));
    assert_eq!(caller["sharedEventID"], owner["sharedEventID"]);
    assert_eq!(caller["sharedEventID"], id(2).to_string());
    assert_eq!(
        (&caller["eventID"], &owner["eventID"]),
        (&json!(id(1).to_string()), &json!(id(3).to_string()))
    );
    assert_eq!(caller["recipientAccountId"], "111122223333");
    assert_eq!(owner["recipientAccountId"], "999988887777");
    assert_eq!(caller["userIdentity"]["accessKeyId"], "ASIAEXAMPLE");
    let seen = owner["userIdentity"].as_object().unwrap();
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["accountId", "principalId", "type"]);
    assert_eq!(seen["accountId"], "111122223333");
}

#[test]
fn what_is_too_long_is_cut() {
    let agent = "ü".repeat(700);
    let message = "\u{0}".repeat(2000);
    let host = "h".repeat(5000);
    let policy = "\"{}\\".repeat(60_000);
    let mut parameters = Object::parameters();
    parameters.text("keyId", "k").text("policy", &policy).boolean("after", true);
    let mut additional = Object::additional();
    additional.text("backingKeys", &policy);
    let arn = "a".repeat(100_000);
    let resources =
        [Resource { account_id: "1", arn: &arn }, Resource { account_id: "1", arn: &arn }];
    let record = Record {
        user_agent: Some(&agent),
        error: Some(Failure { code: "E", message: Some(&message) }),
        request_parameters: Some(&parameters),
        response_elements: Some(&parameters),
        additional_event_data: Some(&additional),
        resources: Some(&resources),
        tls_details: Some(TlsDetails {
            version: "TLSv1.2",
            cipher_suite: "c",
            client_provided_host_header: Some(&host),
            key_exchange: None,
        }),
        ..Record::api_call(id(1), TIME, "PutKeyPolicy", "eu-west-1", signer())
    };
    let line = record.encode();
    assert!(line.len() < crate::LONGEST_RECORD);
    let found = parsed(&record);
    assert_eq!(found["userAgent"], "ü".repeat(512));
    assert_eq!(found["errorMessage"], "\u{0}".repeat(1024));
    assert_eq!(found["tlsDetails"]["clientProvidedHostHeader"].as_str().unwrap().len(), 1024);
    let printed = serde_json::to_string(&found["requestParameters"]).unwrap();
    assert!(printed.len() <= 100 * 1024 && printed.len() > 100 * 1024 - 16, "{}", printed.len());
    assert!(policy.starts_with(found["requestParameters"]["policy"].as_str().unwrap()));
    let printed = serde_json::to_string(&found["additionalEventData"]).unwrap();
    assert!(printed.len() <= 28 * 1024);
}

#[test]
fn no_text_is_taken_for_a_member() {
    let mut parameters = Object::parameters();
    let forged = r#"","eventID":"00000000-0000-4000-8000-000000000000"}"#;
    parameters.map(
        "encryptionContext",
        [("eventID", "00000000-0000-4000-8000-000000000000"), (forged, forged)],
    );
    let record = Record {
        request_parameters: Some(&parameters),
        user_agent: Some(forged),
        tls_details: Some(TlsDetails {
            version: "TLSv1.3",
            cipher_suite: "c",
            client_provided_host_header: Some(forged),
            key_exchange: None,
        }),
        ..Record::api_call(id(7), TIME, "Encrypt", "eu-west-1", signer())
    };
    assert_eq!(event_id_of(&record.encode()), Some(id(7).to_string().as_bytes()));
    assert_eq!(parsed(&record)["userAgent"], forged);
    assert_eq!(event_id_of(b"{}"), None);
    assert_eq!(event_id_of(b"{\"eventID\":\"short\"}"), None);
}

#[test]
fn event_ids_are_uuids() {
    let fresh = EventId::fresh().unwrap();
    assert_ne!(fresh, EventId::fresh().unwrap());
    let text = fresh.to_string();
    assert_eq!(text.len(), 36);
    assert_eq!(&text[14..15], "4");
    assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
}
