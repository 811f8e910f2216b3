//! Whom to ask, when to ask again, and whom to leave alone: circuit breakers, retry budget and hedging, as in the C library (`src/client/policy.c`). It
//! knows no clock and sends nothing.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::options::Options;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaker {
    Closed,
    Open,
    Probing,
}

/// What an attempt, a probe or a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answers and mints, or refused for a reason that is the caller's.
    Fine,
    /// It says itself that others may do.
    Unusable,
    /// Leave it alone for a while.
    Full,
    Fault,
    Unreached,
    Lost,
    Silent,
    /// Nonsense, IDs out of order, another fleet.
    Broken,
}

pub(crate) type ServerId = u32;

/// One address that may mint, and how it does.
pub(crate) struct Server {
    pub id: ServerId,
    pub at: SocketAddr,
    pub address: Arc<str>,
    /// What its certificate must bear.
    pub host: String,
    /// The number of its entry in `Names`.
    pub name: u32,
    pub discovered: bool,
    pub conn: Option<u64>,
    /// 0: not known yet.
    pub max_batch: u32,
    pub last_id: u64,
    pub state: Breaker,
    pub failures: u32,
    pub load: i32,
    open_for: Duration,
    opened: Instant,
    probe_at: Instant,
    probing_since: Instant,
    busy_until: Instant,
}

