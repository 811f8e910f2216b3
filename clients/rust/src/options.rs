use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::errors::Error;

/// The largest number of IDs of one call.
pub const COUNT_MAX: u32 = 1_048_576;
/// The largest number of IDs fetched ahead.
pub const PREFETCH_MAX: u32 = 65536;

const NAMES_MAX: usize = 64;
pub(crate) const DISCOVER_MAX: usize = 128;
pub(crate) const SERVERS_MAX: usize = 256;

/// One thing that happened to a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// Somebody may want to look.
    pub warning: bool,
    /// What happened.
    pub message: String,
    /// "address:port"
    pub server: String,
}

/// Is told what an operator wants to know. It must not block, nor call the client.
pub type Log = Arc<dyn Fn(&Event) + Send + Sync>;

/// Options of a client: `Options { causal: true, ..Options::new("ids-0:7450,ids-1:7450") }`. Times and numbers of 0 mean the default, which stands in
/// parentheses. Names, defaults and bounds are those of the C library.
#[derive(Clone, Default)]
pub struct Options {
    /// "host:port,host:port": addresses, or names, every address of which is a server. Without a port: 7450.
    pub servers: String,
    /// Deadline of a call (2 s).
    pub timeout: Duration,
    /// After this another worker is asked beside a silent one (100 ms).
    pub attempt_timeout: Duration,
    /// (1 s)
    pub connect_timeout: Duration,
    /// A second worker is asked beside the first after this (never).
    pub hedge: Duration,
    /// ... or when that part of the latest answers would have come: 50 to 99 (0: never).
    pub hedge_percentile: u32,
    /// Names are looked up again (30 s).
    pub resolve: Duration,
    /// Use the workers that the workers tell of, too.
    pub discover: bool,
    /// (30 s)
    pub discover_every: Duration,
    /// Each call brings that part of a retry (20).
    pub retry_budget_percent: u32,
    /// (100)
    pub retry_budget_max: u32,
    /// (2 ms)
    pub backoff_min: Duration,
    /// (100 ms)
    pub backoff_max: Duration,
    /// Lost connections in a row that open a server's breaker (3).
    pub breaker_failures: u32,
    /// First wait before a probe (100 ms).
    pub breaker_open_min: Duration,
    /// (1 s)
    pub breaker_open_max: Duration,
    /// Between tries of one server while none works (75 ms).
    pub breaker_idle: Duration,
    /// IDs fetched ahead by one request; 0: none. Not together with `causal`.
    pub prefetch: u32,
    /// No older one is handed out (100 ms).
    pub prefetch_max_age: Duration,
    /// Every ID is greater than all that were handed out before.
    pub causal: bool,
    /// TLS 1.2 or later; needs the feature `tls`.
    pub tls: bool,
    /// File of trusted certificates (PEM) (the system's).
    pub tls_ca: Option<String>,
    /// Own certificate chain (PEM), for mutual TLS.
    pub tls_cert: Option<String>,
    /// Its key (PEM).
    pub tls_key: Option<String>,
    /// What the certificate must bear (the host of `servers`).
    pub tls_server_name: Option<String>,
    /// Sent with AUTH on every connection.
    pub token: Option<String>,
    /// With the feature `log` the `log` crate is told, too.
    pub log: Option<Log>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("servers", &self.servers).field("timeout", &self.timeout).field("tls", &self.tls).finish_non_exhaustive()
    }
}

const HOUR: u64 = 3_600_000;

impl Options {
    /// Those of a fleet, the rest by default.
    pub fn new(servers: impl Into<String>) -> Self {
        Self { servers: servers.into(), ..Self::default() }
    }

