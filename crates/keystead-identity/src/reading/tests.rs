#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use proptest::prelude::*;

use super::*;
use crate::directory::{Existence, Principal};

/// Files that are not there but for a few.
pub(super) struct Few;

pub(super) const ALLOW: &str =
    r#"{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}"#;

impl Files for Few {
    fn policy(&mut self, path: &Path) -> Result<String, String> {
        match path.to_str() {
            Some("/etc/keystead/allow.json") => Ok(ALLOW.to_owned()),
            Some("/etc/keystead/broken.json") => Ok("{".to_owned()),
            _ => Err("no such file".to_owned()),
        }
    }

    fn usable(&mut self, path: &Path) -> Result<(), String> {
        if path == Path::new("/etc/keystead/jwks.json") {
            Ok(())
        } else {
            Err("no such file".into())
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Directory, Vec<Fault>> {
    Directory::parse_with(Path::new("/etc/keystead/identities.toml"), text, &mut Few)
}

/// The faults of a text as `line:column field: message`.
pub(super) fn faults(text: &str) -> Vec<String> {
    let faults = parse(text).err().unwrap_or_default();
    faults
        .iter()
        .map(|fault| format!("{}:{} {}: {}", fault.line, fault.column, fault.field, fault.message))
        .collect()
}

pub(super) const SEALED: &str =
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn full() -> String {
    format!(
        r#"
[accounts.111122223333]
alias = "acme"
organization_id = "o-a1b2c3d4e5"
organization_path = "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/"

[accounts.111122223333.root.access_keys.AKIAROOTROOTROOTROOT]
secret = "{SEALED}"

[accounts.111122223333.guardrails.organization]
Everything = '{ALLOW}'
[accounts.111122223333.guardrails.account]
Everything = {{ file = "allow.json" }}

[accounts.111122223333.policies.Sign]
document = '{ALLOW}'
[accounts.111122223333.policies.Bound]
path = "/limits/"
document = {{ file = "allow.json" }}

[accounts.111122223333.groups.Admins]
policies = ["Sign", "Bound"]
[accounts.111122223333.groups.Admins.inline_policies]
More = '{ALLOW}'

[accounts.111122223333.users.alice]
path = "/engineering/"
groups = ["Admins"]
policies = ["Sign"]
permissions_boundary = "Bound"
tags = {{ Team = "payments", "cost center" = "7" }}
[accounts.111122223333.users.alice.inline_policies]
Own = '{ALLOW}'
[accounts.111122223333.users.alice.access_keys.AKIAALICEALICEALICE1]
secret = "{SEALED}"
active = false

[accounts.111122223333.users.bob]
id = "AIDABOBBOBBOBBOBBOBB"

[accounts.111122223333.roles.Deploy]
path = "/ci/"
trust_policy = '''
{{"Statement": [
  {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {{"AWS": [
    "arn:aws:iam::111122223333:user/engineering/alice", "444455556666",
    "arn:aws:iam::444455556666:role/Elsewhere"]}}}},
  {{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity", "Principal":
    {{"Federated": "arn:aws:iam::111122223333:oidc-provider/issuer.example/x"}}}}]}}
'''
policies = ["Sign"]
permissions_boundary = "Bound"
max_session_duration = 7200
tags = {{ Stage = "prod" }}

[accounts.111122223333.oidc_providers."https://issuer.example/x"]
client_ids = ["sts.amazonaws.com"]
jwks = {{ file = "jwks.json" }}
[accounts.111122223333.oidc_providers."https://other.example"]
client_ids = ["a", "b"]
jwks = {{ url = "http://127.0.0.1:9000/jwks" }}

[accounts.000000000001]
partition = "aws-cn"
users.alice = {{}}
"#
    )
}

fn account() -> AccountId {
    AccountId::parse("111122223333").unwrap()
}

#[test]
fn a_full_file_is_understood() {
    let directory = parse(&full()).unwrap();
    let account = directory.account(account()).unwrap();
    assert_eq!(account.alias.as_deref(), Some("acme"));
    assert_eq!(account.root_arn, "arn:aws:iam::111122223333:root");
    assert_eq!(account.organization_id.as_deref(), Some("o-a1b2c3d4e5"));
    assert!(account.organization_path.as_deref().unwrap().ends_with("11111111/"));
    let levels: Vec<_> = account
        .guardrails
        .iter()
        .map(|level| (level.level.as_str(), level.policies.len()))
        .collect();
    assert_eq!(levels, [("organization", 1), ("account", 1)]);

    let alice = account.user("alice").unwrap();
    assert_eq!(alice.arn, "arn:aws:iam::111122223333:user/engineering/alice");
    assert_eq!(alice.id, unique_id_of("AIDA", "/engineering/", "alice"));
    let names: Vec<_> = alice.policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "user/alice/Own",
            "arn:aws:iam::111122223333:policy/Sign",
            "group/Admins/More",
            "arn:aws:iam::111122223333:policy/limits/Bound",
        ]
    );
    assert_eq!(
        alice.boundary.as_ref().unwrap().name,
        "arn:aws:iam::111122223333:policy/limits/Bound"
    );
    assert_eq!(alice.groups, ["Admins"]);
    let tags: Vec<_> = alice.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(tags, [("Team", "payments"), ("cost center", "7")]);
    assert_eq!(account.user("bob").unwrap().id, "AIDABOBBOBBOBBOBBOBB");

    let role = directory.role(account.id, "Deploy").unwrap();
    assert_eq!(role.arn, "arn:aws:iam::111122223333:role/ci/Deploy");
    assert_eq!((role.max_session_duration, role.policies.len()), (7200, 1));
    assert_eq!(role.trust.name, "role/Deploy/trust_policy");
    assert!(role.id.starts_with("AROA") && role.boundary.is_some());

    let provider = account.oidc_provider("https://issuer.example/x").unwrap();
    assert_eq!(provider.arn, "arn:aws:iam::111122223333:oidc-provider/issuer.example/x");
    assert_eq!(provider.jwks, JwksSource::File("/etc/keystead/jwks.json".into()));
    assert_eq!(
        account.oidc_provider("https://other.example").unwrap().jwks,
        JwksSource::Url("http://127.0.0.1:9000/jwks".into())
    );
    let china = directory.user(AccountId::parse("000000000001").unwrap(), "alice").unwrap();
    assert_eq!(china.arn, "arn:aws-cn:iam::000000000001:user/alice");
}

pub(super) fn unique_id_of(prefix: &str, path: &str, name: &str) -> String {
    crate::unique_id::derive(prefix, "111122223333", path, name)
}

#[test]
fn look_ups_find_keys_and_principals() {
    let directory = parse(&full()).unwrap();
    let key = directory.access_key("AKIAALICEALICEALICE1").unwrap();
    assert!(!key.active);
    assert_eq!(key.secret.as_str(), SEALED);
    assert_eq!(directory.owner(key.owner).unwrap().name, "alice");
    let root = directory.access_key("AKIAROOTROOTROOTROOT").unwrap();
    assert_eq!((root.owner, root.active), (Owner::Root(account()), true));
    assert!(directory.owner(root.owner).is_none());
    assert!(directory.access_key("AKIANOBODYNOBODYNOBO").is_none());
    assert!(!format!("{directory:?}").contains(SEALED));

    let by_id = |id: &str| match directory.principal_by_id(id) {
        Some(Principal::User(user)) => user.name.clone(),
        Some(Principal::Role(role)) => role.name.clone(),
        None => String::new(),
    };
    assert_eq!(by_id("AIDABOBBOBBOBBOBBOBB"), "bob");
    assert_eq!(by_id(&unique_id_of("AROA", "/ci/", "Deploy")), "Deploy");
    assert_eq!(by_id("AIDANOBODY"), "");
    let arn = "arn:aws:iam::111122223333:role/ci/Deploy";
    assert!(matches!(directory.principal_by_arn(arn), Some(Principal::Role(_))));
    assert!(directory.principal_by_arn("arn:aws:iam::111122223333:role/Deploy").is_none());
}

#[test]
fn existence_of_principals() {
    use Existence::{Exists, ForeignAccount, Missing};
    let directory = parse(&full()).unwrap();
    let id = unique_id_of("AIDA", "/engineering/", "alice");
    for (principal, expected) in [
        ("111122223333", Exists),
        ("arn:aws:iam::111122223333:root", Exists),
        ("arn:aws:iam::111122223333:user/engineering/alice", Exists),
        ("arn:aws:iam::111122223333:role/ci/Deploy", Exists),
        ("arn:aws:sts::111122223333:assumed-role/Deploy/session", Exists),
        ("arn:aws-cn:iam::000000000001:user/alice", Exists),
        (&id, Exists),
        ("AIDABOBBOBBOBBOBBOBB", Exists),
        ("AIDANOBODYNOBODYNOBO", Missing),
        ("arn:aws:iam::111122223333:user/alice", Missing),
        ("arn:aws:iam::111122223333:user/engineering/Alice", Missing),
        ("arn:aws:iam::111122223333:group/Admins", Missing),
        ("arn:aws:iam::111122223333:policy/Sign", Missing),
        ("arn:aws-cn:iam::111122223333:root", Missing),
        ("arn:aws:iam::000000000001:user/alice", Missing),
        ("arn:aws:sts::111122223333:assumed-role/Gone/session", Missing),
        ("arn:aws:sts::111122223333:assumed-role/Deploy/", Missing),
        ("arn:aws:sts::111122223333:assumed-role/Deploy/a/b", Missing),
        ("arn:aws:sts::111122223333:assumed-role/ci/Deploy", Missing),
        ("arn:aws:sts::111122223333:federated-user/x", Missing),
        ("arn:aws:iam:us-east-1:111122223333:root", Missing),
        ("arn:aws:iam::1111:root", Missing),
        ("arn:aws:iam::111122223333:rootx", Missing),
        ("", Missing),
        ("alice", Missing),
        ("*", Missing),
        ("444455556666", ForeignAccount),
        ("arn:aws:iam::444455556666:root", ForeignAccount),
        ("arn:aws:iam::444455556666:user/x", ForeignAccount),
        ("arn:aws:sts::444455556666:assumed-role/R/s", ForeignAccount),
    ] {
        assert_eq!(directory.principal_exists(principal), expected, "{principal}");
    }
}

/// The example of the documentation, which shows every table.
#[test]
fn the_documented_example_is_good() {
    let document = include_str!("../../../../docs/identities.md");
    let example = document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let example =
        example.unwrap().replace("AR3c…", SEALED).replace("policies/limit.json", "allow.json");
    let example = example.replace("token.example.jwks.json", "jwks.json");
    let directory = parse(&example).unwrap();
    let account = directory.account(account()).unwrap();
    let alice = account.user("alice").unwrap();
    assert_eq!((alice.policies.len(), account.roles().len(), account.guardrails.len()), (2, 1, 1));
    assert!(account.oidc_provider("https://token.example").is_some());
}

#[test]
fn an_empty_file_is_a_file_without_accounts() {
    let directory = parse("# nobody yet\n").unwrap();
    assert_eq!(directory.accounts().count(), 0);
    assert_eq!(directory.principal_exists("111122223333"), Existence::ForeignAccount);
}

proptest! {
    #[test]
    fn any_text_gives_an_answer(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    /// Lines of a real file, some of them changed, dropped or swapped.
    #[test]
    fn a_mangled_file_gives_an_answer(
        picks in proptest::collection::vec((0usize..80, 0usize..60, "[ -~äş\n]{0,3}"), 1..40),
    ) {
        let full = full();
        let lines: Vec<&str> = full.lines().collect();
        let mut text = String::new();
        for (line, at, insertion) in picks {
            let line = lines[line % lines.len()];
            let at = (0..=at.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            text.push_str(&line[..at]);
            text.push_str(&insertion);
            text.push_str(&line[at..]);
            text.push('\n');
        }
        if let Err(faults) = parse(&text) {
            prop_assert!(!faults.is_empty());
            let lines = text.split('\n').count();
            prop_assert!(faults.iter().all(|fault| (1..=lines).contains(&fault.line) && fault.column > 0));
        }
    }
}
