//! Measurements, on demand and optimised:
//! `cargo test --release -p keystead-audit --test trail -- --ignored --nocapture million`.

use std::hint::black_box;
use std::time::Instant;

use keystead_audit::{Resource, SessionContext, SessionIssuer, TlsDetails};

use super::*;

/// A record of the size of a real one.
fn realistic(number: u64, line: &mut Vec<u8>) {
    const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let session = SessionContext {
        issuer: Some(SessionIssuer {
            kind: keystead_audit::IssuerKind::Role,
            principal_id: "AROAEXAMPLEEXAMPLE123",
            arn: "arn:aws:iam::111122223333:role/Signer",
            account_id: "111122223333",
            user_name: Some("Signer"),
        }),
        web_identity: None,
        creation_date: NOW,
        mfa_authenticated: false,
        source_identity: None,
        ec2_role_delivery: None,
    };
    let role = UserIdentity::assumed_role(
        "AROAEXAMPLEEXAMPLE123:signer",
        "arn:aws:sts::111122223333:assumed-role/Signer/signer",
        "111122223333",
        "ASIAEXAMPLEEXAMPLE12",
        session,
    );
    let mut parameters = Object::parameters();
    parameters
        .text("keyId", KEY)
        .text("keySpec", "AES_256")
        .map("encryptionContext", [("tenant", "a"), ("purpose", "measurement")]);
    let mut additional = Object::additional();
    additional
        .text("keyMaterialId", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    let resources = [Resource { account_id: "111122223333", arn: KEY }];
    Record {
        source_ip_address: Some("192.0.2.7"),
        user_agent: Some("aws-sdk-rust/1.3.8 os/linux lang/rust/1.95.0 api/kms/1.90.0"),
        request_parameters: Some(&parameters),
        additional_event_data: Some(&additional),
        request_id: Some("11111111-2222-4333-8444-555555555555"),
        resources: Some(&resources),
        tls_details: Some(TlsDetails {
            version: "TLSv1.3",
            cipher_suite: "TLS_AES_256_GCM_SHA384",
            client_provided_host_header: Some("kms.eu-west-1.example.test"),
            key_exchange: Some("X25519MLKEM768"),
        }),
        ..Record::api_call(event(number), NOW, "GenerateDataKey", "eu-west-1", role)
    }
    .encode_into(line);
}

#[test]
#[ignore = "a measurement"]
fn million_records_encoded() {
    let mut line = Vec::with_capacity(4096);
    let start = Instant::now();
    for number in 0..1_000_000 {
        line.clear();
        realistic(number, &mut line);
        black_box(&line);
    }
    let each = start.elapsed().as_nanos() / 1_000_000;
    println!("{each} ns for each record of {} bytes", line.len());
}

#[tokio::test]
#[ignore = "a measurement"]
async fn million_records_verified() {
    const COUNT: u64 = 1_000_000;
    let home = tempfile::tempdir().unwrap();
    let log = open(
        home.path(),
        LogSettings { queue_bytes: 16 << 20, reserve_bytes: 32 << 20, ..settings() },
    );
    let start = Instant::now();
    for from in (0..COUNT).step_by(1000) {
        let records = (from..from + 1000).map(|number| {
            let mut line = Vec::with_capacity(2048);
            realistic(number, &mut line);
            line
        });
        log.append(records.collect()).await.unwrap();
    }
    log.close().await.unwrap();
    println!("written in {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let report = checked(home.path());
    let seconds = start.elapsed().as_secs_f64();
    assert!(report.is_intact(), "{:?}", report.faults);
    assert_eq!(report.records, COUNT);
    println!(
        "verified in {seconds:.1} s: {} segments, {} digests",
        report.segments, report.digests
    );
}
