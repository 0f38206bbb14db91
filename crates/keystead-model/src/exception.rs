//! Whose fault an exception is.

/// Whose fault an exception is. The model marks the service's; all others are the client's.
#[derive(Copy, Clone, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// The request cannot be answered as it is.
    Client,
    /// The service failed; the same request may succeed later.
    Server,
}
