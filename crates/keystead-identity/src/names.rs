//! The forms of names, identifiers and tags that IAM, STS and Organizations prescribe.
//!
//! Sources: IAM API reference (patterns and lengths of UserName, RoleName, GroupName, PolicyName,
//! path, tag keys and values, unique ids), IAM User Guide "IAM and AWS STS quotas", Organizations
//! API reference (organization, root and organizational unit ids).

use keystead_model::AccountId;

/// What a name of users, groups, roles and policies may hold.
fn is_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

/// Name of a user or role: 1 to 64.
pub(crate) fn entity_name(text: &str) -> Result<(), &'static str> {
    ok(is_name(text, 64), "a name has 1 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -")
}

/// Name of a group or policy: 1 to 128.
pub(crate) fn long_name(text: &str) -> Result<(), &'static str> {
    ok(is_name(text, 128), "a name has 1 to 128 of the characters A-Z a-z 0-9 _ + = , . @ -")
}

/// A path: `/`, or names between slashes; at most 512. The API's pattern admits every printable
/// ASCII character. The narrower set of the quotas page is taken, which keeps wildcards and colons
/// out of ARNs.
pub(crate) fn path(text: &str) -> Result<(), &'static str> {
    let inner = text.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let good = text.len() <= 512
        && text.ends_with('/')
        && inner.is_some_and(|inner| {
            inner.is_empty() && text == "/"
                || inner.split('/').all(|part| !part.is_empty() && part.bytes().all(is_name_byte))
        });
    ok(
        good,
        "a path begins and ends with `/`, has at most 512 characters, and between its slashes names of \
         the characters A-Z a-z 0-9 _ + = , . @ -",
    )
}

/// An account alias: 3 to 63 lower-case letters, digits and single hyphens; not 12 digits.
pub(crate) fn alias(text: &str) -> Result<(), &'static str> {
    let good = (3..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
        && AccountId::parse(text).is_none();
    ok(
        good,
        "an account alias has 3 to 63 lower-case letters, digits and single hyphens, none of them at an \
         end, and is not an account id",
    )
}

/// `AKIA…`: the id of a long-term access key, 16 to 128 capitals and digits.
pub(crate) fn access_key_id(text: &str) -> Result<(), &'static str> {
    let good = is_id(text, "AKIA", 16);
    ok(good, "an access key id is `AKIA` and 12 to 124 capital letters and digits")
}

/// `AIDA…` of users, `AROA…` of roles: 16 to 128 capitals and digits.
pub(crate) fn unique_id(text: &str, prefix: &str) -> Result<(), String> {
    if is_id(text, prefix, 16) {
        Ok(())
    } else {
        Err(format!("the id is `{prefix}` and 12 to 124 capital letters and digits"))
    }
}

fn is_id(text: &str, prefix: &str, shortest: usize) -> bool {
    (shortest..=128).contains(&text.len())
        && text.starts_with(prefix)
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// `o-` and 10 to 32 lower-case letters and digits.
pub(crate) fn organization_id(text: &str) -> Result<(), &'static str> {
    let good = text.strip_prefix("o-").is_some_and(|rest| is_lower(rest, 10, 32));
    ok(good, "an organization id is `o-` and 10 to 32 lower-case letters and digits")
}

/// What `aws:PrincipalOrgPaths` gives: `o-…/r-…/ou-…/…/`, organization, root, then any number of
/// organizational units.
pub(crate) fn organization_path(text: &str) -> Result<(), &'static str> {
    let good = text.len() <= 512
        && text.strip_suffix('/').is_some_and(|inner| {
            let mut parts = inner.split('/');
            let organization = parts.next().is_some_and(|part| organization_id(part).is_ok());
            let root = parts
                .next()
                .and_then(|part| part.strip_prefix("r-"))
                .is_some_and(|rest| is_lower(rest, 4, 32));
            organization && root && parts.all(is_organizational_unit)
        });
    ok(
        good,
        "an organization path has the form `o-…/r-…/ou-…-…/`, with any number of organizational units and \
         a slash at the end",
    )
}

fn is_organizational_unit(text: &str) -> bool {
    text.strip_prefix("ou-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(root, unit)| is_lower(root, 4, 32) && is_lower(unit, 8, 32))
}

fn is_lower(text: &str, shortest: usize, longest: usize) -> bool {
    (shortest..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// A tag key: 1 to 128 characters, not under the prefix `aws:`.
pub(crate) fn tag_key(text: &str) -> Result<(), &'static str> {
    let reserved = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
    if reserved {
        return Err("tag keys under `aws:` are reserved");
    }
    let good = (1..=128).contains(&text.chars().count()) && text.chars().all(is_tag_character);
    ok(good, "a tag key has 1 to 128 letters, digits, blanks and the characters _ . : / = + - @")
}

/// A tag value: 0 to 256 characters.
pub(crate) fn tag_value(text: &str) -> Result<(), &'static str> {
    let good = text.chars().count() <= 256 && text.chars().all(is_tag_character);
    ok(good, "a tag value has 0 to 256 letters, digits, blanks and the characters _ . : / = + - @")
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]`; of letters Unicode's wider class "alphabetic".
fn is_tag_character(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

/// The URL of an OIDC issuer: `https://`, a host, and a path; at most 255. Unlike AWS's a port is
/// admitted, since issuers of test environments have one.
pub(crate) fn issuer(text: &str) -> Result<(), &'static str> {
    let good = text.len() <= 255
        && text.strip_prefix("https://").is_some_and(|rest| {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
            is_host(host)
                && (1..=5).contains(&port.len())
                && port.bytes().all(|b| b.is_ascii_digit())
                && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._~-".contains(&b))
        });
    ok(
        good,
        "an issuer is a URL of `https://`, a host in lower case and a path, without query and fragment, of \
         at most 255 characters",
    )
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// A client id of an OIDC provider: 1 to 255 printable characters.
pub(crate) fn client_id(text: &str) -> Result<(), &'static str> {
    let good = (1..=255).contains(&text.chars().count()) && !text.chars().any(|c| c.is_control());
    ok(good, "a client id has 1 to 255 characters, none of them a control character")
}

