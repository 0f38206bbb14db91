//! A decision: any policy that can be read, for any request. The parts of the input are separated by
//! NUL: the policy, the action, the resource, then the values that every condition key has.
#![no_main]

use std::borrow::Cow;

use keystead_policy::{
    DocumentKind, Documents, Effect, Fact, Facts, Grant, Outcome, Policy, PrincipalKind, Reason,
    Request, RequestPrincipal, decide,
};
use libfuzzer_sys::fuzz_target;

struct Same<'a>(Vec<&'a str>);

impl Facts for Same<'_> {
    fn fact(&self, key: &str) -> Fact<'_> {
        let all = || self.0.iter().map(|text| Cow::Borrowed(*text)).collect();
        match (&self.0[..], key.len() % 3) {
            ([], _) => Fact::Absent,
            ([one], 0) => Fact::One((*one).into()),
            (_, 1) => Fact::Ambiguous(all()),
            _ => Fact::Many(all()),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split('\0');
    let Ok(policy) = Policy::parse(parts.next().unwrap_or("")) else { return };
    let action = parts.next().unwrap_or("kms:Decrypt");
    let resource = parts.next();
    let facts = Same(parts.collect());
    for (kind, account, arn) in [
        (PrincipalKind::Root, "111122223333", "arn:aws:iam::111122223333:root"),
        (PrincipalKind::User, "111122223333", "arn:aws:iam::111122223333:user/a"),
        (PrincipalKind::RoleSession, "444455556666", "arn:aws:iam::444455556666:role/r"),
        (PrincipalKind::WebIdentity, "", ""),
    ] {
        let principal = RequestPrincipal {
            kind,
            partition: "aws",
            account,
            arn,
            session_arn: Some("arn:aws:sts::444455556666:assumed-role/r/s"),
            unique_id: None,
            name: Some("logs.us-east-1.amazonaws.com"),
        };
        let request = Request { action, resource, principal: &principal, facts: &facts };
        let traces = policy.explain(&request, DocumentKind::Resource);
        let applies = |effect| {
            traces.iter().any(|trace| {
                trace.effect == effect && matches!(trace.outcome, Outcome::Applies { .. })
            })
        };
        let verdict = policy.evaluate_resource_policy(&request);
        assert_eq!(verdict.denied().is_some(), applies(Effect::Deny));
        assert_eq!(verdict.allowed_any().is_some(), applies(Effect::Allow));
        let identity = [&policy];
        let documents = Documents {
            resource_policy: Some(&policy),
            resource_account: Some("111122223333"),
            ..Documents::default()
        };
        for grant in [Grant::None, Grant::ToPrincipal { role: true }, Grant::ToAccount] {
            let decision = decide(&request, &Documents { grant, ..documents });
            // Who is allowed was not denied, and was allowed by something.
            assert!(!decision.allowed || verdict.denied().is_none());
            assert!(
                !decision.allowed
                    || verdict.allowed_any().is_some()
                    || decision.reason == Reason::AllowedByGrant
            );
            // A limit takes away and gives nothing.
            let limited = decide(
                &request,
                &Documents { grant, boundary: Some(&policy), session: Some(&identity), ..documents },
            );
            assert!(decision.allowed || !limited.allowed);
        }
    }
});
