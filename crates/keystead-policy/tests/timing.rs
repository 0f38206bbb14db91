//! How long a decision takes. Measures and prints; asserts nothing but the decisions.
//!
//! `cargo test --release -p keystead-policy --test timing -- --ignored --nocapture`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::hint::black_box;
use std::time::Instant;

use keystead_policy::{
    Documents, Fact, Facts, NoFacts, Policy, PrincipalKind, Request, RequestPrincipal, decide,
    default_key_policy,
};

const ACCOUNT: &str = "111122223333";
const USER: &str = "arn:aws:iam::111122223333:user/Alice";
const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn principal(kind: PrincipalKind, arn: &str) -> RequestPrincipal<'_> {
    RequestPrincipal {
        kind,
        partition: "aws",
        account: ACCOUNT,
        arn,
        session_arn: None,
        unique_id: None,
        name: None,
    }
}

struct Context;

impl Facts for Context {
    fn fact(&self, key: &str) -> Fact<'_> {
        if key.eq_ignore_ascii_case("kms:EncryptionContext:App") {
            Fact::One("payroll".into())
        } else if key.eq_ignore_ascii_case("aws:SourceIp") {
            Fact::One("203.0.113.7".into())
        } else {
            Fact::Absent
        }
    }
}

fn measure(name: &str, request: &Request<'_>, documents: &Documents<'_>, allowed: bool) {
    const ROUNDS: u32 = 1000;
    assert_eq!(decide(request, documents).allowed, allowed, "{name}");
    let best = (0..500)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                let _ = black_box(decide(black_box(request), black_box(documents)));
            }
            start.elapsed() / ROUNDS
        })
        .min()
        .unwrap();
    println!("{name}: {} ns", best.as_nanos());
}

#[test]
#[ignore = "a measurement"]
fn decisions() {
    let root = principal(PrincipalKind::Root, "arn:aws:iam::111122223333:root");
    let user = principal(PrincipalKind::User, USER);
    let default = Policy::parse(&default_key_policy("aws", ACCOUNT)).unwrap();
    let identity = Policy::parse(
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["kms:Encrypt",
            "kms:Decrypt","kms:GenerateDataKey*"],"Resource":"arn:aws:kms:*:111122223333:key/*"}}"#,
    )
    .unwrap();
    let action = "kms:GenerateDataKey";
    let plain = |principal| Request { action, resource: Some(KEY), principal, facts: &NoFacts };
    let identities = [&identity];
    let documents = Documents {
        resource_policy: Some(&default),
        resource_account: Some(ACCOUNT),
        ..Documents::default()
    };
    measure("default key policy, root", &plain(&root), &documents, true);
    let with_identity = Documents { identity: &identities, ..documents };
    measure("default key policy, user by IAM", &plain(&user), &with_identity, true);
    measure("default key policy, user without IAM", &plain(&user), &documents, false);

    let statements: Vec<String> = (0..20)
        .map(|n| {
            let (effect, not) = if n % 2 == 0 { ("Deny", "Not") } else { ("Allow", "") };
            let app = if n == 19 { "payroll" } else { "none" };
            format!(
                r#"{{"Sid":"s{n}","Effect":"{effect}",
                "Principal":{{"AWS":["arn:aws:iam::111122223333:user/U{n}","{USER}"]}},
                "Action":["kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*"],
                "Resource":"arn:aws:kms:*:111122223333:key/*",
                "Condition":{{"StringEquals":{{"kms:EncryptionContext:App":["app{n}","{app}"]}},
                "{not}IpAddress":{{"aws:SourceIp":"203.0.113.0/24"}}}}}}"#
            )
        })
        .collect();
    let text = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
    let long = Policy::parse(&text).unwrap();
    let documents = Documents { resource_policy: Some(&long), ..documents };
    let request = Request { facts: &Context, ..plain(&user) };
    measure("20 statements with 2 conditions each", &request, &documents, true);
}

/// The most expensive patterns for the longest value that a request can carry.
#[test]
#[ignore = "a measurement"]
fn worst_patterns() {
    struct Long(String);
    impl Facts for Long {
        fn fact(&self, _key: &str) -> Fact<'_> {
            Fact::One(self.0.as_str().into())
        }
    }
    let long = Long("a".repeat(8192));
    for (name, pattern) in [
        ("one long stretch", format!("*{}b*", "a".repeat(4096))),
        ("one long stretch with ?", format!("*?{}b*", "a".repeat(4096))),
        ("8,000 stars", format!("{}b", "a*".repeat(8000))),
    ] {
        let text = format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*",
            "Resource":"*","Condition":{{"StringLike":{{"a:b":"{pattern}"}}}}}}}}"#
        );
        let policy = Policy::parse(&text).unwrap();
        let user = principal(PrincipalKind::User, USER);
        let request = Request { action: "a:b", resource: None, principal: &user, facts: &long };
        let start = Instant::now();
        let verdict = policy.evaluate_identity_policy(&request);
        println!("{name}: {} µs", start.elapsed().as_micros());
        assert_eq!(verdict.allowed_any(), None);
    }
}
