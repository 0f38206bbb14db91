//! Ways around, each of them closed: what a refusal betrays, what a narrowed session keeps, what is
//! still permitted while a policy changes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::trials::{
    GUEST, HERE, OWNER, World, admin, delegation, fate, for_admin, let_in, may, parsed, policy,
    role_session, root, text, told, user,
};
use crate::principal::{Principal, Session};

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

/// A ciphertext that says it is under the key of this id: its header is that of a genuine one.
async fn ciphertexts(world: &World, key: &str) -> (Value, Value) {
    let body = json!({"KeyId": key, "Plaintext": "cGxhaW4="});
    let real = text(&world.ask(&admin(), "Encrypt", &body).await.unwrap(), "CiphertextBlob");
    // Another key of the same kind, destroyed: its ciphertexts are those of a key that is not there.
    let gone = world.key_under(&admin(), &policy(&[for_admin()])).await;
    let body = json!({"KeyId": gone, "Plaintext": "cGxhaW4="});
    let dead = text(&world.ask(&admin(), "Encrypt", &body).await.unwrap(), "CiphertextBlob");
    let body = json!({"KeyId": gone, "PendingWindowInDays": 7});
    world.ask(&admin(), "ScheduleKeyDeletion", &body).await.unwrap();
    world.clock.advance(8 * 86_400_000);
    (json!(real), json!(dead))
}

fn id_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

fn arn_of(id: &str) -> String {
    format!("arn:aws:kms:{HERE}:{OWNER}:key/{id}")
}

/// Nothing that a stranger asks tells a key that exists from one that does not.
#[tokio::test]
async fn re_encrypt_tells_nothing_of_keys_of_others() {
    let world = World::new(Default::default()).await;
    let key = world.key_under(&admin(), &policy(&[for_admin()])).await;
    let (real, dead) = ciphertexts(&world, &key).await;
    let stranger = Arc::new(root(GUEST));
    let own = world.key(&stranger, &json!({})).await;
    let unknown = arn_of(UNKNOWN);
    let re = async |body: Value| told(world.ask(&stranger, "ReEncrypt", &body).await);
    // By ciphertext alone, whatever is wrong with the destination.
    for destination in ["alias/none", UNKNOWN, &own, &unknown, &key, "bad id"] {
        let of = async |blob: &Value| {
            re(json!({"CiphertextBlob": blob, "DestinationKeyId": destination})).await
        };
        assert_eq!(of(&real).await, of(&dead).await, "{destination}");
    }
    // By the ARN of the source.
    for destination in ["alias/none", UNKNOWN, &own, &unknown, &key] {
        let of = async |source: &str| {
            re(json!({"CiphertextBlob": real, "SourceKeyId": source,
                      "DestinationKeyId": destination}))
            .await
        };
        assert_eq!(of(&key).await, of(&unknown).await, "{destination}");
    }
    // By the ARN of the destination, whatever is wrong with the source.
    for source in ["alias/none", UNKNOWN, &unknown, &key] {
        let of = async |destination: &str| {
            re(json!({"CiphertextBlob": real, "SourceKeyId": source,
                      "DestinationKeyId": destination}))
            .await
        };
        assert_eq!(of(&key).await, of(&unknown).await, "{source}");
    }
    // Who may open it is told what is amiss with the destination.
    let body = json!({"CiphertextBlob": real, "DestinationKeyId": arn_of(UNKNOWN)});
    let (name, message) = told(world.ask(&Arc::new(root(GUEST)), "ReEncrypt", &body).await);
    assert_eq!(name, "AccessDeniedException");
    assert!(message.contains("kms:ReEncryptFrom"), "{message}");
    let guests = json!({"KeyId": own, "Plaintext": "cGxhaW4="});
    let blob = text(&world.ask(&stranger, "Encrypt", &guests).await.unwrap(), "CiphertextBlob");
    let (_, message) = re(json!({"CiphertextBlob": blob, "DestinationKeyId": unknown})).await;
    assert!(message.contains("kms:ReEncryptTo"), "{message}");
}

