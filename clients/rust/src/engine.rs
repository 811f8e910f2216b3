//! What happens to calls: a server is chosen and asked, asked again or beside another, and the call ends. It never blocks and knows no threads; a host
//! (blocking.rs, tokio.rs) moves bytes, tells it the time, holds its lock, and does what is in `Todo`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::conn::{Conn, End, Socket};
use crate::errors::{Code, Error};
use crate::frames::Run;
use crate::id::Layout;
use crate::names::Names;
use crate::options::{parse_servers, Event, Options, COUNT_MAX};
use crate::policy::{Outcome, Policy, ServerId};
use crate::slot::{Reply, Slot};
use crate::stats::{Counters, Stats};
use crate::tls;

/// Names a call; once it has ended, nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub index: u32,
    pub life: u32,
}

/// A call's request to one server. It may share its frame with others.
pub(crate) struct Attempt {
    pub number: u64,
    /// None: a probe, which nobody waits for.
    pub call: Option<Key>,
    pub server: ServerId,
    pub count: u32,
    pub after: Option<u64>,
}

pub(crate) struct InFlight {
    pub number: u64,
    pub server: ServerId,
    pub conn: u64,
    pub sent: Instant,
}

/// One call of the program.
#[allow(clippy::struct_excessive_bools)] // each is one thing that happened to it
pub(crate) struct Call {
    pub life: u32,
    pub slot: Option<Arc<Slot>>,
    pub left: u32,
    pub after: Option<u64>,
    pub deadline: Instant,
    pub wake: Instant,
    pub in_flight: Vec<InFlight>,
    pub tried: Vec<ServerId>,
    pub runs: Vec<Run>,
    pub sent: u32,
    pub round: u32,
    pub silenced: bool,
    pub hasty: bool,
    /// A connection broke under it.
    pub bereft: bool,
    pub hedged: bool,
    pub hedge: Option<Duration>,
    pub last_error: Option<Code>,
    pub detail: String,
    pub server: Option<Arc<str>>,
    pub retry_after: Duration,
}

/// What the host shall do.
#[derive(Default)]
pub(crate) struct Todo {
    pub connects: Vec<(u64, SocketAddr)>,
    pub writes: Vec<(u64, Arc<dyn Socket>, Vec<u8>)>,
    pub closes: Vec<(Arc<dyn Socket>, Vec<u8>)>,
    pub wakes: Vec<Arc<Slot>>,
    pub events: Vec<Event>,
    /// Names shall be looked up.
    pub resolve: bool,
    /// The clock must ring earlier than it was told.
    pub clock: bool,
}

impl Todo {
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.wakes.is_empty()
            && self.connects.is_empty()
            && self.closes.is_empty()
            && self.events.is_empty()
            && !self.resolve
            && !self.clock
    }
}

pub(crate) struct Engine {
    pub options: Options,
    pub tls: Option<tls::Config>,
    pub policy: Policy,
    pub names: Names,
    pub conns: Vec<Conn>,
    pub stats: Counters,
    pub layout: Option<Layout>,
    pub fleet_id: String,
    /// The largest ID that was handed out, where that counts.
    pub causal: u64,
    pub closed: bool,
    pub todo: Todo,
    /// Connections whose servers are gone.
    pub ending: Vec<u64>,
    pub calls: Vec<Call>,
    free: Vec<u32>,
    agains: Vec<Key>,
    dirty: Vec<u64>,
    next_wake: Option<Instant>,
    pub next_number: u64,
}

impl Engine {
    pub(crate) fn new(mut options: Options, now: Instant) -> Result<Engine, Error> {
        options.check()?;
        let entries = parse_servers(&options.servers)?;
        let tls = tls::config(&options)?;
        let policy = Policy::new(&options);
        let mut made = Engine {
            options,
            tls,
            policy,
            names: Names::new(now),
            conns: Vec::new(),
            stats: Counters::default(),
            layout: None,
            fleet_id: String::new(),
            causal: 0,
            closed: false,
            todo: Todo::default(),
            ending: Vec::new(),
            calls: Vec::new(),
            free: Vec::new(),
            agains: Vec::new(),
            dirty: Vec::new(),
            next_wake: None,
            next_number: 0,
        };
        for (host, port) in entries {
            made.add_name(host, port, false, now);
        }
        Ok(made)
    }

    // --- for the host ---

