//! Policy documents of a file: read, measured and checked for where they are used.

use keystead_policy::{AwsPrincipal, Policy, Principals};

/// What a document is used as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A managed policy, which can be attached and be a permissions boundary.
    Managed,
    /// An inline policy of a user, group or role: the owner's policies share a size.
    Inline,
    /// The trust policy of a role.
    Trust,
    /// A guardrail.
    Guardrail,
}

/// The most characters of all inline policies of a user (IAM quotas).
pub(crate) const USER_INLINE: usize = 2048;
/// The same of a group.
pub(crate) const GROUP_INLINE: usize = 5120;
/// The same of a role.
pub(crate) const ROLE_INLINE: usize = 10_240;

impl Use {
    /// The most characters of one document, white space not counted but in guardrails (IAM quotas;
    /// Organizations quotas). Of a trust policy the most that AWS raises the quota to.
    fn longest(self) -> usize {
        match self {
            Self::Managed => 6144,
            Self::Inline => ROLE_INLINE,
            Self::Trust => 4096,
            Self::Guardrail => 5120,
        }
    }
}

/// Reads a document.
///
/// # Errors
/// What is wrong with it, or with it in this place.
pub(crate) fn read(text: &str, place: Use) -> Result<Policy, String> {
    let size = match place {
        Use::Guardrail => text.trim().chars().count(),
        _ => size(text),
    };
    if size > place.longest() {
        let longest = place.longest();
        return Err(format!("the policy has {size} characters, more than {longest}"));
    }
    let refused = |c: char| !matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
    if let Some(c) = text.chars().find(|c| refused(*c)) {
        return Err(format!("a policy must not hold the character U+{:04X}", u32::from(c)));
    }
    let policy = Policy::parse(text).map_err(|error| lower(error.message()))?;
    let fitting = match place {
        Use::Managed | Use::Inline | Use::Guardrail => policy.validate_as_identity_policy(),
        Use::Trust => policy.validate_as_trust_policy(),
    };
    fitting.map_err(|error| lower(error.message()))?;
    Ok(policy)
}

/// The size of a document by IAM's count, which leaves out white space.
pub(crate) fn size(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// Every principal of a trust policy that has to exist: as `AWS`, and providers as `Federated`.
pub(crate) fn trusted(policy: &Policy) -> impl Iterator<Item = Trusted<'_>> {
    policy.statements().iter().filter_map(|statement| statement.principals.as_ref()).flat_map(
        |clause| {
            let principals = clause.entries();
            let federated: &[String] = match principals {
                Principals::Everyone => &[],
                Principals::Named { federated, .. } => federated,
            };
            let aws = principals.aws().filter_map(|principal| match principal {
                AwsPrincipal::Arn { arn, .. } => Some(Trusted::Principal(arn)),
                _ => None,
            });
            aws.chain(federated.iter().map(|provider| Trusted::Provider(provider)))
        },
    )
}

/// Somebody whom a trust policy names.
pub(crate) enum Trusted<'a> {
    Principal(&'a str),
    Provider(&'a str),
}

/// A text for an exception as the message of a fault: lower case but for names, no full stop.
fn lower(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let first = text.split(' ').next().unwrap_or_default();
    let is_name = first.chars().skip(1).any(|c| c.is_uppercase());
    match text.chars().next() {
        Some(c) if !is_name => format!("{}{}", c.to_lowercase(), &text[c.len_utf8()..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str, place: Use) -> String {
        read(text, place).err().unwrap_or_else(|| "accepted".into())
    }

    const IDENTITY: &str = r#"{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}"#;
    const TRUST: &str = r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"111122223333"}}}"#;

    #[test]
    fn a_document_is_good_in_its_place_alone() {
        for place in [Use::Managed, Use::Inline, Use::Guardrail] {
            assert_eq!(fault(IDENTITY, place), "accepted");
            assert_ne!(fault(TRUST, place), "accepted");
        }
        assert_eq!(fault(TRUST, Use::Trust), "accepted");
        assert_ne!(fault(IDENTITY, Use::Trust), "accepted");
        assert_eq!(fault("[]", Use::Inline), "policy must be a JSON object");
        assert_eq!(fault(TRUST, Use::Inline), "policy document should not specify a principal");
        let other = TRUST.replace("sts:AssumeRole", "kms:*");
        assert!(fault(&other, Use::Trust).starts_with("AssumeRole policy may only"));
    }

    #[test]
    fn sizes_leave_out_white_space() {
        let padded = |len: usize| {
            let sid = "x".repeat(len - size(IDENTITY) - r#""Sid":"","#.len());
            IDENTITY.replace(r#"{"Effect"#, &format!("{{\n \"Sid\": \"{sid}\", \"Effect"))
        };
        assert_eq!(size(&padded(6144)), 6144);
        assert_eq!(fault(&padded(6144), Use::Managed), "accepted");
        assert_eq!(
            fault(&padded(6145), Use::Managed),
            "the policy has 6145 characters, more than 6144"
        );
        assert!(fault(&padded(5200), Use::Guardrail).contains("more than 5120"));
    }

    #[test]
    fn characters_beyond_latin_1_are_refused() {
        let text = IDENTITY.replace(r#"{"Effect"#, r#"{"Sid":"żółw","Effect"#);
        assert_eq!(fault(&text, Use::Inline), "a policy must not hold the character U+017C");
    }
}
