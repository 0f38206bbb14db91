//! The policy corpus: every case of `tests/corpus/*.json` with the decision it expects.
//!
//! A file is a section, with rules in words and the page that states each, and for each rule cases
//! of which one at least passes and one does not. A case gives what differs from the usual request:
//! `kms:Decrypt` on the key of the account, by the user Alice, without facts. Its documents are
//! `key` or `trust` (the policy of the resource), `identity`, `boundary`, `session` and
//! `guardrails`. It expects `allow` or `deny`, or the exact reason in the words of [`reason_text`].
//! A case with `save` asks whether a document can be saved, and expects `saved` or a part of the
//! message.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use keystead_policy::{
    Decision, DocumentKind, Documents, Effect, Fact, Facts, Grant, Layer, Outcome, Policy,
    PrincipalKind, Reason, Request, RequestPrincipal, decide, decide_trust,
};
use serde_json::{Map, Value};

const LEAST: usize = 400;

const ACCOUNT: &str = "111122223333";
const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

#[test]
fn every_case_is_decided_as_expected() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut total, mut failures) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let section: Value = serde_json::from_str(&text).expect("a corpus file is JSON");
        let name = section["section"].as_str().unwrap();
        for rule in section["rules"].as_array().unwrap() {
            let title = format!("{name}: {}", rule["rule"].as_str().unwrap());
            assert!(!rule["source"].as_str().unwrap().is_empty(), "{title}: no source");
            let (mut passes, mut refusals) = (0, 0);
            for case in rule["cases"].as_array().unwrap() {
                let case = case.as_object().unwrap();
                total += 1;
                match run(case) {
                    Ok(true) => passes += 1,
                    Ok(false) => refusals += 1,
                    Err(found) => failures.push(format!(
                        "{title}: {}: expected {}, found {found}",
                        case["case"], case["expect"]
                    )),
                }
            }
            assert!(
                (passes > 0 && refusals > 0) || !failures.is_empty(),
                "{title}: needs a case that passes and one that does not"
            );
        }
    }
    println!("policy corpus: {}/{total}", total - failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(total >= LEAST, "only {total} cases");
}

/// Whether the case passes, which is as expected; otherwise what was found.
fn run(case: &Map<String, Value>) -> Result<bool, String> {
    const MEMBERS: [&str; 16] = [
        "case",
        "expect",
        "who",
        "action",
        "resource",
        "facts",
        "key",
        "trust",
        "identity",
        "boundary",
        "session",
        "guardrails",
        "grant",
        "owner",
        "save",
        "document",
    ];
    for member in case.keys() {
        assert!(MEMBERS.contains(&member.as_str()) || member == "text", "unknown member {member}");
    }
    let expected = case["expect"].as_str().unwrap();
    if let Some(kind) = case.get("save") {
        let found = save(kind.as_str().unwrap(), case);
        return match found {
            None if expected == "saved" => Ok(true),
            Some(message) if expected != "saved" && message.contains(expected) => Ok(false),
            other => Err(other.unwrap_or_else(|| "saved".into())),
        };
    }
    let decision = decided(case);
    let word = if decision.allowed { "allow" } else { "deny" };
    let reason = reason_text(&decision);
    if expected == word || expected == reason {
        Ok(decision.allowed)
    } else {
        Err(format!("{word}, {reason}"))
    }
}

/// The message against a document, if there is one.
fn save(kind: &str, case: &Map<String, Value>) -> Option<String> {
    let text = match (case.get("document"), case.get("text")) {
        (Some(document), None) => document.to_string(),
        (None, Some(text)) => text.as_str().unwrap().to_owned(),
        _ => panic!("a case with save has a document or a text"),
    };
    let policy = match Policy::parse(&text) {
        Ok(policy) => policy,
        Err(error) => return Some(error.message().to_owned()),
    };
    match kind {
        "key" => policy.validate_as_key_policy().err().map(|e| e.message().to_owned()),
        "identity" => policy.validate_as_identity_policy().err().map(|e| e.message().to_owned()),
        "session" => policy.validate_as_session_policy().err().map(|e| e.message().to_owned()),
        "trust" => policy.validate_as_trust_policy().err().map(|e| e.message().to_owned()),
        other => panic!("unknown kind of document {other}"),
    }
}