/// The bare id of another account's key works with its ciphertext, for who may use it; to others it
/// is the id of a key that their account does not have.
#[tokio::test]
async fn a_bare_id_with_its_ciphertext_tells_nothing() {
    let world = World::new(Default::default()).await;
    let key = world.key_under(&admin(), &policy(&[for_admin()])).await;
    let (real, dead) = ciphertexts(&world, &key).await;
    let stranger = Arc::new(root(GUEST));
    let decrypt = async |id: &str, blob: &Value| {
        let body = json!({"KeyId": id, "CiphertextBlob": blob});
        told(world.ask(&stranger, "Decrypt", &body).await)
    };
    let missing = |id: &str| {
        let arn = format!("arn:aws:kms:{HERE}:{GUEST}:key/{id}");
        ("NotFoundException".to_owned(), format!("Key '{arn}' does not exist"))
    };
    assert_eq!(decrypt(id_of(&key), &real).await, missing(id_of(&key)));
    assert_eq!(decrypt(id_of(&key), &dead).await, missing(id_of(&key)));
    assert_eq!(decrypt(UNKNOWN, &dead).await, missing(UNKNOWN));
    let guest = let_in("Allow", &root(GUEST).arn, "kms:Decrypt");
    let body = json!({"KeyId": key, "Policy": policy(&[for_admin(), guest]).to_string()});
    world.ask(&admin(), "PutKeyPolicy", &body).await.unwrap();
    let body = json!({"KeyId": id_of(&key), "CiphertextBlob": real});
    assert_eq!(fate(&world.ask(&stranger, "Decrypt", &body).await), "ok");
}

/// What was permitted by a policy that has been replaced meanwhile is not committed.
#[tokio::test]
async fn a_new_policy_ends_what_is_under_way_by_the_old_one() {
    let world = World::new(Default::default()).await;
    let mallory = Arc::new(user(OWNER, "mallory"));
    let old = policy(&[for_admin(), let_in("Allow", &mallory.arn, "kms:*")]);
    let key = world.key_under(&admin(), &old).await;
    let service = &world.service;
    let id = id_of(&key).parse().unwrap();
    let region = super::trials::region();
    let seen = service.keys.find(&service.keyring, id, &region).await.unwrap().unwrap();
    let body = json!({"KeyId": key, "Policy": policy(&[for_admin()]).to_string()});
    world.ask(&admin(), "PutKeyPolicy", &body).await.unwrap();
    // Mallory's request was permitted by the key as it was seen before, and commits now.
    let mut draft = crate::write::Draft::default();
    draft.replace(service, &seen, &seen.record).unwrap();
    assert!(draft.commit(service).await.unwrap_err().is_conflict());
    let back = json!({"KeyId": key, "Policy": old.to_string()});
    assert_eq!(fate(&world.ask(&mallory, "PutKeyPolicy", &back).await), "AccessDeniedException");
}

/// Policies that change to and fro while they are used: after each answer the new one counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_is_by_a_policy_replaced_before_the_question() {
    let world = Arc::new(World::new(Default::default()).await);
    let caller = Arc::new(user(OWNER, "caller"));
    let open = policy(&[for_admin(), let_in("Allow", &caller.arn, "kms:*")]);
    let shut = policy(&[for_admin()]);
    let key = world.key_under(&admin(), &open).await;
    let busy: Vec<_> = (0..3)
        .map(|_| {
            let (world, key, caller) = (Arc::clone(&world), key.clone(), Arc::clone(&caller));
            tokio::spawn(async move {
                for _ in 0..300 {
                    let _ = world.ask(&caller, "DescribeKey", &json!({"KeyId": key})).await;
                }
            })
        })
        .collect();
    for round in 0..60 {
        let new = if round % 2 == 0 { &shut } else { &open };
        let body = json!({"KeyId": key, "Policy": new.to_string()});
        world.ask(&admin(), "PutKeyPolicy", &body).await.unwrap();
        let result = world.ask(&caller, "DescribeKey", &json!({"KeyId": key})).await;
        assert_eq!(result.is_ok(), round % 2 == 1, "round {round}");
    }
    for task in busy {
        task.await.unwrap();
    }
    // The same with a grant that comes and goes.
    let body = json!({"KeyId": key, "Policy": shut.to_string()});
    world.ask(&admin(), "PutKeyPolicy", &body).await.unwrap();
    for _ in 0..30 {
        let grant = json!({"KeyId": key, "GranteePrincipal": caller.arn,
                           "Operations": ["DescribeKey"]});
        let grant = world.ask(&admin(), "CreateGrant", &grant).await.unwrap();
        let describe = json!({"KeyId": key});
        assert!(world.ask(&caller, "DescribeKey", &describe).await.is_ok());
        let body = json!({"KeyId": key, "GrantId": grant["GrantId"]});
        world.ask(&admin(), "RevokeGrant", &body).await.unwrap();
        assert!(world.ask(&caller, "DescribeKey", &describe).await.is_err());
        let with_token = json!({"KeyId": key, "GrantTokens": [grant["GrantToken"]]});
        assert!(world.ask(&caller, "DescribeKey", &with_token).await.is_err());
    }
}

