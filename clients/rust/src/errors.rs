use std::fmt;
use std::time::Duration;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What went wrong with a call. The names are those of the C library's `enum sf_client_error`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            pub(crate) const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The name, as all clients write it: `RATE_LIMITED`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// An argument or option is not allowed; the detail says which.
    Invalid = "INVALID",
    /// No worker could be connected to by the deadline.
    Unreachable = "UNREACHABLE",
    /// Connected and asked, but nothing answered by the deadline.
    Timeout = "TIMEOUT",
    /// Every worker said that it holds no slot or reservation.
    NotReady = "NOT_READY",
    /// Every worker said that its clock is not safe.
    Clock = "CLOCK",
    /// Queues full until the deadline.
    Overloaded = "OVERLOADED",
    /// Over quota, and the wait is longer than the call may last.
    RateLimited = "RATE_LIMITED",
    /// Every worker is shutting down.
    Draining = "DRAINING",
    /// The token is missing or was refused.
    Denied = "DENIED",
    /// `after` lies further ahead than the call may wait.
    Causality = "CAUSALITY",
    /// A worker reported a defect, or a status unknown to this library.
    Internal = "INTERNAL",
    /// The worker does not accept the request.
    Refused = "REFUSED",
    /// What answered does not speak the Snowfleet protocol.
    Protocol = "PROTOCOL",
    /// A worker gave an ID that repeats, goes back, or is not above `after`: page somebody.
    Order = "ORDER",
    /// A server name has no address.
    Name = "NAME",
    /// Certificate, key or handshake.
    Tls = "TLS",
    /// A worker belongs to another fleet than the ones before it.
    WrongFleet = "WRONG_FLEET",
    /// The client was closed, the future dropped, or the process forked.
    Cancelled = "CANCELLED",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What every failed call returns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Error {
    /// What kind it is.
    pub code: Code,
    /// Who answered last, "address:port"; may be empty.
    pub server: String,
    /// For people: what happened, and what to do where something can be done.
    pub detail: String,
    /// Of `RateLimited`, `Causality`, `Overloaded`: what the worker asked for.
    pub retry_after: Duration,
    /// Requests sent.
    pub attempts: u32,
}

impl Error {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, server: String::new(), detail: detail.into(), retry_after: Duration::ZERO, attempts: 0 }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::Invalid, detail)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snowfleet: {}: {}", self.code, self.detail)
    }
}

impl std::error::Error for Error {}