fn decided(case: &Map<String, Value>) -> Decision {
    let policy = |value: &Value| Policy::parse(&value.to_string()).expect("a policy");
    let list = |value: Option<&Value>| -> Vec<Policy> {
        value.map_or_else(Vec::new, |list| list.as_array().unwrap().iter().map(policy).collect())
    };
    let trust = case.get("trust").map(policy);
    let resource_policy = case.get("key").map(policy).or(trust.clone());
    let identity = list(case.get("identity"));
    let boundary = case.get("boundary").map(policy);
    let session = list(case.get("session"));
    let guardrails: Vec<Vec<Policy>> = case.get("guardrails").map_or_else(Vec::new, |sets| {
        sets.as_array().unwrap().iter().map(|set| list(Some(set))).collect()
    });
    let (identity, session): (Vec<&Policy>, Vec<&Policy>) =
        (identity.iter().collect(), session.iter().collect());
    let guardrails: Vec<Vec<&Policy>> = guardrails.iter().map(|set| set.iter().collect()).collect();
    let guardrails: Vec<&[&Policy]> = guardrails.iter().map(Vec::as_slice).collect();
    let owner = match case.get("owner") {
        Some(owner) => owner.as_str(),
        None => resource_policy.as_ref().map(|_| ACCOUNT),
    };
    let documents = Documents {
        resource_facts: None,
        resource_policy: resource_policy.as_ref(),
        resource_account: owner,
        identity: &identity,
        boundary: boundary.as_ref(),
        session: case.get("session").map(|_| &session[..]),
        guardrails: &guardrails,
        grant: match case.get("grant").map(|grant| grant.as_str().unwrap()) {
            None => Grant::None,
            Some("principal") => Grant::ToPrincipal { role: false },
            Some("role") => Grant::ToPrincipal { role: true },
            Some("account") => Grant::ToAccount,
            Some(other) => panic!("unknown grant {other}"),
        },
    };
    let facts = Given(case.get("facts").and_then(Value::as_object).cloned().unwrap_or_default());
    let principal = principal(case.get("who").map_or("alice", |who| who.as_str().unwrap()));
    let request = Request {
        action: case.get("action").map_or("kms:Decrypt", |action| action.as_str().unwrap()),
        resource: match case.get("resource") {
            None => Some(KEY),
            Some(resource) => resource.as_str(),
        },
        principal: &principal,
        facts: &facts,
    };
    let (decision, kind) = match trust {
        Some(_) => (decide_trust(&request, &documents), DocumentKind::Trust),
        None => (decide(&request, &documents), DocumentKind::Resource),
    };
    check_trace(&request, &documents, &decision, kind);
    decision
}

/// The statement that a decision names must apply in the explanation too, with its effect.
fn check_trace(
    request: &Request<'_>,
    documents: &Documents<'_>,
    decision: &Decision,
    kind: DocumentKind,
) {
    let (layer, document, statement, effect) = match decision.reason {
        Reason::AllowedBy { layer, document, statement } => {
            (layer, document, statement, Effect::Allow)
        }
        Reason::Explicit { layer, document, statement } => {
            (layer, document, statement, Effect::Deny)
        }
        _ => return,
    };
    let (policy, kind) = match layer {
        // A boundary makes NotPrincipal hit everyone, which one document alone does not show.
        Layer::Resource if documents.boundary.is_some() => return,
        Layer::Resource => (documents.resource_policy.unwrap(), kind),
        Layer::Boundary => (documents.boundary.unwrap(), DocumentKind::Identity),
        Layer::Session => (documents.session.unwrap()[document], DocumentKind::Identity),
        Layer::Identity => (documents.identity[document], DocumentKind::Identity),
        Layer::ServiceControl => (
            *documents.guardrails.iter().flat_map(|set| set.iter()).nth(document).unwrap(),
            DocumentKind::Guardrail,
        ),
    };
    let trace = &policy.explain(request, kind)[statement];
    assert_eq!(trace.effect, effect);
    assert!(matches!(trace.outcome, Outcome::Applies { .. }), "{trace:?}");
}