/// For each server, while none works: 200 tries a second in all at most.
const TRY_SPACING: Duration = Duration::from_millis(5);

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(RandomState::new().build_hasher().finish() | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    /// 0 to 1, without 1.
    pub(crate) fn part(&mut self) -> f64 {
        self.next() as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn of(&mut self, whole: Duration) -> Duration {
        whole.mul_f64(self.part())
    }

    fn below(&mut self, n: usize) -> usize {
        (self.part() * n as f64) as usize
    }
}

pub(crate) struct Policy {
    pub servers: Vec<Server>,
    pub random: Random,
    pub opens: u64,
    /// Some server is not closed, or was not a moment ago.
    pub troubled: bool,
    budget_milli: u64,
    latency: Duration,
    next_id: ServerId,
}

fn idle_due(server: &Server, idle: Option<Duration>, options: &Options) -> Instant {
    if server.state == Breaker::Probing {
        return server.probing_since + options.breaker_open_max; // one that nobody looked after lapses
    }
    idle.map_or(server.probe_at, |idle| server.probe_at.min(server.opened + idle))
}

fn usable(server: &Server, now: Instant, tried: &[ServerId]) -> bool {
    server.state == Breaker::Closed && now >= server.busy_until && !tried.contains(&server.id)
}

impl Policy {
    pub(crate) fn new(options: &Options) -> Self {
        let budget_milli = u64::from(options.retry_budget_max) * 1000;
        Self { servers: Vec::new(), random: Random::new(), opens: 0, troubled: false, budget_milli, latency: Duration::ZERO, next_id: 0 }
    }

    /// A new server. One that was discovered is probed before calls are sent to it: nobody has heard it yet.
    pub(crate) fn add(&mut self, at: SocketAddr, host: &str, name: u32, discovered: bool, options: &Options, now: Instant) {
        self.next_id += 1;
        self.troubled |= discovered;
        self.servers.push(Server {
            id: self.next_id,
            at,
            address: at.to_string().into(),
            host: host.to_string(),
            name,
            discovered,
            conn: None,
            max_batch: 0,
            last_id: 0,
            state: if discovered { Breaker::Open } else { Breaker::Closed },
            failures: 0,
            load: 0,
            open_for: options.breaker_open_min,
            opened: now,
            probe_at: now,
            probing_since: now,
            busy_until: now,
        });
    }

    pub(crate) fn server(&mut self, id: ServerId) -> Option<&mut Server> {
        self.servers.iter_mut().find(|each| each.id == id)
    }

    pub(crate) fn call_begins(&mut self, options: &Options) {
        self.budget_milli = (self.budget_milli + u64::from(options.retry_budget_percent) * 10).min(u64::from(options.retry_budget_max) * 1000);
    }

    pub(crate) fn count_usable(&self, now: Instant, tried: &[ServerId]) -> usize {
        self.servers.iter().filter(|each| usable(each, now, tried)).count()
    }

    /// The time between two tries of one server while none works; None while one does.
    fn idle(&self, options: &Options) -> Option<Duration> {
        if self.servers.iter().any(|each| each.state == Breaker::Closed) {
            return None;
        }
        Some((TRY_SPACING * self.servers.len() as u32).max(options.breaker_idle))
    }

    /// Of two random usable servers the less loaded. When none at all is usable, one that is due for a probe. None: nobody now.
    pub(crate) fn choose(&mut self, now: Instant, tried: &[ServerId], options: &Options) -> Option<ServerId> {
        let count = self.count_usable(now, tried);
        if count > 0 {
            let a = self.random.below(count);
            let b = if count > 1 { (a + 1 + self.random.below(count - 1)) % count } else { a };
            let mut able = self.servers.iter().filter(|each| usable(each, now, tried));
            let low = able.nth(a.min(b))?;
            let (low, low_load) = (low.id, low.load);
            let Some(high) = (a != b).then(|| able.nth(a.max(b) - a.min(b) - 1)).flatten() else { return Some(low) };
            let (first, second) = if a < b { ((low, low_load), (high.id, high.load)) } else { ((high.id, high.load), (low, low_load)) };
            return Some(if second.1 < first.1 { second.0 } else { first.0 });
        }
        let idle = Some(self.idle(options)?);
        let size = self.servers.len();
        let start = self.random.below(size.max(1));
        let looked = |each: &Server| if each.state == Breaker::Probing { each.probing_since } else { each.opened };
        // The one that nobody has looked at for longest.
        let due = (0..size).map(|i| (start + i) % size).filter(|i| now >= idle_due(&self.servers[*i], idle, options));
        let found = due.min_by_key(|i| looked(&self.servers[*i]))?;
        let server = &mut self.servers[found];
        server.state = Breaker::Probing;
        server.probing_since = now;
        Some(server.id)
    }

    /// A server to be probed beside the calls. Only while some server is closed: else calls are the probes.
    pub(crate) fn probe(&mut self, now: Instant, options: &Options) -> Option<ServerId> {
        self.troubled = self.servers.iter().any(|each| each.state != Breaker::Closed);
        if !self.troubled || self.servers.iter().all(|each| each.state != Breaker::Closed) {
            return None;
        }
        let ill = self.servers.iter_mut().filter(|each| each.state != Breaker::Closed);
        let due = ill.min_by_key(|each| idle_due(each, None, options)).filter(|each| idle_due(each, None, options) <= now)?;
        due.state = Breaker::Probing;
        due.probing_since = now;
        Some(due.id)
    }

    /// When asking again makes sense if `choose` found nobody.
    pub(crate) fn wake(&self, now: Instant, options: &Options) -> Instant {
        let idle = self.idle(options);
        let at = |each: &Server| if each.state == Breaker::Closed { each.busy_until } else { idle_due(each, idle, options) };
        self.servers.iter().map(at).filter(|at| *at > now).fold(now + options.breaker_idle, Instant::min)
    }

    fn turn(&mut self, at: usize, to: Breaker, options: &Options, now: Instant) {
        let part = 0.5 + self.random.part() / 2.0;
        let server = &mut self.servers[at];
        let from = std::mem::replace(&mut server.state, to);
        if to == Breaker::Closed {
            server.failures = 0;
            server.open_for = options.breaker_open_min;
            return;
        }
        server.open_for = if from == Breaker::Closed { options.breaker_open_min } else { (server.open_for * 2).min(options.breaker_open_max) };
        server.opened = now;
        server.probe_at = now + server.open_for.mul_f64(part);
        self.opens += u64::from(from == Breaker::Closed);
        self.troubled = true;
    }

    /// What came of it. (Was it closed before, is it now?)
    pub(crate) fn report(&mut self, id: ServerId, what: Outcome, retry_after: Duration, options: &Options, now: Instant) -> (bool, bool) {
        let Some(at) = self.servers.iter().position(|each| each.id == id) else { return (false, false) };
        let before = self.servers[at].state;
        if matches!(what, Outcome::Fine | Outcome::Full) {
            if before != Breaker::Closed {
                self.turn(at, Breaker::Closed, options, now);
            }
            // A little more than asked for, so that not all come back in the same instant.
            let more = if what == Outcome::Full { retry_after + self.random.of(retry_after / 4 + options.backoff_min) } else { Duration::ZERO };
            let server = &mut self.servers[at];
            server.failures = 0;
            server.busy_until = server.busy_until.max(now + more);
        } else if before != Breaker::Open {
            self.servers[at].failures += 1;
            let counted = matches!(what, Outcome::Lost | Outcome::Fault);
            if before == Breaker::Probing || !counted || self.servers[at].failures >= options.breaker_failures {
                self.turn(at, Breaker::Open, options, now);
            }
        }
        (before == Breaker::Closed, self.servers[at].state == Breaker::Closed)
    }

    /// How long a call waits before it tries again after its round-th fruitless round, and whether that is for want of budget. None: at once, at another
    /// server; a token is taken.
    pub(crate) fn retry_wait(&mut self, now: Instant, tried: &[ServerId], round: u32, options: &Options) -> Option<(Duration, bool)> {
        const LEAST: Duration = Duration::from_micros(1);
        if let Some(idle) = self.idle(options) {
            // No server works: the next one as soon as it is due.
            if self.servers.iter().any(|each| idle_due(each, Some(idle), options) <= now) {
                return Some((LEAST, false));
            }
            return Some((self.wake(now, options) - now, false));
        }
        if self.count_usable(now, tried) == 0 {
            let top = options.backoff_min.saturating_mul(1 << round.min(20)).min(options.backoff_max);
            return Some((LEAST + self.random.of(top), false));
        }
        if self.take_token() {
            return None;
        }
        Some((LEAST + self.random.of(options.backoff_max), true))
    }

    fn take_token(&mut self) -> bool {
        let may = self.budget_milli >= 1000;
        self.budget_milli -= if may { 1000 } else { 0 };
        may
    }

    pub(crate) fn may_hedge(&mut self) -> bool {
        self.take_token()
    }

    /// An answer came after this time. Stochastic approximation of a quantile, in steps that are parts of the estimate.
    pub(crate) fn answered(&mut self, latency: Duration, options: &Options) {
        let percentile = options.hedge_percentile;
        if percentile == 0 {
            return;
        }
        if self.latency.is_zero() {
            self.latency = latency * 8;
        }
        let step = self.latency / 16 + Duration::from_nanos(1);
        if latency > self.latency {
            self.latency += step * percentile / 100;
        } else {
            self.latency = self.latency.saturating_sub(step * (100 - percentile) / 100);
        }
    }

    /// How long to wait for an answer before another server is asked beside; None: never.
    pub(crate) fn hedge(&self, options: &Options) -> Option<Duration> {
        if options.hedge_percentile == 0 {
            return (!options.hedge.is_zero()).then_some(options.hedge);
        }
        (!self.latency.is_zero()).then(|| self.latency.max(options.hedge))
    }
}
