//! What becomes of each answer: IDs are checked and handed to those who wait, a refusal says when to ask again, INFO tells who the server is.

use std::time::{Duration, Instant};

use crate::conn::{End, Kind, Request};
use crate::engine::{Attempt, Engine, Key};
use crate::errors::Code;
use crate::frames::{self, Run};
use crate::id::{Id, Layout};
use crate::json::{self, Value};
use crate::policy::{Breaker, Outcome};

/// (what it says of the server, the error, whether another worker may do better)
const fn verdict(status: u16) -> (Outcome, Code, bool) {
    match status {
        1..=3 => (Outcome::Fine, Code::Refused, false),
        4 => (Outcome::Unusable, Code::NotReady, true),
        5 => (Outcome::Unusable, Code::Clock, true),
        6 => (Outcome::Full, Code::Overloaded, true),
        7 => (Outcome::Fine, Code::RateLimited, false),
        8 => (Outcome::Unusable, Code::Draining, true),
        frames::DENIED => (Outcome::Fine, Code::Denied, false),
        10 => (Outcome::Fine, Code::Causality, false),
        _ => (Outcome::Fault, Code::Internal, true),
    }
}

impl Engine {
    pub(crate) fn on_answer(&mut self, id: u64, request: &Request, status: u16, body: &[u8], now: Instant) -> Result<(), End> {
        match request.kind {
            Kind::Auth => return Ok(()),
            Kind::Info => return self.on_info(id, status, body, now),
            Kind::Call | Kind::Probe => {}
        }
        for attempt in &request.attempts {
            self.dropped(attempt);
        }
        // Those that still wait, with their places in the request.
        let keys: Vec<Option<Key>> = request.attempts.iter().map(|attempt| self.land(attempt)).collect();
        if request.kind == Kind::Call && keys.iter().all(Option::is_none) {
            self.stats.late_answers += 1;
        }
        if status != frames::OK {
            return self.on_refusal(id, request, &keys, status, body, now);
        }
        self.policy.answered(now.duration_since(request.sent), &self.options);
        let server = self.conn(id).map_or(0, |conn| conn.server);
        if self.policy.server(server).is_some_and(|each| each.state != Breaker::Closed || each.failures > 0) {
            self.report(server, Outcome::Fine, Duration::ZERO, now);
        }
        self.on_ids(id, request, &keys, body, now)
    }

    fn on_ids(&mut self, id: u64, request: &Request, keys: &[Option<Key>], body: &[u8], now: Instant) -> Result<(), End> {
        let Some(runs) = frames::runs(body, request.count) else {
            return Err(self.nonsense(id, keys, "an answer to NEXT is malformed", now));
        };
        let Some(conn) = self.conn(id) else { return Ok(()) };
        let address = conn.address.clone();
        if conn.nameless {
            // Whose they are is not known; it is asked again, INFO first.
            conn.ids_came = true;
            for key in keys.iter().flatten() {
                self.again(*key);
            }
            return Ok(());
        }
        let (first, last) = (runs[0].first.get(), runs.last().map_or(0, Run::last));
        if let Err(detail) = self.in_order(id, request, first, last) {
            self.stats.order_errors += 1;
            self.tell(true, &address, format!("IDs repeated or went back: {detail}"));
            for key in keys.iter().flatten() {
                self.note(*key, Code::Order, &detail, &address, Duration::ZERO);
                self.fail(*key, Code::Order, detail.clone());
            }
            return Err(End::broken("IDs repeated or went back"));
        }
        if let [key] = keys {
            if let Some(key) = key {
                self.give(*key, address, runs);
            }
            return Ok(());
        }
        let parts = split(&request.attempts, &runs);
        for (key, part) in keys.iter().zip(parts) {
            if let Some(key) = key {
                self.give(*key, address.clone(), part);
            }
        }
        Ok(())
    }

    /// Do these IDs go on from what the connection and the server gave before, and are they above what was asked for?
    fn in_order(&mut self, id: u64, request: &Request, first: u64, last: u64) -> Result<(), String> {
        let layout = self.layout;
        let Some(conn) = self.conn(id) else { return Ok(()) };
        if conn.last_id > 0 && first <= conn.last_id {
            return Err(format!("ID {first} came after ID {}", conn.last_id));
        }
        if request.floor > 0 && first <= request.floor && layout.is_some_and(|layout| layout.same_slot(first, request.floor)) {
            return Err(format!("ID {first} came after ID {}", request.floor));
        }
        if let Some(after) = request.after.filter(|after| first <= *after) {
            return Err(format!("ID {first} is not above ID {after}, as was asked for"));
        }
        conn.last_id = last;
        let server = conn.server;
        if let Some(server) = self.policy.server(server) {
            if server.last_id < last || !layout.is_some_and(|layout| layout.same_slot(server.last_id, last)) {
                server.last_id = last;
            }
        }
        Ok(())
    }

