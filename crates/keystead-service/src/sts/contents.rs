//! What a session token says, as it is sealed into the token.
//!
//! ```text
//! version 01 ‖ holder ‖ account ‖ id ‖ name ‖ be64(issued) ‖ be64(expires)
//!   ‖ source identity ‖ provider ‖ policy
//!   ‖ number of policy ARNs ‖ each ‖ number of tags ‖ each key ‖ value ‖ 00 or 01 (transitive)
//! ```
//! Texts have a be16 length before them and are empty where there is none; numbers are one byte.

use keystead_model::AccountId;

/// Bytes that policies, ARNs and tags of a session may have in its token: 100 percent of the packed
/// size. With all else at its longest the token's content stays below the 3,000 bytes that are
/// sealed.
const BUDGET: usize = 2_304;

const VERSION: u8 = 1;

/// A session, as its token says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contents {
    pub(crate) holder: Holder,
    pub(crate) account: AccountId,
    /// Milliseconds since the epoch.
    pub(crate) issued: i64,
    /// Milliseconds since the epoch. From this moment on the session is over.
    pub(crate) expires: i64,
    pub(crate) source_identity: Option<String>,
    /// The ARN of the provider whose token the session came from.
    pub(crate) provider: Option<String>,
    /// The inline session policy.
    pub(crate) policy: Option<String>,
    /// Managed session policies.
    pub(crate) policy_arns: Vec<String>,
    pub(crate) tags: Vec<SessionTag>,
}

/// Whose session it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Holder {
    /// The root of the account, by GetSessionToken.
    Root,
    /// The user of this unique id, by GetSessionToken.
    User {
        /// `AIDA…`
        id: String,
    },
    /// A session of the role of this unique id.
    Role {
        /// `AROA…`
        id: String,
        /// The name of the session.
        session: String,
    },
}

/// A session tag.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SessionTag {
    pub(crate) key: String,
    pub(crate) value: String,
    /// Whether it passes to the next session of a chain.
    pub(crate) transitive: bool,
}