    pub(crate) fn conn(&mut self, id: u64) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|each| each.id == id)
    }

    pub(crate) fn soil(&mut self, id: u64) {
        if !self.dirty.contains(&id) {
            self.dirty.push(id);
        }
    }

    pub(crate) fn wake_at(&mut self, at: Instant) {
        if self.next_wake.is_none_or(|next| at < next) {
            self.next_wake = Some(at);
            self.todo.clock = true;
        }
    }

    /// When `tick` has something to do, at the earliest.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        self.next_wake
    }

    pub(crate) fn resolve_soon(&mut self) {
        self.todo.resolve = true;
    }

    pub(crate) fn tell(&mut self, warning: bool, server: &str, message: impl Into<String>) {
        if self.options.log.is_some() || cfg!(feature = "log") {
            self.todo.events.push(Event { warning, message: message.into(), server: server.to_string() });
        }
    }

    /// Sends what waits, as far as that is the engine's: fills `todo`.
    pub(crate) fn pump(&mut self, now: Instant) {
        loop {
            if let Some(key) = self.agains.pop() {
                if self.call(key).is_some_and(|call| call.in_flight.is_empty()) {
                    self.attempt(key, now);
                }
            } else if let Some(id) = self.ending.pop() {
                self.end(id, End::lost("its server is no longer in use"), now);
            } else if let Some(id) = self.dirty.pop() {
                self.flush(id, now);
            } else {
                return;
            }
        }
    }

    /// What is due by the clock.
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.next_wake.is_none_or(|at| now < at) {
            return;
        }
        self.next_wake = None;
        self.tick_conns(now);
        for index in 0..self.calls.len() {
            let call = &self.calls[index];
            if call.slot.is_some() && call.wake <= now {
                let key = Key { index: index as u32, life: call.life };
                self.on_timer(key, now);
            }
        }
        let next = self.calls.iter().filter(|each| each.slot.is_some()).map(|each| each.wake).min();
        if let Some(at) = next {
            self.wake_at(at);
        }
    }

    /// Begins a call.
    pub(crate) fn start(&mut self, count: u32, after: Option<u64>, timeout: Option<Duration>, slot: Arc<Slot>, now: Instant) -> Key {
        let deadline = now + timeout.unwrap_or(self.options.timeout);
        let made = Call {
            life: 0,
            slot: Some(slot),
            left: count,
            after,
            deadline,
            wake: deadline,
            in_flight: Vec::new(),
            tried: Vec::new(),
            runs: Vec::new(),
            sent: 0,
            round: 0,
            silenced: false,
            hasty: false,
            bereft: false,
            hedged: false,
            hedge: None,
            last_error: None,
            detail: String::new(),
            server: None,
            retry_after: Duration::ZERO,
        };
        let key = if let Some(index) = self.free.pop() {
            let life = self.calls[index as usize].life.wrapping_add(1);
            self.calls[index as usize] = Call { life, ..made };
            Key { index, life }
        } else {
            self.calls.push(made);
            Key { index: self.calls.len() as u32 - 1, life: 0 }
        };
        let wrong = self.refuse(count, after, timeout);
        if let Some((code, detail)) = wrong {
            self.fail(key, code, detail);
        } else {
            self.policy.call_begins(&self.options);
            self.attempt(key, now);
        }
        key
    }

    fn refuse(&self, count: u32, after: Option<u64>, timeout: Option<Duration>) -> Option<(Code, String)> {
        const HOUR: Duration = Duration::from_secs(3600);
        if self.closed {
            return Some((Code::Cancelled, "the client is closed".to_string()));
        }
        let fine = (1..=COUNT_MAX).contains(&count) && timeout.is_none_or(|each| !each.is_zero() && each <= HOUR);
        let fine = fine && after.is_none_or(|each| each <= crate::Id::MAX.get());
        (!fine).then(|| (Code::Invalid, format!("the request is not allowed: count 1 to {COUNT_MAX}, timeout up to an hour")))
    }

    /// Nobody waits for it any more.
    #[cfg(feature = "tokio")]
    pub(crate) fn cancel(&mut self, key: Key) {
        self.fail(key, Code::Cancelled, "the call was cancelled");
    }

    /// Ends everything; calls under way get CANCELLED.
    pub(crate) fn close(&mut self, now: Instant) {
        self.closed = true;
        for index in 0..self.calls.len() {
            let key = Key { index: index as u32, life: self.calls[index].life };
            self.fail(key, Code::Cancelled, "the client was closed");
        }
        while let Some(conn) = self.conns.first() {
            let id = conn.id;
            self.end(id, End::lost("the client was closed"), now);
        }
        self.todo.clock = true;
        self.todo.resolve = true;
    }

    // --- a call ---

    pub(crate) fn call(&mut self, key: Key) -> Option<&mut Call> {
        self.calls.get_mut(key.index as usize).filter(|each| each.life == key.life && each.slot.is_some())
    }

    pub(crate) fn arm(&mut self, key: Key, at: Instant) {
        let Some(call) = self.call(key) else { return };
        call.wake = at.min(call.deadline);
        let at = call.wake;
        self.wake_at(at);
    }

    /// Servers have come: calls that wait for one need not wait longer.
    pub(crate) fn run_waiting(&mut self, now: Instant) {
        for index in 0..self.calls.len() {
            let call = &self.calls[index];
            if call.slot.is_some() && call.in_flight.is_empty() && matches!(call.last_error, Some(Code::Name | Code::Unreachable)) {
                let key = Key { index: index as u32, life: call.life };
                self.attempt(key, now);
            }
        }
    }

    /// Asks at once, unless an answer is still due.
    pub(crate) fn again(&mut self, key: Key) {
        self.agains.push(key);
    }

    pub(crate) fn conn_to(&mut self, server: ServerId, now: Instant) -> Option<u64> {
        self.next_number += 1;
        let id = self.next_number;
        let server = self.policy.server(server)?;
        if let Some(conn) = server.conn {
            return Some(conn);
        }
        server.conn = Some(id);
        let made = Conn::new(id, server.id, server.address.clone(), now);
        self.todo.connects.push((id, server.at));
        self.conns.push(made);
        let timeout = self.options.connect_timeout;
        self.wake_at(now + timeout);
        Some(id)
    }

    pub(crate) fn fail(&mut self, key: Key, code: Code, detail: impl Into<String>) {
        let Some(call) = self.call(key) else { return };
        let mut error = Error::new(code, detail);
        error.server = call.server.as_deref().unwrap_or_default().to_string();
        error.retry_after = call.retry_after;
        error.attempts = call.sent;
        self.finish(key, Err(error));
    }

    fn finish(&mut self, key: Key, result: Result<Reply, Error>) {
        let Some(slot) = self.call(key).and_then(|call| call.slot.take()) else { return };
        self.free.push(key.index);
        self.stats.ended(result.as_ref().err().map(|error| error.code));
        slot.put(result);
        self.todo.wakes.push(slot);
    }

    /// A part of what it wants has come.
    pub(crate) fn give(&mut self, key: Key, server: Arc<str>, part: Vec<Run>) {
        let Some(call) = self.call(key) else { return };
        call.left -= part.iter().map(|run| run.count).sum::<u32>();
        if call.runs.is_empty() {
            call.runs = part;
        } else {
            call.runs.extend(part);
        }
        if call.left > 0 {
            call.in_flight.clear(); // an answer to a repeated request would be counted twice
            call.tried.clear();
            call.server = Some(server);
            self.again(key);
            return;
        }
        let reply = Reply { runs: std::mem::take(&mut call.runs), attempts: call.sent, server };
        self.stats.ids += u64::from(call_count(&reply));
        if self.options.causal {
            let last = reply.runs.iter().map(Run::last).max().unwrap_or(0);
            self.causal = self.causal.max(last);
        }
        self.finish(key, Ok(reply));
    }

    // --- attempts ---

    /// Does somebody still wait for it?
    pub(crate) fn wanted(&mut self, attempt: &Attempt) -> bool {
        attempt.call.and_then(|key| self.call(key)).is_some_and(|call| call.in_flight.iter().any(|each| each.number == attempt.number))
    }

    /// It is no longer on its way.
    pub(crate) fn dropped(&mut self, attempt: &Attempt) {
        if attempt.call.is_some() {
            if let Some(server) = self.policy.server(attempt.server) {
                server.load -= 1;
            }
        }
    }

    /// An answer to it is there: its call, if that still waits for it.
    pub(crate) fn land(&mut self, attempt: &Attempt) -> Option<Key> {
        let key = attempt.call?;
        let call = self.call(key)?;
        let at = call.in_flight.iter().position(|each| each.number == attempt.number)?;
        call.in_flight.remove(at);
        Some(key)
    }

    /// The connection of a call that waits for one answer and has no reason to hurry.
    pub(crate) fn sole_conn(&mut self, key: Key) -> Option<u64> {
        let call = self.call(key).filter(|call| call.in_flight.len() == 1 && call.hedge.is_none() && !call.hasty && !call.silenced)?;
        (call.wake < call.deadline).then_some(call.in_flight[0].conn)
    }

    pub(crate) fn note(&mut self, key: Key, code: Code, detail: &str, server: &Arc<str>, retry_after: Duration) {
        if let Some(call) = self.call(key) {
            call.last_error = Some(code);
            call.detail = detail.to_string();
            call.server = Some(server.clone());
            call.retry_after = retry_after;
        }
    }

    /// The call failed at this server.
    pub(crate) fn retry_elsewhere(&mut self, key: Key, server: ServerId, now: Instant) {
        if let Some(call) = self.call(key) {
            call.tried.push(server);
        }
        self.retry(key, now);
    }

    /// The call failed at its last server. It waits, or asks another one at once.
    fn retry(&mut self, key: Key, now: Instant) {
        let Some(call) = self.calls.get_mut(key.index as usize).filter(|each| each.life == key.life && each.slot.is_some()) else { return };
        if !call.in_flight.is_empty() {
            return;
        }
        match self.policy.retry_wait(now, &call.tried, call.round, &self.options) {
            None => self.again(key),
            Some((wait, no_budget)) => {
                if no_budget {
                    self.stats.budget_waits += 1;
                } else {
                    call.round += 1;
                    call.tried.clear();
                }
                self.arm(key, now + wait);
            }
        }
    }

    /// The call waits as long as the worker asked, if it may last that long.
    pub(crate) fn wait_as_told(&mut self, key: Key, code: Code, now: Instant) {
        let Some(call) = self.call(key) else { return };
        let at = now + call.retry_after.max(Duration::from_millis(1));
        if at >= call.deadline {
            let detail = std::mem::take(&mut call.detail);
            self.fail(key, code, detail);
            return;
        }
        call.in_flight.clear();
        call.tried.clear();
        self.arm(key, at);
    }

    pub(crate) fn report(&mut self, server: ServerId, what: Outcome, retry_after: Duration, now: Instant) {
        let (before, after) = self.policy.report(server, what, retry_after, &self.options, now);
        if before != after {
            let address = self.policy.server(server).map(|each| each.address.clone()).unwrap_or_default();
            self.tell(before, &address, if before { "left alone: it failed" } else { "used again: it answers" });
        }
        if matches!(what, Outcome::Lost | Outcome::Unreached) {
            self.resolve_soon();
        }
    }

    /// A connection has ended.
    pub(crate) fn buried(&mut self, conn: &mut Conn, end: &End, now: Instant) {
        let (server, address) = (conn.server, conn.address.clone());
        let detail = format!("{address}: {}", end.why);
        if end.outcome == Outcome::Broken {
            self.stats.protocol_errors += 1;
            self.stats.last_protocol_error.clone_from(&detail);
            self.tell(true, &address, end.why.clone());
        }
        if end.outcome == Outcome::Unreached {
            self.stats.connect_failures += 1;
        } else {
            self.stats.disconnects += 1;
            self.look_soon(now);
        }
        // A connection that the server wanted to end, or that ended while nothing was asked, says nothing bad about the server.
        let busy = !conn.pending.is_empty() || !conn.waiting.is_empty();
        if !self.closed && (busy || end.outcome != Outcome::Lost) {
            self.report(server, end.outcome, Duration::ZERO, now);
        }
        let asked: Vec<_> = conn.pending.drain(..).flat_map(|request| request.attempts).chain(conn.waiting.drain(..)).collect();
        for attempt in asked {
            self.dropped(&attempt);
            let Some(key) = self.land(&attempt) else { continue };
            self.note(key, end.code, &detail, &address, Duration::ZERO);
            let Some(call) = self.call(key) else { continue };
            let lost = end.outcome == Outcome::Lost;
            call.bereft |= lost;
            // A worker that closed a connection that had worked may well answer on a new one: it may be asked again.
            if conn.answered && lost && call.round == 0 {
                call.round += 1;
            } else {
                call.tried.push(server);
            }
            self.retry(key, now);
        }
    }

    /// The counters.
    pub(crate) fn snapshot(&self, now: Instant) -> Stats {
        let mut told = self.stats.told();
        told.breaker_opens = self.policy.opens;
        told.servers = self.policy.servers.len();
        told.servers_usable = self.policy.count_usable(now, &[]);
        told.servers_discovered = self.policy.servers.iter().filter(|each| each.discovered).count();
        told
    }
}

fn call_count(reply: &Reply) -> u32 {
    reply.runs.iter().map(|run| run.count).sum()
}