fn reason_text(decision: &Decision) -> String {
    let layer = |layer| match layer {
        Layer::ServiceControl => "service-control",
        Layer::Resource => "resource",
        Layer::Boundary => "boundary",
        Layer::Session => "session",
        Layer::Identity => "identity",
    };
    match decision.reason {
        Reason::AllowedBy { layer: found, .. } => layer(found).to_owned(),
        Reason::AllowedByGrant => "grant".to_owned(),
        Reason::AllowedToRoot => "root".to_owned(),
        Reason::Explicit { layer: found, .. } => format!("explicit {}", layer(found)),
        Reason::Implicit { layer: found } => format!("implicit {}", layer(found)),
    }
}

/// Facts as a case gives them: a string, a list for a key of many values, or `{"ambiguous": […]}`.
struct Given(Map<String, Value>);

impl Facts for Given {
    fn fact(&self, key: &str) -> Fact<'_> {
        let texts = |list: &Value| -> Vec<Cow<'static, str>> {
            list.as_array()
                .unwrap()
                .iter()
                .map(|text| Cow::Owned(text.as_str().unwrap().to_owned()))
                .collect()
        };
        match self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)) {
            None => Fact::Absent,
            Some((_, Value::String(text))) => Fact::One(text.into()),
            Some((_, Value::Object(object))) => Fact::Ambiguous(texts(&object["ambiguous"])),
            Some((_, list)) => Fact::Many(texts(list)),
        }
    }
}

fn principal(name: &str) -> RequestPrincipal<'static> {
    let of = |kind, account, arn| RequestPrincipal {
        kind,
        partition: "aws",
        account,
        arn,
        session_arn: None,
        unique_id: None,
        name: None,
    };
    let user =
        |arn, id| RequestPrincipal { unique_id: Some(id), ..of(PrincipalKind::User, ACCOUNT, arn) };
    let session = |account, role, session| RequestPrincipal {
        session_arn: Some(session),
        unique_id: Some("AROAAPPEXAMPLE0000001"),
        ..of(PrincipalKind::RoleSession, account, role)
    };
    let role = "arn:aws:iam::111122223333:role/service/App";
    match name {
        "alice" => user("arn:aws:iam::111122223333:user/Alice", "AIDAALICEEXAMPLE00001"),
        "alice-again" => user("arn:aws:iam::111122223333:user/Alice", "AIDAALICEEXAMPLE00002"),
        "bob" => user("arn:aws:iam::111122223333:user/Bob", "AIDABOBEXAMPLE0000001"),
        "root" => of(PrincipalKind::Root, ACCOUNT, "arn:aws:iam::111122223333:root"),
        "session" => session(ACCOUNT, role, "arn:aws:sts::111122223333:assumed-role/App/one"),
        "session-two" => session(ACCOUNT, role, "arn:aws:sts::111122223333:assumed-role/App/two"),
        "federated" => of(
            PrincipalKind::FederatedUser,
            ACCOUNT,
            "arn:aws:sts::111122223333:federated-user/Fay",
        ),
        "mallory" => {
            of(PrincipalKind::User, "444455556666", "arn:aws:iam::444455556666:user/Mallory")
        }
        "foreign-root" => of(PrincipalKind::Root, "444455556666", "arn:aws:iam::444455556666:root"),
        "foreign-session" => session(
            "444455556666",
            "arn:aws:iam::444455556666:role/service/App",
            "arn:aws:sts::444455556666:assumed-role/App/one",
        ),
        "ec2" => RequestPrincipal {
            name: Some("ec2.amazonaws.com"),
            ..of(PrincipalKind::Service, "", "ec2.amazonaws.com")
        },
        "web" => RequestPrincipal {
            name: Some("arn:aws:iam::111122223333:oidc-provider/accounts.example.com"),
            ..of(PrincipalKind::WebIdentity, "", "")
        },
        other => panic!("unknown principal {other}"),
    }
}