/// `http://`, a loopback host, an optional port, a path and a query. TLS would have nobody to vouch for
/// an address that is this machine.
pub(crate) fn loopback_url(text: &str) -> Result<(), &'static str> {
    let rest = text.strip_prefix("http://");
    let good = text.len() <= 2048
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
        && rest.is_some_and(|rest| {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let (host, port) = match authority.strip_prefix("[::1]") {
                Some(after) => {
                    ("::1", after.strip_prefix(':').or(after.is_empty().then_some("80")))
                }
                None => match authority.split_once(':') {
                    Some((host, port)) => (host, Some(port)),
                    None => (authority, Some("80")),
                },
            };
            let loopback = host == "localhost"
                || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
            loopback && port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
        });
    ok(
        good,
        "only loopback URLs are fetched, such as http://127.0.0.1:8080/jwks; of other issuers keep the \
         JWKS in a file",
    )
}

fn ok(good: bool, complaint: &'static str) -> Result<(), &'static str> {
    if good { Ok(()) } else { Err(complaint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> Result<(), &'static str>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(rule(text), Ok(()), "{text}");
        }
        for text in bad {
            assert!(rule(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_paths() {
        let (at, over) = ("x".repeat(64), "x".repeat(65));
        check(entity_name, &["a", "A_+=,.@-9", &at], &["", &over, "a b", "a/b", "ä", "a*", "a:b"]);
        check(long_name, &[&over, &"x".repeat(128)], &["", &"x".repeat(129), "a?"]);
        check(
            path,
            &["/", "/a/", "/a/b.c/", &format!("/{}/", "x".repeat(510))],
            &[
                "",
                "a",
                "/a",
                "a/",
                "//",
                "/a//b/",
                "/*/",
                "/a:b/",
                "/a b/",
                "/ä/",
                &format!("/{}/", "x".repeat(511)),
            ],
        );
    }

    #[test]
    fn accounts_and_organizations() {
        check(
            alias,
            &["abc", "a-b", "000", &"a".repeat(63)],
            &["ab", &"a".repeat(64), "-ab", "ab-", "a--b", "Abc", "111122223333", "a_b"],
        );
        check(organization_id, &["o-a1b2c3d4e5"], &["o-", "o-short", "O-a1b2c3d4e5", "a1b2c3d4e5"]);
        check(
            organization_path,
            &["o-a1b2c3d4e5/r-ab12/", "o-a1b2c3d4e5/r-ab12/ou-ab12-11111111/ou-ab12-22222222/"],
            &[
                "",
                "o-a1b2c3d4e5/",
                "o-a1b2c3d4e5/r-ab12",
                "o-a1b2c3d4e5/r-ab12/*/",
                "o-a1b2c3d4e5/r-ab12/ou-ab12/",
                "o-a1b2c3d4e5/r-ab12//",
            ],
        );
    }

    #[test]
    fn ids() {
        check(
            access_key_id,
            &["AKIAIOSFODNN7EXAMPLE"],
            &["ASIAIOSFODNN7EXAMPLE", "AKIA", "AKIAIOSFODNN7example", "AKIAIOSFODNN7EXAMP E"],
        );
        assert!(unique_id("AIDACKCEVSQ6C2EXAMPLE", "AIDA").is_ok());
        assert!(unique_id("AROACKCEVSQ6C2EXAMPLE", "AIDA").is_err());
    }

    #[test]
    fn tags() {
        check(
            tag_key,
            &["a", "cost center", "Straße/x=1@y+z-:_.", &"ü".repeat(128)],
            &["", &"ü".repeat(129), "aws:x", "AWS:x", "a\tb", "a\n", "a#b", "a*"],
        );
        check(tag_value, &["", &"ü".repeat(256)], &[&"ü".repeat(257), "a\u{0}", "a?"]);
    }

    #[test]
    fn urls() {
        check(
            issuer,
            &["https://a.example", "https://a.example/b/c", "https://localhost:8443/realms/x"],
            &[
                "http://a.example",
                "https://",
                "https://A.example",
                "https://a.example?x",
                "https://u@a",
                "https://a..b",
                "https://a.example/#x",
                "https://a:port",
                "https://a.example/*",
            ],
        );
        check(
            loopback_url,
            &[
                "http://127.0.0.1:8080/jwks",
                "http://localhost/x?y",
                "http://[::1]:1/x",
                "http://[::1]/",
            ],
            &[
                "http://a.example/",
                "https://localhost/x",
                "http://localhost/#x",
                "http://127.0.0.1@evil.example/",
                "http://localhost.evil.example/",
                "file:///etc/x",
                "http://[::2]/",
                "http://127.0.0.1:0/",
                "http://127.0.0.1:x/",
                "localhost",
                "http://127.0.0.1\t/",
            ],
        );
        check(client_id, &["sts.amazonaws.com"], &["", "a\nb", &"x".repeat(256)]);
    }
}