/// A session that was narrowed cannot retire by what its role may, nor can anybody past a guardrail or
/// a Deny that spares only whom it lists.
#[tokio::test]
async fn retiring_is_limited_like_everything_else() {
    let world = World::new(Default::default()).await;
    let silent = || Some(vec![parsed(&[may("Allow", "s3:*")])]);
    let session = |policies| Some(Session { policies, ..Session::default() });
    let base = || role_session(OWNER, "app");
    let listed = json!({"Effect": "Deny", "Action": "kms:RetireGrant", "Resource": "*",
        "NotPrincipal": {"AWS": [base().arn, base().session_arn.unwrap(),
                                 format!("arn:aws:iam::{OWNER}:root")]}});
    let plain = policy(&[for_admin()]);
    let sparing = policy(&[for_admin(), listed]);
    let everything = || Some(parsed(&[may("Allow", "*")]));
    let cases: [(&str, &Value, Principal, bool, bool); 5] = [
        ("whole", &plain, base(), true, true),
        ("narrowed", &plain, Principal { session: session(silent()), ..base() }, false, true),
        (
            "guarded",
            &plain,
            Principal { guardrails: silent().into_iter().collect(), ..base() },
            false,
            false,
        ),
        ("spared", &sparing, base(), true, true),
        // NotPrincipal spares nobody who has a permissions boundary.
        ("bounded", &sparing, Principal { boundary: everything(), ..base() }, false, false),
    ];
    for (name, key_policy, caller, as_role, as_session) in cases {
        let key = world.key_under(&admin(), key_policy).await;
        let caller = Arc::new(caller);
        let arns =
            [(caller.arn.clone(), as_role), (caller.session_arn.clone().unwrap(), as_session)];
        for (arn, permitted) in arns {
            let friend = format!("arn:aws:iam::{OWNER}:user/friend");
            let body = json!({"KeyId": key, "GranteePrincipal": friend, "RetiringPrincipal": arn,
                              "Operations": ["DescribeKey"]});
            let grant = world.ask(&admin(), "CreateGrant", &body).await.unwrap();
            let body = json!({"KeyId": key, "GrantId": grant["GrantId"]});
            let result = world.ask(&caller, "RetireGrant", &body).await;
            assert_eq!(result.is_ok(), permitted, "{name} {arn}: {result:?}");
        }
    }
}

/// A replica is a multi-Region key like another: who may not make those makes none by replication.
#[tokio::test]
async fn a_replica_shows_the_properties_it_will_have() {
    let world = World::new(Default::default()).await;
    let key = world
        .key(
            &admin(),
            &json!({"MultiRegion": true, "Policy":
        policy(&[for_admin(), delegation()]).to_string()}),
        )
        .await;
    let caller = |effect: &str, operator: &str, name: &str, value: &str| {
        let creates = json!({"Effect": effect, "Action": "kms:CreateKey", "Resource": "*",
                             "Condition": {operator: {name: value}}});
        let base = match effect {
            "Deny" => may("Allow", "kms:*"),
            _ => may("Allow", "kms:ReplicateKey"),
        };
        let policies = vec![parsed(&[base, creates])];
        Arc::new(Principal { policies, ..user(OWNER, "caller") })
    };
    let mut regions = ["eu-west-2", "eu-west-3", "eu-north-1", "us-east-1", "us-west-2"].iter();
    for (name, value, other) in [
        ("kms:MultiRegionKeyType", "REPLICA", "PRIMARY"),
        ("kms:KeySpec", "SYMMETRIC_DEFAULT", "RSA_2048"),
        ("kms:KeyUsage", "ENCRYPT_DECRYPT", "SIGN_VERIFY"),
        ("kms:KeyOrigin", "AWS_KMS", "EXTERNAL"),
        ("kms:MultiRegion", "true", "false"),
    ] {
        let region = regions.next().unwrap();
        let body = json!({"KeyId": key, "ReplicaRegion": region});
        for (effect, value) in [("Deny", value), ("Allow", other)] {
            let caller = caller(effect, "StringEquals", name, value);
            let result = world.ask(&caller, "ReplicateKey", &body).await;
            assert_eq!(fate(&result), "AccessDeniedException", "{effect} {name}");
        }
        let caller = caller("Allow", "StringEquals", name, value);
        let result = world.ask(&caller, "ReplicateKey", &body).await;
        assert_eq!(fate(&result), "ok", "{name}");
    }
}

