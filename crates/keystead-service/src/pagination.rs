//! Pages and their markers.
//!
//! A marker is the last entry of the page before, sealed under the domain key and bound to
//! account, Region, operation and filter: opaque to its holder, of no use elsewhere, and not to be
//! made up.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_model::OperationName;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::service::Service;

/// The page sizes of one list operation (behaviour.md 4.9).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) default: i32,
    pub(crate) maximum: i32,
}

impl Sizes {
    /// Refuses a `Limit` over the maximum. It needs no key to be told, so it comes before the key
    /// is looked up (step 5 of behaviour.md 5.6).
    ///
    /// # Errors
    /// ValidationException.
    pub(crate) fn check(self, limit: Option<i32>) -> Result<()> {
        match limit {
            Some(limit) if limit > self.maximum => Err(Error::limit_too_large(limit, self.maximum)),
            _ => Ok(()),
        }
    }
}

/// The page that a request asks for.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) size: usize,
    /// The last entry of the page before.
    pub(crate) after: Option<String>,
}

/// One list, as its markers name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<'a> {
    pub(crate) operation: OperationName,
    /// What narrows the list: a key id, or nothing.
    pub(crate) filter: &'a str,
    pub(crate) sizes: Sizes,
}

impl List<'_> {
    /// Reads the page from `Limit` and `Marker`.
    ///
    /// # Errors
    /// ValidationException for a limit over the maximum, InvalidMarkerException.
    pub(crate) fn page(
        &self,
        service: &Service,
        caller: &Caller,
        limit: Option<i32>,
        marker: Option<&str>,
    ) -> Result<Page> {
        self.sizes.check(limit)?;
        let limit = limit.unwrap_or(self.sizes.default);
        let size = usize::try_from(limit).map_err(Error::internal)?;
        let after = marker.map(|marker| self.open(service, caller, marker)).transpose()?;
        Ok(Page { size, after })
    }

    /// The marker of the page after the one that ends with `last`.
    pub(crate) fn marker(&self, service: &Service, caller: &Caller, last: &str) -> Result<String> {
        let sealed =
            service.keyring.domain().seal_marker(&self.binding(caller), last.as_bytes())?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    fn open(&self, service: &Service, caller: &Caller, marker: &str) -> Result<String> {
        let unusable = || Error::invalid_marker(marker);
        let sealed = URL_SAFE_NO_PAD.decode(marker).map_err(|_| unusable())?;
        let content = service
            .keyring
            .domain()
            .open_marker(&self.binding(caller), &sealed)
            .map_err(|_| unusable())?;
        String::from_utf8(content).map_err(|_| unusable())
    }

    fn binding(&self, caller: &Caller) -> Vec<u8> {
        // None of the parts can hold a slash.
        let operation = self.operation.as_str();
        format!("{operation}/{}/{}/{}", caller.account(), caller.region(), self.filter).into_bytes()
    }
}

/// Cuts a list that was read one entry too long, if it had that many, to the page. Answers whether
/// there is more.
pub(crate) fn cut<T>(entries: &mut Vec<T>, size: usize) -> bool {
    let more = entries.len() > size;
    entries.truncate(size);
    more
}