    fn nonsense(&mut self, id: u64, keys: &[Option<Key>], why: &str, now: Instant) -> End {
        if let Some((server, address)) = self.conn(id).map(|conn| (conn.server, conn.address.clone())) {
            for key in keys.iter().flatten() {
                self.note(*key, Code::Protocol, &format!("{address}: {why}"), &address, Duration::ZERO);
                self.retry_elsewhere(*key, server, now);
            }
        }
        End::broken(why)
    }

    fn on_refusal(&mut self, id: u64, request: &Request, keys: &[Option<Key>], status: u16, body: &[u8], now: Instant) -> Result<(), End> {
        let Some((retry_after_ms, reason)) = frames::refusal(body) else {
            return Err(self.nonsense(id, keys, "an error answer is malformed", now));
        };
        let (outcome, code, another) = verdict(status);
        let Some(conn) = self.conn(id) else { return Ok(()) };
        conn.denied |= status == frames::DENIED;
        let (server, address) = (conn.server, conn.address.clone());
        let retry_after = Duration::from_millis(u64::from(retry_after_ms));
        self.report(server, outcome, retry_after, now);
        let mut detail = format!("{address} says {}", frames::status_name(status));
        if !reason.is_empty() {
            detail = format!("{detail}: {reason}");
        }
        let most = self.policy.server(server).map_or(0, |each| each.max_batch);
        for (key, attempt) in keys.iter().zip(&request.attempts) {
            let Some(key) = *key else { continue };
            if status == frames::TOO_LARGE && (keys.len() > 1 || (most > 0 && attempt.count > most)) {
                // INFO has told us meanwhile how much it gives at a time; or each alone may not be too large.
                self.again(key);
                continue;
            }
            self.note(key, code, &detail, &address, retry_after);
            if matches!(code, Code::RateLimited | Code::Causality) {
                self.wait_as_told(key, code, now);
            } else if another {
                self.retry_elsewhere(key, server, now);
            } else {
                self.fail(key, code, detail.clone());
            }
        }
        Ok(())
    }

    fn on_info(&mut self, id: u64, status: u16, body: &[u8], now: Instant) -> Result<(), End> {
        let Some(conn) = self.conn(id) else { return Ok(()) };
        conn.asking_info = false;
        if status != frames::OK {
            return Ok(()); // an AUTH that failed shows in NEXT too
        }
        let malformed = || End::broken("an answer to INFO is malformed");
        let told = json::parse(body).filter(|told| matches!(told, Value::Object(_))).ok_or_else(malformed)?;
        let fleet_id = told.get("fleet_id").and_then(Value::text).filter(|text| !text.is_empty());
        let layout = match fleet_id {
            Some(_) => Some(layout_of(&told).ok_or_else(malformed)?),
            None => None,
        };
        conn.nameless = layout.is_none();
        let ids_came = std::mem::replace(&mut conn.ids_came, false);
        let server = conn.server;
        let most = told.get("max_batch").and_then(Value::integer).filter(|most| *most > 0);
        if let (Some(most), Some(server)) = (most, self.policy.server(server)) {
            server.max_batch = u32::try_from(most).unwrap_or(u32::MAX);
        }
        let (Some(fleet_id), Some(layout)) = (fleet_id, layout) else {
            return if ids_came { Err(End::broken("IDs came from a worker whose fleet is not known")) } else { Ok(()) };
        };
        if self.layout.is_none() {
            self.layout = Some(layout);
            self.fleet_id = fleet_id.to_string();
        }
        if fleet_id != self.fleet_id {
            self.stats.wrong_fleet += 1;
            return Err(End::broken("the worker belongs to another fleet than the first one that answered"));
        }
        if let Some(Value::List(workers)) = told.get("workers") {
            self.told_workers(workers, now);
        }
        Ok(())
    }
}

fn layout_of(told: &Value) -> Option<Layout> {
    let widths = told.get("layout")?;
    let width = |name| widths.get(name).and_then(Value::integer).and_then(|bits| u8::try_from(bits).ok());
    let epoch_ms = told.get("epoch_ms").and_then(Value::integer)?;
    Layout::new(width("timestamp")?, width("datacenter")?, width("worker")?, width("sequence")?, epoch_ms).ok()
}

/// Each of those that shared a request gets its part, in the order in which they came.
fn split(attempts: &[Attempt], runs: &[Run]) -> Vec<Vec<Run>> {
    let (mut at, mut used) = (0, 0);
    let mut parts = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        let (mut need, mut part) = (attempt.count, Vec::with_capacity(1));
        while need > 0 {
            let n = need.min(runs[at].count - used);
            part.push(Run { first: Id::raw(runs[at].first.get() + u64::from(used)), count: n });
            need -= n;
            used += n;
            if used == runs[at].count {
                at += 1;
                used = 0;
            }
        }
        parts.push(part);
    }
    parts
}
