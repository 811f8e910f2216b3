//! How a call asks: whom, how often, and beside whom.

use std::time::{Duration, Instant};

use crate::engine::{Attempt, Call, Engine, InFlight, Key};
use crate::errors::Code;
use crate::policy::{Outcome, ServerId};

/// Requests of one call that may wait for an answer at a time.
const ATTEMPTS_MAX: usize = 8;
/// The part of the attempt timeout that a worker has alone once another one was silent or lost.
const AFTER_LOSS: u32 = 4;

impl Engine {
    /// Asks a server.
    pub(crate) fn attempt(&mut self, key: Key, now: Instant) {
        let Some(call) = self.calls.get(key.index as usize).filter(|each| each.life == key.life && each.slot.is_some()) else { return };
        let chosen = self.policy.choose(now, &call.tried, &self.options);
        if self.policy.troubled {
            if let Some(probe) = self.policy.probe(now, &self.options) {
                self.send_probe(probe, now);
            }
        }
        let Some((server, conn)) = chosen.and_then(|server| Some((server, self.conn_to(server, now)?))) else {
            self.nobody(key, now);
            return;
        };
        if self.look_due(now) {
            if let Some(conn) = self.conn(conn) {
                conn.ask_info(now);
            }
        }
        self.next_number += 1;
        let number = self.next_number;
        let hedge = self.policy.hedge(&self.options);
        let (mut shaky, mut most) = (false, 65536);
        if let Some(server) = self.policy.server(server) {
            server.load += 1;
            shaky = server.failures > 0;
            most = if server.max_batch == 0 { most } else { most.min(server.max_batch) };
        }
        let Some(call) = self.call(key) else { return };
        call.in_flight.push(InFlight { number, server, conn, sent: now });
        call.sent += 1;
        call.hasty = call.bereft || shaky;
        call.hedge = hedge;
        let attempt = Attempt { number, call: Some(key), server, count: call.left.min(most), after: call.after };
        let again = call.last_error.is_some();
        self.stats.attempts += 1;
        self.stats.retries += u64::from(again);
        if let Some(conn) = self.conn(conn) {
            conn.waiting.push_back(attempt);
        }
        self.soil(conn);
        let ends = self.attempt_ends(key, now);
        self.arm(key, ends);
    }

    /// Nobody can be asked now.
    fn nobody(&mut self, key: Key, now: Instant) {
        let none = self.policy.servers.is_empty();
        let wake = self.policy.wake(now, &self.options);
        let Some(call) = self.call(key) else { return };
        if call.last_error.is_none() {
            call.last_error = Some(if none { Code::Name } else { Code::Unreachable });
            call.detail = if none { "no server name has an address".to_string() } else { String::new() };
        }
        if call.in_flight.is_empty() {
            call.tried.clear();
            self.arm(key, wake);
        } else {
            // Go on waiting for the answers that are due.
            let ends = self.attempt_ends(key, now);
            self.arm(key, ends);
        }
    }

    /// A request for one ID that nobody waits for: does the server mint?
    fn send_probe(&mut self, server: ServerId, now: Instant) {
        self.stats.probes += 1;
        let patience = self.options.attempt_timeout;
        let Some(id) = self.conn_to(server, now) else { return };
        let Some(conn) = self.conn(id) else { return };
        if conn.silent(now, patience) {
            self.report(server, Outcome::Silent, Duration::ZERO, now);
            return;
        }
        conn.waiting.push_back(Attempt { number: 0, call: None, server, count: 1, after: None });
        self.soil(id);
    }

    fn may_hedge(&self, call: &Call) -> bool {
        !call.hedged && call.hedge.is_some_and(|hedge| hedge < self.options.attempt_timeout)
    }

    /// When an attempt that began at `from` has had its time. Where one worker fell silent others may have, and one that broke off may still be dying:
    /// there the next is asked quickly.
    fn attempt_ends(&self, key: Key, from: Instant) -> Instant {
        let call = &self.calls[key.index as usize];
        let patience = self.options.attempt_timeout;
        let wait = if call.silenced || call.hasty { patience / AFTER_LOSS } else { patience };
        from + if self.may_hedge(call) { call.hedge.map_or(wait, |hedge| hedge.min(wait)) } else { wait }
    }

    pub(crate) fn on_timer(&mut self, key: Key, now: Instant) {
        let Some(call) = self.call(key) else { return };
        if now >= call.deadline {
            self.expire(key);
        } else if call.in_flight.is_empty() {
            self.attempt(key, now);
        } else {
            self.grow_impatient(key, now);
        }
    }

    /// The attempt has had its time: marks the server (unless the time was a short one) and asks another one beside it.
    fn grow_impatient(&mut self, key: Key, now: Instant) {
        let call = &self.calls[key.index as usize];
        let Some((server, sent)) = call.in_flight.last().map(|latest| (latest.server, latest.sent)) else { return };
        let (hedges, quick) = (self.may_hedge(call), call.silenced || call.hasty);
        let call = &mut self.calls[key.index as usize];
        if hedges {
            call.hedged = true;
            if !self.policy.may_hedge() {
                let ends = self.attempt_ends(key, sent); // the rest of its time
                self.arm(key, ends);
                return;
            }
            self.stats.hedges += 1;
        } else if quick {
            self.stats.hedges += 1;
        } else {
            call.silenced = true;
            call.last_error = call.last_error.or(Some(Code::Timeout));
            self.stats.silences += 1;
            self.report(server, Outcome::Silent, Duration::ZERO, now);
        }
        let call = &mut self.calls[key.index as usize];
        call.tried.push(server);
        if call.in_flight.len() < ATTEMPTS_MAX {
            self.attempt(key, now);
        } else {
            let ends = self.attempt_ends(key, now);
            self.arm(key, ends);
        }
    }

    /// The last thing heard is the error.
    fn expire(&mut self, key: Key) {
        let call = &self.calls[key.index as usize];
        let mut code = call.last_error.unwrap_or(Code::Unreachable);
        let mut detail = call.detail.clone();
        if matches!(code, Code::Unreachable | Code::Timeout) {
            let reached = |each: &InFlight| self.conns.iter().any(|conn| conn.id == each.conn && conn.announced());
            code = if call.in_flight.iter().any(reached) { Code::Timeout } else { Code::Unreachable };
            if code == Code::Timeout {
                detail = format!("no answer by the deadline ({} requests)", call.sent);
            } else if detail.is_empty() {
                detail = "no server could be connected to by the deadline".to_string();
            }
        }
        self.fail(key, code, detail);
    }
}
