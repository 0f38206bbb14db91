#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::tests::{ALLOW, SEALED, faults, parse, unique_id_of};
use crate::document;

/// Each text has exactly the fault beside it.
#[test]
fn every_fault_has_its_place() {
    let user = |rest: &str| format!("[accounts.111122223333.users.alice]\n{rest}");
    let role = |rest: &str| {
        format!(
            "[accounts.111122223333.roles.R]\ntrust_policy = '{}'\n{rest}",
            r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*"}}"#
        )
    };
    let account = |rest: &str| format!("[accounts.111122223333]\n{rest}");
    let key = |rest: &str| {
        format!("[accounts.111122223333.root.access_keys.AKIAROOTROOTROOTROOT]\n{rest}")
    };
    let trust =
        |document: &str| format!("[accounts.111122223333.roles.R]\ntrust_policy = '{document}'\n");
    let trusting = |principal: &str| {
        trust(&format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{principal}}}}}"#
        ))
    };
    let provider = |rest: &str| {
        format!("[accounts.111122223333.oidc_providers.\"https://issuer.example\"]\n{rest}")
    };
    let cases: Vec<(String, &str)> = vec![
        // The file as a whole.
        ("users = 1\n".into(), "1:1 users: unknown field, expected one of `accounts`"),
        ("accounts = 1\n".into(), "1:12 accounts: expected a table, found integer"),
        ("[accounts]\nx = {}\n".into(), "2:1 accounts.x: an account id has 12 digits"),
        ("[accounts.1234]\n".into(), "1:11 accounts.1234: an account id has 12 digits"),
        (account("colour = 1\n"), "2:1 accounts.111122223333.colour: unknown field"),
        (account("alias = \"A\"\n"), "2:9 accounts.111122223333.alias: an account alias has"),
        (
            account("alias = 7\n"),
            "2:9 accounts.111122223333.alias: expected a string, found integer",
        ),
        (account("partition = \"gcp\"\n"), "2:13 accounts.111122223333.partition: a partition is"),
        (
            account("organization_id = \"x\"\n"),
            "2:19 accounts.111122223333.organization_id: an org",
        ),
        (
            account("organization_path = \"o-a1b2c3d4e5/r-ab12/\"\n"),
            "2:21 accounts.111122223333.organization_path: the path does not begin with",
        ),
        (
            format!("{}[accounts.444455556666]\nalias = \"same\"\n", account("alias = \"same\"\n")),
            "4:9 accounts.444455556666.alias: account 111122223333 has this alias, too",
        ),
        // Names.
        (
            account("users.\"a b\" = {}\n"),
            "2:7 accounts.111122223333.users.\"a b\": a name has 1 to 64",
        ),
        (
            account("groups.\"ä\" = {}\n"),
            "2:8 accounts.111122223333.groups.\"ä\": a name has 1 to 128",
        ),
        (
            account("users.Alice = {}\nusers.alice = {}\n"),
            "3:7 accounts.111122223333.users.alice: `Alice` differs from it by case alone",
        ),
        (
            account("groups.Admins = {}\ngroups.ADMINS = {}\n"),
            "3:8 accounts.111122223333.groups.ADMINS: `Admins` differs",
        ),
        (account("users.alice = 3\n"), "2:15 accounts.111122223333.users.alice: expected a table"),
        // Users.
        (user("path = \"x\"\n"), "2:8 accounts.111122223333.users.alice.path: a path begins"),
        (
            user("id = \"AROAAAAAAAAAAAAAAAAA\"\n"),
            "2:6 accounts.111122223333.users.alice.id: the id is `AIDA`",
        ),
        (
            user("groups = [\"G\"]\n"),
            "2:11 accounts.111122223333.users.alice.groups[0]: the account has no group `G`",
        ),
        (
            user("groups = \"G\"\n"),
            "2:10 accounts.111122223333.users.alice.groups: expected an array, found string",
        ),
        (
            user("policies = [1]\n"),
            "2:13 accounts.111122223333.users.alice.policies[0]: expected a string",
        ),
        (
            user("policies = [\"P\"]\n"),
            "2:13 accounts.111122223333.users.alice.policies[0]: the account has no policy `P`",
        ),
        (
            user("policies = [\"arn:aws:iam::aws:policy/ReadOnlyAccess\"]\n"),
            "2:13 accounts.111122223333.users.alice.policies[0]: policies are named without",
        ),
        (
            user(&format!(
                "policies = [\"p\"]\n[accounts.111122223333.policies.P]\ndocument = '{ALLOW}'\n"
            )),
            "2:13 accounts.111122223333.users.alice.policies[0]: the account's policy is spelt `P`",
        ),
        (
            user(&format!(
                "policies = [\"P\", \"P\"]\n[accounts.111122223333.policies.P]\ndocument = '{ALLOW}'\n"
            )),
            "2:18 accounts.111122223333.users.alice.policies[1]: this policy is attached twice",
        ),
        (
            user("permissions_boundary = \"P\"\n"),
            "2:24 accounts.111122223333.users.alice.permissions_boundary: the account has no policy",
        ),
        (
            user("tags = { \"aws:x\" = \"1\" }\n"),
            "2:10 accounts.111122223333.users.alice.tags.\"aws:x\": tag keys",
        ),
        (
            user("tags = { a = \"*\" }\n"),
            "2:14 accounts.111122223333.users.alice.tags.a: a tag value",
        ),
        (
            user("tags = { a = \"\", A = \"\" }\n"),
            "2:18 accounts.111122223333.users.alice.tags.A: `a` differs",
        ),
        (
            user("[accounts.111122223333.users.alice.inline_policies]\nP = '{}'\n"),
            "3:5 accounts.111122223333.users.alice.inline_policies.P: policy must contain a Statement",
        ),
        (
            user("inline_policies.P = { file = \"gone.json\" }\n"),
            "2:30 accounts.111122223333.users.alice.inline_policies.P.file: cannot use `/etc/keystead/gone.json`",
        ),
        (
            user("inline_policies.P = { file = \"broken.json\" }\n"),
            "2:21 accounts.111122223333.users.alice.inline_policies.P: `/etc/keystead/broken.json`: ",
        ),
        (
            user("inline_policies.P = { path = \"x\", file = \"allow.json\" }\n"),
            "2:23 accounts.111122223333.users.alice.inline_policies.P.path: unknown field",
        ),
        (
            user("inline_policies.P = {}\n"),
            "2:17 accounts.111122223333.users.alice.inline_policies.P: `file` is missing",
        ),
        // Roles.
        (
            "[accounts.111122223333.roles.R]\n".into(),
            "1:30 accounts.111122223333.roles.R: `trust_policy` is missing",
        ),
        (trust(ALLOW), "2:16 accounts.111122223333.roles.R.trust_policy: "),
        (
            trusting(r#"{"AWS":"arn:aws:iam::111122223333:user/gone"}"#),
            "2:16 accounts.111122223333.roles.R.trust_policy: there is no principal `arn:aws:iam::111122223333:user/gone`",
        ),
        (
            trusting(r#"{"Federated":"arn:aws:iam::111122223333:oidc-provider/x"}"#),
            "2:16 accounts.111122223333.roles.R.trust_policy: there is no identity provider",
        ),
        (
            role("max_session_duration = 3599\n"),
            "3:24 accounts.111122223333.roles.R.max_session_duration: expected 3600",
        ),
        (
            role("max_session_duration = 43201\n"),
            "3:24 accounts.111122223333.roles.R.max_session_duration: expected 3600",
        ),
        (
            role("max_session_duration = \"1h\"\n"),
            "3:24 accounts.111122223333.roles.R.max_session_duration: expected an integer",
        ),
        (role("groups = []\n"), "3:1 accounts.111122223333.roles.R.groups: unknown field"),
        // Managed policies and guardrails.
        (
            account("policies.P = {}\n"),
            "2:10 accounts.111122223333.policies.P: `document` is missing",
        ),
        (
            account("policies.P.document = '{'\n"),
            "2:23 accounts.111122223333.policies.P.document: ",
        ),
        (
            account("guardrails.top = {}\n"),
            "2:12 accounts.111122223333.guardrails.top: a level without",
        ),
        (
            account("guardrails.top.P = 1\n"),
            "2:20 accounts.111122223333.guardrails.top.P: expected a string",
        ),
        // Access keys.
        (
            key(""),
            "1:41 accounts.111122223333.root.access_keys.AKIAROOTROOTROOTROOT: `secret` is missing",
        ),
        (
            key("secret = \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"\n"),
            "2:10 accounts.111122223333.root.access_keys.AKIAROOTROOTROOTROOT.secret: this looks like a secret",
        ),
        (
            key(&format!("secret = \"{SEALED}\"\nactive = 1\n")),
            "3:10 accounts.111122223333.root.access_keys.AKIAROOTROOTROOTROOT.active: expected true or false",
        ),
        (
            account(&format!("root.access_keys.ASIAROOTROOTROOTROOT.secret = \"{SEALED}\"\n")),
            "2:18 accounts.111122223333.root.access_keys.ASIAROOTROOTROOTROOT: an access key id is",
        ),
        // OIDC providers.
        (
            account(
                "oidc_providers.\"http://x\" = { client_ids = [\"a\"], jwks = { file = \"jwks.json\" } }\n",
            ),
            "2:16 accounts.111122223333.oidc_providers.\"http://x\": an issuer is",
        ),
        (
            provider("client_ids = []\njwks = { file = \"jwks.json\" }\n"),
            "2:14 accounts.111122223333.oidc_providers.\"https://issuer.example\".client_ids: without a client id",
        ),
        (
            provider("client_ids = [\"a\"]\njwks = { file = \"gone\" }\n"),
            "3:17 accounts.111122223333.oidc_providers.\"https://issuer.example\".jwks.file: cannot use",
        ),
        (
            provider("client_ids = [\"a\"]\njwks = { url = \"https://issuer.example/jwks\" }\n"),
            "3:16 accounts.111122223333.oidc_providers.\"https://issuer.example\".jwks.url: only loopback",
        ),
        (
            provider(
                "client_ids = [\"a\"]\njwks = { url = \"http://[::1]/\", file = \"jwks.json\" }\n",
            ),
            "3:8 accounts.111122223333.oidc_providers.\"https://issuer.example\".jwks: expected one of",
        ),
    ];
    for (text, expected) in cases {
        let found = faults(&text);
        assert_eq!(found.len(), 1, "{text}\n{found:?}");
        assert!(found[0].starts_with(expected), "{text}\n{}\n{expected}", found[0]);
    }
}

#[test]
fn all_faults_are_told_in_the_order_of_their_places() {
    let text = "[accounts.111122223333.users.bob]\npath = 1\ncolour = \"red\"\ngroups = [\"G\", \"H\"]\n\
                [accounts.111122223333]\nalias = \"A\"\n[accounts.1]\n";
    let found = faults(text);
    let places: Vec<_> = found.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
    assert_eq!(places, ["2:8", "3:1", "4:11", "4:16", "6:9", "7:11"], "{found:#?}");
}

#[test]
fn faults_of_the_toml_itself_are_all_told() {
    let found = faults("[accounts\nx = \n[accounts.1]\ny = \"\n");
    assert!(found.len() > 1, "{found:?}");
    assert!(found[0].starts_with("1:"), "{found:?}");
    let found = faults("[accounts.111122223333.users.a]\n[accounts.111122223333.users.a]\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("2:"), "{found:?}");
}

#[test]
fn a_faulty_policy_is_not_a_missing_one() {
    let text = "[accounts.111122223333.policies.P]\ndocument = '{'\n\
                [accounts.111122223333.users.a]\npolicies = [\"P\"]\npermissions_boundary = \"P\"\n";
    assert_eq!(faults(text).len(), 1, "{:?}", faults(text));
    let text = "[accounts.111122223333.roles.R]\ntrust_policy = '{'\n\
                [accounts.111122223333.roles.S]\ntrust_policy = '{\"Statement\":{\"Effect\":\"Allow\",\
                \"Action\":\"sts:AssumeRole\",\"Principal\":{\"AWS\":[\"arn:aws:iam::111122223333:role/R\",\
                \"arn:aws:sts::111122223333:assumed-role/R/x\"]}}}'\n";
    assert_eq!(faults(text).len(), 1, "{:?}", faults(text));
}

#[test]
fn limits_count() {
    let entries = |count: usize, entry: &dyn Fn(usize) -> String| -> String {
        (0..count).map(entry).collect()
    };
    let user = |rest: &str| format!("[accounts.111122223333.users.alice]\n{rest}");
    let tags = |count| {
        user(&format!(
            "[accounts.111122223333.users.alice.tags]\n{}",
            entries(count, &|i| format!("t{i} = \"\"\n"))
        ))
    };
    assert!(parse(&tags(50)).is_ok());
    assert!(faults(&tags(51))[0].contains("51 tags, more than 50"));

    let keys = |count| {
        entries(count, &|i| {
            format!(
                "[accounts.111122223333.users.alice.access_keys.AKIA{i:016}]\nsecret = \"{SEALED}\"\n"
            )
        })
    };
    assert!(parse(&keys(2)).is_ok());
    assert!(faults(&keys(3))[0].contains("3 access keys, more than 2"));

    let attached = |count: usize| {
        let names = entries(count, &|i| format!("\"P{i}\", "));
        let policies = entries(count, &|i| {
            format!("[accounts.111122223333.policies.P{i}]\ndocument = '{ALLOW}'\n")
        });
        format!("{policies}{}", user(&format!("policies = [{names}]\n")))
    };
    assert!(parse(&attached(20)).is_ok());
    assert!(faults(&attached(21))[0].contains("21 policies attached, more than 20"));

    let inline = |count: usize| {
        let policies = entries(count, &|i| format!("P{i} = '{ALLOW}'\n"));
        user(&format!("[accounts.111122223333.users.alice.inline_policies]\n{policies}"))
    };
    let fitting = document::USER_INLINE / document::size(ALLOW);
    assert!(parse(&inline(fitting)).is_ok());
    let over = faults(&inline(fitting + 1));
    assert!(over[0].starts_with("2:36 ") && over[0].contains("more than 2048"), "{over:?}");

    let groups = |count: usize| {
        let names = entries(count, &|i| format!("\"G{i}\", "));
        let groups = entries(count, &|i| format!("[accounts.111122223333.groups.G{i}]\n"));
        format!("{groups}{}", user(&format!("groups = [{names}]\n")))
    };
    assert!(parse(&groups(10)).is_ok());
    assert!(faults(&groups(11))[0].contains("11 groups, more than 10"));
}

#[test]
fn one_key_and_one_id_have_one_owner() {
    let key = |owner: &str| {
        format!(
            "[accounts.111122223333.{owner}.access_keys.AKIAROOTROOTROOTROOT]\nsecret = \"{SEALED}\"\n"
        )
    };
    let found = faults(&format!("{}{}", key("root"), key("users.alice")));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("belongs to another owner, too"), "{found:?}");

    let derived = unique_id_of("AIDA", "/", "alice");
    let text = format!(
        "[accounts.111122223333.users.alice]\n[accounts.111122223333.users.bob]\nid = \"{derived}\"\n"
    );
    let found = faults(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("3:6 ") && found[0].contains("another principal has the id"));
}
