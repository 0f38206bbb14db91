//! Aliases: the rules that CreateAlias, UpdateAlias and DeleteAlias share (behaviour.md 1.3, 4.9).

use keystead_model::AliasName;

use crate::error::{Error, Result};

/// The name of an alias that a customer may create, change or delete.
///
/// # Errors
/// ValidationException for another form, NotAuthorizedException for the reserved prefix.
pub(crate) fn name(given: &str) -> Result<AliasName> {
    if !given.starts_with("alias/") {
        return Err(Error::validation(
            "Alias must start with the prefix \"alias/\". Please see \
             https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        ));
    }
    let name = given.parse().map_err(|_| {
        Error::validation(format!("{given} contains invalid characters for an alias"))
    })?;
    if given.starts_with("alias/aws/") {
        return Err(Error::alias_reserved());
    }
    Ok(name)
}

/// Refuses one alias as the target of another.
///
/// # Errors
/// ValidationException [rep].
pub(crate) fn target(given: &str) -> Result<()> {
    let is_alias_arn = given.starts_with("arn:") && given.contains(":alias/");
    if given.starts_with("alias/") || is_alias_arn {
        return Err(Error::validation("Aliases must refer to keys. Not aliases"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_the_prefix_with_its_slash_is_reserved() {
        assert!(name("alias/aws").is_ok());
        assert!(name("alias/awsfoo").is_ok());
        assert!(name("alias/a/b_-/").is_ok());
        assert_eq!(name("alias/aws/s3").unwrap_err().type_name(), "NotAuthorizedException");
        let colon = name("alias/my:alias").unwrap_err();
        assert_eq!(
            colon.message(),
            Some("alias/my:alias contains invalid characters for an alias")
        );
        assert!(name("my-alias").unwrap_err().message().unwrap().starts_with("Alias must start"));
        assert!(name("alias/").is_err());
    }
}
