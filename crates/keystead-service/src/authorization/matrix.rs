//! Every operation against every way of being permitted or not. What is expected is worked out from
//! `testdata/operations.csv` by the rules of evaluation, and from nothing else.

use std::sync::Arc;

use keystead_model::GrantOperation;
use serde_json::{Value, json};

use super::trials::{
    GUEST, OWNER, World, admin, delegation, fate, for_admin, let_in, may, parsed, policy,
    role_session, text, user,
};
use crate::ServiceSettings;
use crate::principal::{Principal, Session};

/// An operation of the table.
pub(super) struct Row {
    pub(super) operation: &'static str,
    /// Each permission and what it is needed on.
    pub(super) needs: Vec<(&'static str, &'static str)>,
    crosses: bool,
    by_grant: bool,
    key: &'static str,
    pub(super) before: &'static str,
    pub(super) permitted: &'static str,
    pub(super) request: Value,
}

pub(super) fn table() -> Vec<Row> {
    let lines = include_str!("../../testdata/operations.csv").lines();
    let row = |line: &'static str| {
        let fields: Vec<&str> = line.splitn(8, ';').collect();
        let [operation, needs, crosses, grant, key, before, permitted, request] = fields[..] else {
            panic!("{line}")
        };
        Row {
            operation,
            needs: needs.split(' ').map(|need| need.split_once('@').unwrap()).collect(),
            crosses: crosses == "yes",
            by_grant: grant == "yes",
            key,
            before,
            permitted,
            request: serde_json::from_str(request).unwrap(),
        }
    };
    lines.filter(|line| !line.starts_with('#')).map(row).collect()
}

impl Row {
    fn needs_key(&self) -> bool {
        self.needs.iter().any(|(_, on)| matches!(*on, "key" | "grant"))
    }

    /// Key policies alone can permit it.
    fn only_keys(&self) -> bool {
        self.needs.iter().all(|(_, on)| *on == "key")
    }

    /// Key policies have no say in it.
    fn no_keys(&self) -> bool {
        !self.needs_key()
    }

    fn retires(&self) -> bool {
        self.needs.iter().any(|(_, on)| *on == "grant")
    }

