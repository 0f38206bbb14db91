//! A policy document: read, checked as a key policy, asked about a request, printed.
#![no_main]

use keystead_policy::{NoFacts, Policy, PrincipalKind, Request, RequestPrincipal, pretty};
use libfuzzer_sys::fuzz_target;

const ROOT: &str = "arn:aws:iam::111122223333:root";
const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(policy) = Policy::parse(text) else { return };
    let _ = policy.validate_as_key_policy();
    let root = RequestPrincipal {
        kind: PrincipalKind::Root,
        partition: "aws",
        account: "111122223333",
        arn: ROOT,
        session_arn: None,
        unique_id: None,
        name: None,
    };
    let action = "kms:PutKeyPolicy";
    let request = Request { action, resource: Some(KEY), principal: &root, facts: &NoFacts };
    let _ = policy.evaluate_resource_policy(&request);
    // GetKeyPolicy prints what PutKeyPolicy stored: what was read must print, to the same policy, and
    // printing again must change nothing.
    let printed = pretty(text).expect("what was read can be printed");
    assert_eq!(Policy::parse(&printed).expect("what was printed can be read"), policy);
    assert_eq!(pretty(&printed).expect("what was printed can be printed"), printed);
});
