//! Tags: the rules that the model does not state (behaviour.md 4.9).

use keystead_model::Tag;

use crate::error::{Error, Result};

/// The most tags a key may have.
pub(crate) const MAXIMUM: usize = 50;

/// Checks the tags of one request among themselves.
///
/// # Errors
/// TagException for a reserved or repeated tag key, or too many tags.
pub(crate) fn check(tags: &[Tag]) -> Result<()> {
    if tags.iter().any(|tag| is_reserved(&tag.tag_key)) {
        return Err(Error::tag("Tags beginning with aws: are reserved"));
    }
    let mut keys: Vec<&str> = tags.iter().map(|tag| tag.tag_key.as_str()).collect();
    keys.sort_unstable();
    if keys.windows(2).any(|pair| matches!(pair, [first, second] if first == second)) {
        return Err(Error::tag("Duplicate tag keys"));
    }
    fits(tags.len())
}

/// Checks how many tags a key would have.
///
/// # Errors
/// TagException for too many.
pub(crate) fn fits(count: usize) -> Result<()> {
    if count > MAXIMUM { Err(Error::tag("Too many tags")) } else { Ok(()) }
}

/// `present` with `tags` added, values of known tag keys replaced; sorted by tag key.
pub(crate) fn merged(present: &[(String, String)], tags: &[Tag]) -> Vec<(String, String)> {
    let mut merged = present.to_vec();
    merged.retain(|(key, _)| tags.iter().all(|tag| tag.tag_key != *key));
    merged.extend(tags.iter().map(|tag| (tag.tag_key.clone(), tag.tag_value.clone())));
    merged.sort_unstable();
    merged
}

fn is_reserved(key: &str) -> bool {
    key.as_bytes().get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"aws:"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn tag(key: &str) -> Tag {
        Tag { tag_key: key.into(), tag_value: "v".into() }
    }

    #[test]
    fn reserved_repeated_and_too_many() {
        let text = |tags: &[Tag]| check(tags).map_err(|error| error.message().map(String::from));
        let reserved = Some("Tags beginning with aws: are reserved".to_owned());
        assert_eq!(text(&[tag("aWs:x")]), Err(reserved));
        assert_eq!(text(&[tag("aws"), tag("awsx")]), Ok(()));
        assert_eq!(text(&[tag("a"), tag("b"), tag("a")]), Err(Some("Duplicate tag keys".into())));
        assert_eq!(text(&[tag("a"), tag("A")]), Ok(()));
        let many: Vec<Tag> = (0..51).map(|n| tag(&n.to_string())).collect();
        assert_eq!(text(&many), Err(Some("Too many tags".into())));
        assert_eq!(text(many.get(..50).unwrap()), Ok(()));
    }

    #[test]
    fn merging_replaces_and_sorts() {
        let present = vec![("a".to_owned(), "1".to_owned()), ("c".to_owned(), "1".to_owned())];
        let merged = merged(&present, &[tag("b"), tag("a")]);
        let expected = [("a", "v"), ("b", "v"), ("c", "1")];
        assert_eq!(merged, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
