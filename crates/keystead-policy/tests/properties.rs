//! What holds for every policy and every request.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::borrow::Cow;

use keystead_policy::{
    Decision, DocumentKind, Documents, Effect, Fact, Facts, Grant, Outcome, Policy, PrincipalKind,
    Reason, Request, RequestPrincipal, decide, explain, pretty,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234";
const KEYS: [&str; 4] = ["a:text", "a:number", "a:many", "a:absent"];

/// A request that the statements below can both match and miss.
#[derive(Debug, Clone)]
struct Case {
    action: &'static str,
    resource: Option<&'static str>,
    principal: usize,
    text: Option<&'static str>,
    number: &'static str,
    many: Vec<&'static str>,
    grant: Grant,
}

impl Facts for Case {
    fn fact(&self, key: &str) -> Fact<'_> {
        match key.to_ascii_lowercase().as_str() {
            "a:text" => self.text.map_or(Fact::Absent, |text| Fact::One(text.into())),
            "a:number" => Fact::One(self.number.into()),
            "a:many" => Fact::Many(self.many.iter().map(|text| Cow::Borrowed(*text)).collect()),
            _ => Fact::Absent,
        }
    }
}

fn principals() -> [RequestPrincipal<'static>; 5] {
    let of = |kind, account, arn| RequestPrincipal {
        kind,
        partition: "aws",
        account,
        arn,
        session_arn: None,
        unique_id: None,
        name: None,
    };
    [
        of(PrincipalKind::Root, "111122223333", "arn:aws:iam::111122223333:root"),
        of(PrincipalKind::User, "111122223333", "arn:aws:iam::111122223333:user/A"),
        RequestPrincipal {
            session_arn: Some("arn:aws:sts::111122223333:assumed-role/R/s"),
            ..of(PrincipalKind::RoleSession, "111122223333", "arn:aws:iam::111122223333:role/R")
        },
        of(PrincipalKind::User, "444455556666", "arn:aws:iam::444455556666:user/X"),
        RequestPrincipal {
            name: Some("ec2.amazonaws.com"),
            ..of(PrincipalKind::Service, "", "ec2.amazonaws.com")
        },
    ]
}

fn any_case() -> impl Strategy<Value = Case> {
    (
        select(vec!["kms:Decrypt", "KMS:decrypt", "kms:Encrypt", "s3:GetObject"]),
        select(vec![Some(KEY), Some("arn:aws:s3:::b"), None]),
        0usize..5,
        select(vec![None, Some("x"), Some("X"), Some("arn:aws:iam::1:user/a")]),
        select(vec!["1", "2.5", "nan"]),
        subsequence(vec!["x", "y", "z"], 0..=3),
        select(vec![
            Grant::None,
            Grant::ToPrincipal { role: true },
            Grant::ToPrincipal { role: false },
            Grant::ToAccount,
        ]),
    )
        .prop_map(|(action, resource, principal, text, number, many, grant)| Case {
            action,
            resource,
            principal,
            text,
            number,
            many,
            grant,
        })
}

fn any_condition() -> impl Strategy<Value = Value> {
    let operator = (
        select(vec!["", "ForAllValues:", "ForAnyValue:"]),
        select(vec![
            "StringEquals",
            "StringNotEquals",
            "StringEqualsIgnoreCase",
            "StringLike",
            "StringNotLike",
            "NumericLessThan",
            "NumericNotEquals",
            "DateGreaterThan",
            "Bool",
            "BinaryEquals",
            "IpAddress",
            "NotIpAddress",
            "ArnLike",
            "ArnNotLike",
        ]),
        select(vec!["", "IfExists"]),
    )
        .prop_map(|(set, test, suffix)| format!("{set}{test}{suffix}"));
    let values = proptest::collection::vec(
        select(vec!["x", "y", "*", "2", "${a:text}", "${", "arn:aws:iam::*:user/*", "true"]),
        0..3,
    );
    (operator, select(KEYS.to_vec()), values)
        .prop_map(|(operator, key, values)| json!({ operator: { key: values } }))
}