    /// Puts the defaults in and says what is not allowed.
    pub(crate) fn check(&mut self) -> Result<(), Error> {
        for (name, value, standard, least, most) in [
            ("timeout_ms", &mut self.timeout, 2000, 1, HOUR),
            ("attempt_timeout_ms", &mut self.attempt_timeout, 100, 1, HOUR),
            ("connect_timeout_ms", &mut self.connect_timeout, 1000, 1, HOUR),
            ("hedge_ms", &mut self.hedge, 0, 0, HOUR),
            ("resolve_ms", &mut self.resolve, 30000, 1000, 24 * HOUR),
            ("discover_ms", &mut self.discover_every, 30000, 1000, 24 * HOUR),
            ("backoff_min_ms", &mut self.backoff_min, 2, 1, 60000),
            ("backoff_max_ms", &mut self.backoff_max, 100, 1, 60000),
            ("breaker_open_min_ms", &mut self.breaker_open_min, 100, 1, 600_000),
            ("breaker_open_max_ms", &mut self.breaker_open_max, 1000, 1, 600_000),
            ("breaker_idle_ms", &mut self.breaker_idle, 75, 1, 60000),
            ("prefetch_max_age_ms", &mut self.prefetch_max_age, 100, 1, 600_000),
        ] {
            if value.is_zero() {
                *value = Duration::from_millis(standard);
            } else if *value < Duration::from_millis(least) || *value > Duration::from_millis(most) {
                return Err(Error::invalid(format!("{name}: {value:?} is out of range; allowed are {least} to {most} ms")));
            }
        }
        for (name, value, standard, least, most) in [
            ("hedge_percentile", &mut self.hedge_percentile, 0, 50, 99),
            ("retry_budget_percent", &mut self.retry_budget_percent, 20, 1, 1000),
            ("retry_budget_max", &mut self.retry_budget_max, 100, 1, 1_000_000),
            ("breaker_failures", &mut self.breaker_failures, 3, 1, 1_000_000),
            ("prefetch", &mut self.prefetch, 0, 1, PREFETCH_MAX),
        ] {
            if *value == 0 {
                *value = standard;
            } else if *value < least || *value > most {
                return Err(Error::invalid(format!("{name}: {value} is out of range; allowed are {least} to {most}")));
            }
        }
        self.check_pairs()
    }

    fn check_pairs(&self) -> Result<(), Error> {
        let wrong = if self.backoff_min > self.backoff_max {
            "backoff_min_ms: must not be above backoff_max_ms"
        } else if self.breaker_open_min > self.breaker_open_max {
            "breaker_open_min_ms: must not be above breaker_open_max_ms"
        } else if self.causal && self.prefetch > 0 {
            "prefetch: gives up the order that causal promises; use one"
        } else if self.tls_cert.is_some() != self.tls_key.is_some() {
            "tls_cert, tls_key: give both or none"
        } else if !self.tls && (self.tls_ca.is_some() || self.tls_cert.is_some() || self.tls_server_name.is_some()) {
            "tls: must be true for the other tls options to have a use"
        } else if self.tls && !cfg!(feature = "tls") {
            "tls: this build has none; use the crate's feature \"tls\""
        } else if self.token.as_ref().is_some_and(|token| token.is_empty() || token.len() > 256) {
            "token: must have 1 to 256 bytes"
        } else {
            return Ok(());
        };
        Err(Error::invalid(wrong))
    }
}

/// `HOST`, `HOST:PORT`, `ADDRESS:PORT` or `[IPV6]:PORT`.
pub(crate) fn parse_host_port(text: &str, port: Option<u16>) -> Option<(String, u16)> {
    let (host, told) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
    } else if text.matches(':').count() == 1 {
        let (host, port) = text.split_once(':')?;
        (host, Some(port))
    } else {
        (text, None)
    };
    let port = match told {
        Some(digits) if digits.bytes().all(|each| each.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
        None => port?,
    };
    let fine = port > 0 && !host.is_empty() && host.len() <= 253 && !host.contains(['[', ']', '/', ' ']);
    fine.then(|| (host.to_string(), port))
}

pub(crate) fn parse_servers(text: &str) -> Result<Vec<(String, u16)>, Error> {
    let mut found = Vec::new();
    for entry in text.split([',', ' ']).filter(|each| !each.is_empty()) {
        found.push(parse_host_port(entry, Some(7450)).ok_or_else(|| {
            Error::invalid(format!("servers: {entry:?} is not a server; allowed are HOST, HOST:PORT, ADDRESS:PORT and [IPV6]:PORT"))
        })?);
    }
    if found.is_empty() {
        return Err(Error::invalid("servers: none given; example: ids-0:7450,ids-1:7450"));
    }
    if found.len() > NAMES_MAX {
        return Err(Error::invalid(format!("servers: more than {NAMES_MAX} entries")));
    }
    Ok(found)
}

pub(crate) fn numeric(host: &str) -> Option<IpAddr> {
    host.parse().ok()
}