    /// Whether the resource can be another account's at all: an alias by its name cannot.
    fn reaches_others(&self) -> bool {
        self.needs_key() && !matches!(self.operation, "DeleteAlias" | "UpdateAlias")
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Who {
    User,
    Role,
    Guest,
}

/// A way of being permitted, or not.
#[derive(Clone, Copy)]
pub(super) struct Way {
    name: &'static str,
    who: Who,
    /// The key policy: names the caller, its role's session, delegates to the owner's account.
    named: bool,
    session_named: bool,
    delegated: bool,
    /// The identity policies allow everything.
    identity: bool,
    /// A grant to the caller; to its session.
    grant: bool,
    session_grant: bool,
    /// The grant has not spread, and the token is or is not shown.
    unspread: bool,
    token: bool,
    /// Where an explicit Deny stands.
    denied: Option<&'static str>,
    /// Which document says nothing about KMS.
    silent: Option<&'static str>,
    expected: fn(&Row) -> bool,
}

const NOTHING: Way = Way {
    name: "nothing",
    who: Who::User,
    named: false,
    session_named: false,
    delegated: false,
    identity: false,
    grant: false,
    session_grant: false,
    unspread: false,
    token: false,
    denied: None,
    silent: None,
    expected: |_| false,
};

const EVERYTHING: Way = Way { named: true, delegated: true, identity: true, ..NOTHING };
pub(super) const DELEGATED: Way = Way { delegated: true, identity: true, ..NOTHING };
const GRANTED: Way = Way { grant: true, ..NOTHING };
const ABROAD: Way = Way { who: Who::Guest, ..NOTHING };
const AS_ROLE: Way = Way { who: Who::Role, ..NOTHING };

/// Of an explicit Deny of the key policy nothing is seen where there is no key.
const UNLESS_KEY: fn(&Row) -> bool = Row::no_keys;
const BY_GRANT: fn(&Row) -> bool = |row| row.by_grant;

#[rustfmt::skip]
const WAYS: [Way; 35] = [
    NOTHING,
    Way { name: "key policy", named: true, expected: Row::only_keys, ..NOTHING },
    Way { name: "identity policy, not delegated", identity: true, expected: |row| row.no_keys() || row.retires(), ..NOTHING },
    Way { name: "identity policy, delegated", expected: |_| true, ..DELEGATED },
    Way { name: "delegated, no identity policy", delegated: true, ..NOTHING },
    Way { name: "everything", expected: |_| true, ..EVERYTHING },
    Way { name: "grant", expected: BY_GRANT, ..GRANTED },
    Way { name: "grant that has not spread", unspread: true, expected: Row::retires, ..GRANTED },
    Way { name: "token of a grant that has not spread", unspread: true, token: true, expected: BY_GRANT, ..GRANTED },
    Way { name: "everything, Deny in the key policy", denied: Some("key policy"), expected: UNLESS_KEY, ..EVERYTHING },
    Way { name: "everything, Deny in the identity policy", denied: Some("identity"), ..EVERYTHING },
    Way { name: "everything, Deny in the boundary", denied: Some("boundary"), ..EVERYTHING },
    Way { name: "everything, Deny in the session policy", who: Who::Role, denied: Some("session"), ..EVERYTHING },
    Way { name: "everything, Deny in a guardrail", denied: Some("guardrail"), ..EVERYTHING },
    Way { name: "delegated, silent boundary", silent: Some("boundary"), ..DELEGATED },
    Way { name: "delegated, silent session policy", who: Who::Role, silent: Some("session"), ..DELEGATED },
    Way { name: "everything, silent guardrail", silent: Some("guardrail"), ..EVERYTHING },
    Way { name: "user in the key policy, silent boundary", named: true, silent: Some("boundary"), expected: Row::only_keys, ..NOTHING },
    Way { name: "role in the key policy, silent boundary", named: true, silent: Some("boundary"), ..AS_ROLE },
    Way { name: "role in the key policy, silent session policy", named: true, silent: Some("session"), ..AS_ROLE },
    Way { name: "session in the key policy, silent session policy", session_named: true, silent: Some("session"), expected: Row::only_keys, ..AS_ROLE },
    Way { name: "grant, Deny in the key policy", denied: Some("key policy"), ..GRANTED },
    Way { name: "grant, Deny in the identity policy", denied: Some("identity"), ..GRANTED },
    Way { name: "grant, silent guardrail", silent: Some("guardrail"), ..GRANTED },
    Way { name: "grant to the role, silent session policy", grant: true, silent: Some("session"), ..AS_ROLE },
    Way { name: "grant to the session, silent session policy", session_grant: true, silent: Some("session"), expected: BY_GRANT, ..AS_ROLE },
    Way { name: "abroad: nothing", ..ABROAD },
    Way { name: "abroad: key policy", named: true, ..ABROAD },
    Way { name: "abroad: identity policy", identity: true, ..ABROAD },
    Way { name: "abroad: both", named: true, identity: true, expected: |row| row.crosses && !row.retires(), ..ABROAD },
    Way { name: "abroad: grant", grant: true, expected: BY_GRANT, ..ABROAD },
    Way { name: "abroad: token of a grant that has not spread", grant: true, unspread: true, token: true, expected: BY_GRANT, ..ABROAD },
    Way { name: "abroad: both, Deny in the key policy", named: true, identity: true, denied: Some("key policy"), ..ABROAD },
    Way { name: "abroad: both, Deny in the identity policy", named: true, identity: true, denied: Some("identity"), ..ABROAD },
    Way { name: "abroad: grant, Deny in the key policy", grant: true, denied: Some("key policy"), ..ABROAD },
];

impl Way {
    fn caller(&self) -> Arc<Principal> {
        let base = match self.who {
            Who::User => user(OWNER, "caller"),
            Who::Role => role_session(OWNER, "caller"),
            Who::Guest => user(GUEST, "caller"),
        };
        let everything = || may("Allow", "kms:*");
        let elsewhere = || parsed(&[may("Allow", "s3:*")]);
        let narrowed = |place: &str| {
            if self.denied == Some(place) {
                return Some(parsed(&[everything(), may("Deny", "kms:*")]));
            }
            (self.silent == Some(place)).then(elsewhere)
        };
        let mut policies = Vec::new();
        if self.identity {
            policies.push(parsed(&[everything()]));
        }
        if self.denied == Some("identity") {
            policies.push(parsed(&[may("Deny", "kms:*")]));
        }
        let session = base.session.as_ref().map(|_| Session {
            policies: narrowed("session").map(|policy| vec![policy]),
            ..Session::default()
        });
        let guardrails = narrowed("guardrail").map(|policy| vec![policy]);
        Arc::new(Principal {
            policies,
            boundary: narrowed("boundary"),
            session,
            guardrails: guardrails.into_iter().collect(),
            ..base
        })
    }

    fn key_policy(&self, caller: &Principal) -> Value {
        let mut statements = vec![for_admin()];
        if self.delegated {
            statements.push(delegation());
        }
        if self.named {
            statements.push(let_in("Allow", &caller.arn, "kms:*"));
        }
        if self.session_named {
            statements.push(let_in("Allow", caller.session_arn.as_deref().unwrap(), "kms:*"));
        }
        if self.denied == Some("key policy") {
            statements.push(let_in("Deny", &caller.arn, "kms:*"));
        }
        policy(&statements)
    }
}

/// What a request can be about, by the names that requests of the table give it.
pub(super) type Things = Vec<(&'static str, String)>;

/// Makes what the operation needs, as the administrator.
pub(super) async fn prepare(
    world: &World,
    row: &Row,
    way: &Way,
    number: usize,
) -> (Things, Vec<String>) {
    let (admin, caller) = (admin(), way.caller());
    let mut things = vec![
        ("me", caller.arn.clone()),
        ("alias", format!("alias/a{number}")),
        ("policy", policy(&[for_admin()]).to_string()),
    ];
    let mut tokens = Vec::new();
    if row.key.is_empty() {
        return (things, tokens);
    }
    let key_policy = way.key_policy(&caller).to_string();
    let mut body = match row.key {
        "signing" => json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}),
        "agreement" => json!({"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}),
        "mac" => json!({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}),
        "external" => json!({"Origin": "EXTERNAL"}),
        "multi-region" => json!({"MultiRegion": true}),
        _ => json!({}),
    };
    body["Policy"] = json!(key_policy);
    let key = world.key(&admin, &body).await;
    let other = world.key(&admin, &body).await;
    let ask = async |operation: &str, mut body: Value| {
        body["KeyId"] = json!(key);
        let result = world.ask(&admin, operation, &body).await;
        result.unwrap_or_else(|error| panic!("{operation}: {error:?}"))
    };
    let grantee = match (way.grant, way.session_grant) {
        (true, _) => Some(caller.arn.clone()),
        (_, true) => caller.session_arn.clone(),
        _ => None,
    };
    let mut own_grant = None;
    // A key that waits for its material takes no grants.
    if let Some(grantee) = grantee.filter(|_| row.key != "external") {
        for (key, (action, _)) in [&key, &other].into_iter().zip(&row.needs) {
            let operation = GrantOperation::parse(action).unwrap_or(GrantOperation::DescribeKey);
            let grant = json!({"KeyId": key, "GranteePrincipal": grantee,
                               "Operations": [operation.as_str(), "RetireGrant"]});
            let answer = world.ask(&admin, "CreateGrant", &grant).await.unwrap();
            tokens.push(text(&answer, "GrantToken"));
            own_grant = Some(text(&answer, "GrantId"));
        }
    }
    match row.before {
        "Encrypt" => {
            let answer = ask("Encrypt", json!({"Plaintext": "cGxhaW4="})).await;
            things.push(("blob", text(&answer, "CiphertextBlob")));
        }
        "GetPublicKey" => {
            things.push(("public", text(&ask("GetPublicKey", json!({})).await, "PublicKey")));
        }
        "Sign" => {
            let body = json!({"Message": "bQ==", "SigningAlgorithm": "ECDSA_SHA_256"});
            things.push(("signature", text(&ask("Sign", body).await, "Signature")));
        }
        "GenerateMac" => {
            let body = json!({"Message": "bQ==", "MacAlgorithm": "HMAC_SHA_256"});
            things.push(("mac", text(&ask("GenerateMac", body).await, "Mac")));
        }
        "CreateAlias" => {
            let body = json!({"AliasName": format!("alias/a{number}"), "TargetKeyId": key});
            world.ask(&admin, "CreateAlias", &body).await.unwrap();
        }
        "CreateGrant" => {
            let friend = format!("arn:aws:iam::{OWNER}:user/friend");
            let body = json!({"GranteePrincipal": friend, "Operations": ["DescribeKey"]});
            let grant = text(&ask("CreateGrant", body).await, "GrantId");
            things.push(("grant", own_grant.filter(|_| row.retires()).unwrap_or(grant)));
        }
        "ReplicateKey" => {
            ask("ReplicateKey", json!({"ReplicaRegion": "eu-west-2", "Policy": key_policy})).await;
        }
        "" => {}
        operation => drop(ask(operation, json!({})).await),
    }
    things.extend([("key", key), ("other", other)]);
    (things, tokens)
}

pub(super) fn filled(template: &Value, things: &Things) -> Value {
    match template {
        Value::String(text) => {
            let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            let thing = name.map(|name| things.iter().find(|(known, _)| *known == name).unwrap());
            thing.map_or_else(|| template.clone(), |(_, thing)| json!(thing))
        }
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), filled(value, things))).collect()
        }
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_in_every_way() {
    let rows = table();
    assert_eq!(rows.len(), 54);
    for name in crate::ops::built() {
        assert!(
            rows.iter().any(|row| row.operation == name.as_str()),
            "{name} is not in the table"
        );
    }
    let (mut total, mut permitted, mut wrong) = (0_usize, 0_usize, Vec::new());
    for way in WAYS {
        let grant_delay = if way.unspread { 300_000 } else { 0 };
        let world = World::new(ServiceSettings { grant_delay, ..Default::default() }).await;
        let caller = way.caller();
        for row in &rows {
            if way.who == Who::Guest && !row.reaches_others() {
                continue;
            }
            let (things, tokens) = prepare(&world, row, &way, total).await;
            let mut body = filled(&row.request, &things);
            if way.token && row.by_grant && !row.retires() {
                body["GrantTokens"] = json!(tokens);
            }
            let expected = (way.expected)(row);
            let wanted = if expected { row.permitted } else { "AccessDeniedException" };
            let result = world.ask(&caller, row.operation, &body).await;
            total += 1;
            permitted += usize::from(expected);
            if fate(&result) != wanted {
                wrong.push(format!("{} ({}): {result:?}, not {wanted}", row.operation, way.name));
            }
        }
    }
    let passed = total - wrong.len();
    println!("authorization matrix: {passed}/{total} as expected, {permitted} of them permitted");
    assert!(wrong.is_empty(), "{} of {total}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(total > 1_700, "{total}");
}