fn any_statement(effects: Vec<&'static str>, with_principal: bool) -> impl Strategy<Value = Value> {
    let principal = (
        select(vec![true, true, true, false]),
        select(vec![
            json!("*"),
            json!({"AWS": "111122223333"}),
            json!({"AWS": "arn:aws:iam::111122223333:user/A"}),
            json!({"AWS": ["arn:aws:iam::111122223333:role/R", "111122223333"]}),
            json!({"AWS": "arn:aws:sts::111122223333:assumed-role/R/s"}),
            json!({"AWS": "444455556666"}),
            json!({"Service": "ec2.amazonaws.com"}),
        ]),
    );
    let actions =
        (any::<bool>(), select(vec!["*", "kms:*", "kms:D*", "kms:Decrypt", "kms:E?crypt", "s3:*"]));
    let resources = (
        any::<bool>(),
        select(vec!["*", KEY, "arn:aws:kms:*:*:key/*", "arn:aws:s3:::${a:text}", "oops", "${"]),
    );
    let conditions = proptest::option::weighted(0.4, any_condition());
    (select(effects), principal, actions, resources, conditions).prop_map(
        move |(effect, principal, actions, resources, condition)| {
            let mut statement = json!({ "Effect": effect });
            if with_principal {
                let name = if principal.0 { "Principal" } else { "NotPrincipal" };
                statement[name] = principal.1;
            }
            statement[if actions.0 { "Action" } else { "NotAction" }] = json!(actions.1);
            statement[if resources.0 { "Resource" } else { "NotResource" }] = json!(resources.1);
            if let Some(condition) = condition {
                statement["Condition"] = condition;
            }
            statement
        },
    )
}

fn any_statements(with_principal: bool) -> impl Strategy<Value = Vec<Value>> {
    // Few Denies, or hardly a request would be allowed.
    let effects = vec!["Allow", "Allow", "Allow", "Allow", "Deny"];
    proptest::collection::vec(any_statement(effects, with_principal), 1..5)
}

fn text(statements: &[Value], version: &str) -> String {
    json!({ "Version": version, "Statement": statements }).to_string()
}

fn policy(statements: &[Value]) -> Policy {
    Policy::parse(&text(statements, "2012-10-17")).expect("a generated policy is well-formed")
}