impl Contents {
    /// The session of a role or user with nothing but its times.
    pub(crate) fn new(holder: Holder, account: AccountId, issued: i64, seconds: i64) -> Self {
        Self {
            holder,
            account,
            issued,
            expires: issued.saturating_add(seconds.saturating_mul(1_000)),
            source_identity: None,
            provider: None,
            policy: None,
            policy_arns: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// How much of the space for policies and tags is used, in percent, rounded up; over 100 the
    /// session cannot be issued.
    pub(crate) fn packed_percent(&self) -> usize {
        let text = |text: &String| 2 + text.len();
        let policies = self.policy.iter().chain(&self.policy_arns).map(text).sum::<usize>();
        let tags = self.tags.iter().map(|tag| text(&tag.key) + text(&tag.value) + 1).sum::<usize>();
        ((policies + tags) * 100).div_ceil(BUDGET)
    }

    /// `None` if a part is longer than its place, as nothing is that was within the bounds of the
    /// API.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut out = Writer(Vec::with_capacity(512));
        let (kind, id, session) = match &self.holder {
            Holder::Root => (0, "", ""),
            Holder::User { id } => (1, id.as_str(), ""),
            Holder::Role { id, session } => (2, id.as_str(), session.as_str()),
        };
        out.0.extend_from_slice(&[VERSION, kind]);
        out.text(self.account.as_str())?;
        out.text(id)?;
        out.text(session)?;
        out.0.extend_from_slice(&self.issued.to_be_bytes());
        out.0.extend_from_slice(&self.expires.to_be_bytes());
        for text in [&self.source_identity, &self.provider, &self.policy] {
            out.text(text.as_deref().unwrap_or_default())?;
        }
        out.count(self.policy_arns.len())?;
        for arn in &self.policy_arns {
            out.text(arn)?;
        }
        out.count(self.tags.len())?;
        for tag in &self.tags {
            out.text(&tag.key)?;
            out.text(&tag.value)?;
            out.0.push(tag.transitive.into());
        }
        Some(out.0)
    }

    /// What [`to_bytes`](Self::to_bytes) has written, and nothing else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.byte()? != VERSION {
            return None;
        }
        let kind = from.byte()?;
        let account = AccountId::parse(from.text()?)?;
        let (id, session) = (from.text()?.to_owned(), from.text()?.to_owned());
        let holder = match kind {
            0 => Holder::Root,
            1 => Holder::User { id },
            2 => Holder::Role { id, session },
            _ => return None,
        };
        let (issued, expires) = (from.number()?, from.number()?);
        let mut given = || {
            let text = from.text()?;
            Some((!text.is_empty()).then(|| text.to_owned()))
        };
        let (source_identity, provider, policy) = (given()?, given()?, given()?);
        let policy_arns =
            (0..from.byte()?).map(|_| from.text().map(str::to_owned)).collect::<Option<_>>()?;
        let tags = from.byte()?;
        let tag = |_| {
            let (key, value) = (from.text()?.to_owned(), from.text()?.to_owned());
            let transitive = match from.byte()? {
                0 => false,
                1 => true,
                _ => return None,
            };
            Some(SessionTag { key, value, transitive })
        };
        let tags = (0..tags).map(tag).collect::<Option<_>>()?;
        from.0.is_empty().then_some(Self {
            holder,
            account,
            issued,
            expires,
            source_identity,
            provider,
            policy,
            policy_arns,
            tags,
        })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn text(&mut self, text: &str) -> Option<()> {
        self.0.extend_from_slice(&u16::try_from(text.len()).ok()?.to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        Some(())
    }

    fn count(&mut self, count: usize) -> Option<()> {
        self.0.push(u8::try_from(count).ok()?);
        Some(())
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<i64> {
        self.take(8)?.try_into().ok().map(i64::from_be_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        std::str::from_utf8(self.take(len.into())?).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use keystead_crypto::MAX_SESSION_CONTENT;
    use proptest::prelude::*;

    use super::*;

    fn account() -> AccountId {
        AccountId::parse("111122223333").unwrap()
    }

    fn full() -> Contents {
        let tag = |key: &str, transitive| SessionTag {
            key: key.to_owned(),
            value: "v".to_owned(),
            transitive,
        };
        Contents {
            source_identity: Some("alice".to_owned()),
            provider: Some("arn:aws:iam::111122223333:oidc-provider/i".to_owned()),
            policy: Some("{}".to_owned()),
            policy_arns: vec!["arn:aws:iam::111122223333:policy/p".to_owned()],
            tags: vec![tag("a", true), tag("b", false)],
            ..Contents::new(
                Holder::Role { id: "AROA".to_owned(), session: "s".to_owned() },
                account(),
                1,
                900,
            )
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let plain = |holder| Contents::new(holder, account(), i64::MIN, 1);
        for contents in [full(), plain(Holder::Root), plain(Holder::User { id: "AIDA".to_owned() })]
        {
            let bytes = contents.to_bytes().unwrap();
            assert_eq!(Contents::from_bytes(&bytes), Some(contents));
            for len in 0..bytes.len() {
                assert_eq!(Contents::from_bytes(&bytes[..len]), None, "{len}");
            }
            assert_eq!(Contents::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
        assert_eq!(full().expires, 900_001);
    }

    #[test]
    fn the_longest_session_within_the_budget_can_be_sealed() {
        let mut longest = full();
        longest.holder = Holder::Role { id: "A".repeat(128), session: "s".repeat(64) };
        longest.source_identity = Some("s".repeat(64));
        longest.provider =
            Some(format!("arn:aws-us-gov:iam::111122223333:oidc-provider/{}", "i".repeat(247)));
        longest.policy = None;
        longest.policy_arns = Vec::new();
        longest.tags = Vec::new();
        longest.policy = Some("p".repeat(BUDGET - 2));
        assert_eq!(longest.packed_percent(), 100);
        assert!(longest.to_bytes().unwrap().len() <= MAX_SESSION_CONTENT);
        longest.policy = Some("p".repeat(BUDGET - 1));
        assert_eq!(longest.packed_percent(), 101);
        longest.policy = None;
        assert_eq!(longest.packed_percent(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(contents) = Contents::from_bytes(&bytes) {
                prop_assert_eq!(contents.to_bytes(), Some(bytes));
            }
        }

        #[test]
        fn changed_contents_are_read_or_refused(
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = full().to_bytes().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = Contents::from_bytes(&bytes);
        }
    }
}