/// A subset of no pairs constrains nothing, and does not pass for a constraint.
#[tokio::test]
async fn an_empty_constraint_is_none() {
    let world = World::new(Default::default()).await;
    let caller = Arc::new(user(OWNER, "caller"));
    let mut constrained = let_in("Allow", &caller.arn, "kms:CreateGrant");
    constrained["Condition"] =
        json!({"StringEquals": {"kms:GrantConstraintType": "EncryptionContextSubset"}});
    let key = world.key_under(&admin(), &policy(&[for_admin(), constrained])).await;
    for (pairs, wanted) in [(json!({}), "AccessDeniedException"), (json!({"a": "b"}), "ok")] {
        let body = json!({"KeyId": key, "GranteePrincipal": caller.arn, "Operations": ["Decrypt"],
                          "Constraints": {"EncryptionContextSubset": pairs}});
        assert_eq!(fate(&world.ask(&caller, "CreateGrant", &body).await), wanted, "{pairs}");
    }
}

/// A token is good for its grant, key and Region alone, and for its grantee.
#[tokio::test]
async fn tokens_open_nothing_else() {
    let world = World::new(Default::default()).await;
    let caller = Arc::new(user(OWNER, "caller"));
    let thief = Arc::new(user(GUEST, "thief"));
    let key = world
        .key(
            &admin(),
            &json!({"MultiRegion": true, "Policy":
        policy(&[for_admin()]).to_string()}),
        )
        .await;
    let other = world.key_under(&admin(), &policy(&[for_admin()])).await;
    let body = json!({"KeyId": key, "ReplicaRegion": "eu-west-2",
                      "Policy": policy(&[for_admin()]).to_string()});
    world.ask(&admin(), "ReplicateKey", &body).await.unwrap();
    let body = json!({"KeyId": key, "GranteePrincipal": caller.arn, "Operations": ["DescribeKey"]});
    let grant = world.ask(&admin(), "CreateGrant", &body).await.unwrap();
    let token = text(&grant, "GrantToken");
    let ask = async |region: &str, who: &Arc<Principal>, key: &str, token: &str| {
        let body = json!({"KeyId": key, "GrantTokens": [token]});
        fate(&world.ask_in(region, who, "DescribeKey", &body).await)
    };
    let no = "AccessDeniedException";
    assert_eq!(ask(HERE, &caller, &key, &token).await, "ok");
    assert_eq!(ask(HERE, &caller, &other, &token).await, no);
    assert_eq!(ask(HERE, &thief, &key, &token).await, no);
    // The replica has the key's id, and none of its grants.
    assert_eq!(ask("eu-west-2", &caller, id_of(&key), &token).await, no);
    assert_eq!(
        ask("eu-west-2", &caller, id_of(&key), &format!("{token}A")).await,
        "InvalidGrantTokenException"
    );
    let mut forged = token.clone().into_bytes();
    forged[20] = if forged[20] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    assert_eq!(ask(HERE, &caller, &key, &forged).await, "InvalidGrantTokenException");
    let body = json!({"GrantToken": token});
    let elsewhere = world.ask_in("eu-west-2", &admin(), "RetireGrant", &body).await;
    assert_eq!(fate(&elsewhere), "InvalidGrantTokenException");
}

/// A stranger who names the alias of an AWS managed key makes none, here or there.
#[tokio::test]
async fn strangers_make_no_managed_keys() {
    let world = World::new(Default::default()).await;
    let stranger = Arc::new(root(GUEST));
    let body = json!({"KeyId": format!("arn:aws:kms:{HERE}:{OWNER}:alias/aws/s3")});
    let before = told(world.ask(&stranger, "DescribeKey", &body).await);
    for who in [root(OWNER), root(GUEST)] {
        let keys = world.ask(&Arc::new(who), "ListKeys", &json!({})).await.unwrap();
        assert_eq!(keys["Keys"], json!([]));
    }
    world.ask(&Arc::new(root(OWNER)), "DescribeKey", &body).await.unwrap();
    assert_eq!(told(world.ask(&stranger, "DescribeKey", &body).await), before);
}