fn with_request<T>(case: &Case, use_it: impl FnOnce(&Request<'_>) -> T) -> T {
    let principal = principals()[case.principal];
    use_it(&Request {
        action: case.action,
        resource: case.resource,
        principal: &principal,
        facts: case,
    })
}

/// Decides with a key policy, identity policies, and possibly a boundary.
fn decision(
    case: &Case,
    key: &Policy,
    identity: &[&Policy],
    boundary: Option<&Policy>,
    session: Option<&[&Policy]>,
    guardrails: &[&[&Policy]],
) -> Decision {
    let documents = Documents {
        resource_facts: None,
        resource_policy: Some(key),
        resource_account: Some("111122223333"),
        identity,
        boundary,
        session,
        guardrails,
        grant: case.grant,
    };
    with_request(case, |request| decide(request, &documents))
}

fn applies(policy: &Policy, case: &Case, kind: DocumentKind, effect: Effect) -> bool {
    with_request(case, |request| {
        policy
            .explain(request, kind)
            .iter()
            .any(|trace| trace.effect == effect && matches!(trace.outcome, Outcome::Applies { .. }))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn an_explicit_deny_always_wins(
        case in any_case(),
        key in any_statements(true),
        identity in any_statements(false),
        other in any_statements(false),
    ) {
        let (key, identity, other) = (policy(&key), policy(&identity), policy(&other));
        let deny = |policy: &Policy, kind| applies(policy, &case, kind, Effect::Deny);
        let denied = deny(&key, DocumentKind::Resource)
            || deny(&identity, DocumentKind::Identity)
            || deny(&other, DocumentKind::Identity);
        if denied {
            for (identities, boundary, session, guardrails) in [
                (&[&identity, &other][..], None, None, &[][..]),
                (&[&identity], Some(&other), None, &[]),
                (&[&identity], None, Some(&[&other][..]), &[]),
                (&[&identity], None, None, &[&[&other][..]][..]),
            ] {
                let found = decision(&case, &key, identities, boundary, session, guardrails);
                prop_assert!(!found.allowed, "{found:?}");
            }
        }
    }

    /// The statement that decided is among the traces at the place that the decision tells, and
    /// applies; where a Deny applies, one decided.
    #[test]
    fn explanations_bear_decisions_out(
        case in any_case(),
        key in any_statements(true),
        one in any_statements(false),
        two in any_statements(false),
        bounded in any::<bool>(),
    ) {
        let (key, one, two) = (policy(&key), policy(&one), policy(&two));
        let documents = Documents {
            resource_policy: Some(&key),
            resource_account: Some("111122223333"),
            identity: &[&one, &two],
            boundary: bounded.then_some(&two),
            session: Some(&[&one]),
            guardrails: &[&[&two], &[&one, &two]],
            grant: case.grant,
            ..Documents::default()
        };
        let (found, traces) = with_request(&case, |request| {
            (decide(request, &documents), explain(request, &documents))
        });
        prop_assert_eq!(traces.len(), 7 + usize::from(bounded));
        let mut all = traces.iter().flat_map(|document| &document.statements);
        let applied = |effect| {
            move |trace: &keystead_policy::StatementTrace| {
                trace.effect == effect && matches!(trace.outcome, Outcome::Applies { .. })
            }
        };
        let explicit = matches!(found.reason, Reason::Explicit { .. });
        prop_assert_eq!(all.any(applied(Effect::Deny)), explicit, "{:?} {:?}", found, traces);
        if let Reason::AllowedBy { layer, document, statement }
        | Reason::Explicit { layer, document, statement } = found.reason
        {
            let place = traces.iter().find(|one| (one.layer, one.document) == (layer, document));
            let trace = &place.unwrap().statements[statement];
            let effect = if explicit { Effect::Deny } else { Effect::Allow };
            prop_assert!(applied(effect)(trace), "{:?} {:?}", found, traces);
        }
    }

    #[test]
    fn the_order_of_statements_is_irrelevant(
        case in any_case(),
        (key, shuffled) in any_statements(true).prop_flat_map(|s| (Just(s.clone()), Just(s).prop_shuffle())),
        identity in any_statements(false),
    ) {
        let identity = policy(&identity);
        let one = decision(&case, &policy(&key), &[&identity], None, None, &[]);
        let two = decision(&case, &policy(&shuffled), &[&identity], None, None, &[]);
        prop_assert_eq!(one.allowed, two.allowed);
    }

    #[test]
    fn the_order_of_documents_is_irrelevant(
        case in any_case(),
        key in any_statements(true),
        one in any_statements(false),
        two in any_statements(false),
    ) {
        let (key, one, two) = (policy(&key), policy(&one), policy(&two));
        for session in [None, Some(())] {
            let allowed = |list: &[&Policy]| {
                decision(&case, &key, list, None, session.map(|()| list), &[list]).allowed
            };
            prop_assert_eq!(allowed(&[&one, &two]), allowed(&[&two, &one]));
        }
    }

    #[test]
    fn one_document_or_several_is_irrelevant(
        case in any_case(),
        key in any_statements(true),
        one in any_statements(false),
        two in any_statements(false),
    ) {
        let key = policy(&key);
        let joined = policy(&[one.clone(), two.clone()].concat());
        let (one, two) = (policy(&one), policy(&two));
        prop_assert_eq!(
            decision(&case, &key, &[&one, &two], None, None, &[]).allowed,
            decision(&case, &key, &[&joined], None, None, &[]).allowed
        );
    }

    #[test]
    fn a_policy_printed_and_parsed_again_decides_alike(
        case in any_case(),
        key in any_statements(true),
        identity in any_statements(false),
        version in select(vec!["2008-10-17", "2012-10-17"]),
    ) {
        let identity = policy(&identity);
        let written = text(&key, version);
        let once = Policy::parse(&written).unwrap();
        let again = Policy::parse(&pretty(&written).unwrap()).unwrap();
        prop_assert_eq!(&once, &again);
        prop_assert_eq!(
            decision(&case, &once, &[&identity], None, None, &[]),
            decision(&case, &again, &[&identity], None, None, &[])
        );
    }

    #[test]
    fn a_deny_more_never_allows(
        case in any_case(),
        key in any_statements(true),
        identity in any_statements(false),
        for_key in any_statement(vec!["Deny"], true),
        for_identity in any_statement(vec!["Deny"], false),
    ) {
        let before = decision(&case, &policy(&key), &[&policy(&identity)], None, None, &[]).allowed;
        for (key, identity) in [
            ([key.clone(), vec![for_key]].concat(), identity.clone()),
            (key.clone(), [identity.clone(), vec![for_identity]].concat()),
        ] {
            let after = decision(&case, &policy(&key), &[&policy(&identity)], None, None, &[]);
            prop_assert!(before || !after.allowed);
        }
    }

    #[test]
    fn an_allow_more_never_denies(
        case in any_case(),
        key in any_statements(true),
        identity in any_statements(false),
        more in any_statement(vec!["Allow"], true),
    ) {
        let identity = policy(&identity);
        let before = decision(&case, &policy(&key), &[&identity], None, None, &[]).allowed;
        let longer = policy(&[key, vec![more]].concat());
        prop_assert!(!before || decision(&case, &longer, &[&identity], None, None, &[]).allowed);
    }

    #[test]
    fn limits_never_allow(
        case in any_case(),
        key in any_statements(true),
        identity in any_statements(false),
        limit in any_statements(false),
    ) {
        let (key, identity, limit) = (policy(&key), policy(&identity), policy(&limit));
        let before = decision(&case, &key, &[&identity], None, None, &[]).allowed;
        for (boundary, session, guardrails) in [
            (Some(&limit), None, &[][..]),
            (None, Some(&[&limit][..]), &[]),
            (None, None, &[&[&limit][..]][..]),
        ] {
            let after = decision(&case, &key, &[&identity], boundary, session, guardrails);
            prop_assert!(before || !after.allowed);
        }
    }

    #[test]
    fn nothing_is_allowed_without_an_allow(
        case in any_case(),
        key in proptest::collection::vec(any_statement(vec!["Deny"], true), 1..4),
        identity in proptest::collection::vec(any_statement(vec!["Deny"], false), 1..4),
    ) {
        let case = Case { grant: Grant::None, ..case };
        let found = decision(&case, &policy(&key), &[&policy(&identity)], None, None, &[]);
        prop_assert!(!found.allowed);
    }

    #[test]
    fn if_exists_is_the_test_or_absence(
        case in any_case(),
        test in select(vec!["StringEquals", "StringNotLike", "NumericLessThan", "Bool", "ArnLike"]),
        set in select(vec!["", "ForAllValues:", "ForAnyValue:"]),
        effect in select(vec!["Allow", "Deny"]),
        key in select(KEYS.to_vec()),
        value in select(vec!["x", "2", "*", "true", "${a:text}"]),
    ) {
        let holds = |operator: String, value: &str| {
            let statement = json!({"Effect": effect, "Action": "*", "Resource": "*",
                "Condition": { operator: { key: value } }});
            let effect = if effect == "Allow" { Effect::Allow } else { Effect::Deny };
            applies(&policy(&[statement]), &case, DocumentKind::Identity, effect)
        };
        let absent = holds("Null".to_owned(), "true");
        let plain = holds(format!("{set}{test}"), value);
        prop_assert_eq!(holds(format!("{set}{test}IfExists"), value), absent || plain);
    }

    #[test]
    fn a_test_and_its_opposite_never_agree_on_one_value(
        case in any_case(),
        (test, opposite) in select(vec![
            ("StringEquals", "StringNotEquals"),
            ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
            ("StringLike", "StringNotLike"),
            ("NumericEquals", "NumericNotEquals"),
            ("DateEquals", "DateNotEquals"),
            ("IpAddress", "NotIpAddress"),
            ("ArnLike", "ArnNotLike"),
            ("ArnEquals", "ArnNotEquals"),
        ]),
        key in select(KEYS.to_vec()),
        values in proptest::collection::vec(select(vec!["x", "1", "*", "arn:aws:iam::*:*", "${"]), 1..3),
    ) {
        let holds = |operator: &str, effect: &str| {
            let statement = json!({"Effect": effect, "Action": "*", "Resource": "*",
                "Condition": { operator: { key: values.clone() } }});
            let effect = if effect == "Allow" { Effect::Allow } else { Effect::Deny };
            applies(&policy(&[statement]), &case, DocumentKind::Identity, effect)
        };
        // To a Deny they are opposites; an Allow may lose what cannot be understood, and no more.
        prop_assert_ne!(holds(test, "Deny"), holds(opposite, "Deny"));
        prop_assert!(!(holds(test, "Allow") && holds(opposite, "Allow")));
        prop_assert_eq!(holds(test, "Allow"), holds(test, "Deny"));
    }

    #[test]
    fn a_condition_more_never_makes_a_statement_apply(
        case in any_case(),
        statement in any_statement(vec!["Allow", "Deny"], true),
        condition in any_condition(),
    ) {
        prop_assume!(statement.get("Condition").is_none());
        let effect = if statement["Effect"] == "Allow" { Effect::Allow } else { Effect::Deny };
        let mut with = statement.clone();
        with["Condition"] = condition;
        let applies = |statement| {
            applies(&policy(&[statement]), &case, DocumentKind::Resource, effect)
        };
        prop_assert!(!applies(with) || applies(statement));
    }

    #[test]
    fn any_facts_and_any_condition_are_answered(
        values in proptest::collection::vec(".{0,20}", 0..3),
        written in proptest::collection::vec(".{0,20}", 0..3),
        operator in (0..keystead_policy::Test::ALL.len()),
    ) {
        struct Any(Vec<String>);
        impl Facts for Any {
            fn fact(&self, _key: &str) -> Fact<'_> {
                Fact::Many(self.0.iter().map(|text| text.as_str().into()).collect())
            }
        }
        let operator = keystead_policy::Test::ALL[operator].as_str();
        let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": { operator: { "a:b": written } }});
        let policy = policy(&[statement]);
        let principal = principals()[1];
        let facts = Any(values);
        let request =
            Request { action: "a:b", resource: None, principal: &principal, facts: &facts };
        let _ = policy.evaluate_identity_policy(&request);
    }
}
