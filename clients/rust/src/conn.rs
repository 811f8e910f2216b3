//! One connection: its bytes, and the requests that wait for their answers, in order. It never blocks; a host moves the bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::{Attempt, Engine, Key};
use crate::errors::Code;
use crate::frames::{self, Header};
use crate::policy::{Outcome, ServerId};
use crate::tls::Session;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Connecting,
    Handshaking,
    Up,
    /// GOAWAY: nothing new, the rest is answered.
    Leaving,
}

/// Requests in flight on one connection. What comes meanwhile waits together and goes out together, as one request: the slower the answers, the more
/// callers share one. So few also fit any socket's buffer: a write does not wait.
const IN_FLIGHT_MAX: usize = 4;
/// A connection whose oldest request has waited this many attempt timeouts, and a second, is given up.
const SILENCE_FACTOR: u32 = 10;

/// What a host reads and writes.
pub(crate) trait Socket: Send + Sync {
    /// How much of it was taken; the rest when the host says that there is room.
    fn write(&self, bytes: &[u8]) -> std::io::Result<usize>;
    /// Whoever reads it comes to an end.
    fn close(&self);
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    Probe,
    Info,
    Auth,
}

/// One frame that waits for its answer.
pub(crate) struct Request {
    id: u32,
    pub kind: Kind,
    pub count: u32,
    /// Every ID must be above this.
    pub after: Option<u64>,
    /// An ID of the same slot must be above this; 0: unknown.
    pub floor: u64,
    pub sent: Instant,
    /// Has been reported as such.
    silent: bool,
    pub attempts: Vec<Attempt>,
}

/// Whose turn it is to read; of use to hosts that read with threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    Nobody,
    Caller,
    /// The connection's own thread, or it is about to.
    Own,
}

#[allow(clippy::struct_excessive_bools)] // each is one thing that happened to it
pub(crate) struct Conn {
    pub id: u64,
    pub server: ServerId,
    pub address: Arc<str>,
    pub state: State,
    begun: Instant,
    pub socket: Option<Arc<dyn Socket>>,
    pub reader: Reader,
    /// Requests so far.
    pub asked: u64,
    pub waiting: VecDeque<Attempt>,
    pub pending: VecDeque<Request>,
    /// The token was refused: it must be shown again.
    pub denied: bool,
    pub asking_info: bool,
    /// The worker did not know its fleet when INFO was answered.
    pub nameless: bool,
    /// IDs came while it was nameless.
    pub ids_came: bool,
    pub answered: bool,
    pub last_id: u64,
    next_request: u32,
    out: Vec<u8>,
    writing: bool,
    input: Vec<u8>,
    input_at: usize,
    tls: Option<Session>,
}

/// Why a connection ends.
pub(crate) struct End {
    pub outcome: Outcome,
    pub code: Code,
    pub why: String,
}

impl End {
    pub(crate) fn broken(why: impl Into<String>) -> End {
        End { outcome: Outcome::Broken, code: Code::Protocol, why: why.into() }
    }

    pub(crate) fn lost(why: impl Into<String>) -> End {
        End { outcome: Outcome::Lost, code: Code::Unreachable, why: why.into() }
    }

    fn tls(why: impl Into<String>) -> End {
        End { outcome: Outcome::Lost, code: Code::Tls, why: why.into() }
    }
}

const fn frame_of(kind: Kind) -> u8 {
    match kind {
        Kind::Call | Kind::Probe => frames::NEXT,
        Kind::Info => frames::INFO,
        Kind::Auth => frames::AUTH,
    }
}

impl Conn {
    pub(crate) fn new(id: u64, server: ServerId, address: Arc<str>, now: Instant) -> Conn {
        Conn {
            id,
            server,
            address,
            state: State::Connecting,
            begun: now,
            socket: None,
            reader: Reader::Own,
            asked: 0,
            waiting: VecDeque::new(),
            pending: VecDeque::new(),
            denied: false,
            asking_info: false,
            nameless: false,
            ids_came: false,
            answered: false,
            last_id: 0,
            next_request: 0,
            out: Vec::new(),
            writing: false,
            input: Vec::new(),
            input_at: 0,
            tls: None,
        }
    }

    /// Has it been up?
    pub(crate) fn announced(&self) -> bool {
        self.state >= State::Up
    }

    /// Would another request only join a queue that does not move?
    pub(crate) fn silent(&self, now: Instant, patience: Duration) -> bool {
        self.pending.front().is_some_and(|oldest| now.duration_since(oldest.sent) >= patience)
    }

    fn request(&mut self, kind: Kind, now: Instant) -> Request {
        self.next_request = self.next_request.wrapping_add(1);
        Request { id: self.next_request, kind, count: 0, after: None, floor: 0, sent: now, silent: false, attempts: Vec::new() }
    }

    fn ask(&mut self, kind: Kind, body: &[u8], now: Instant) {
        let request = self.request(kind, now);
        frames::put(&mut self.out, frame_of(kind), 0, request.id, body);
        self.pending.push_back(request);
    }

    /// Who the worker is, and who its fellows are: beside the other requests.
    pub(crate) fn ask_info(&mut self, now: Instant) {
        if self.state == State::Up && !self.asking_info {
            self.asking_info = true;
            self.ask(Kind::Info, b"", now);
        }
    }

    /// What comes before the first request of a connection.
    fn introduce(&mut self, token: Option<&str>, now: Instant) {
        self.denied = false;
        if let Some(token) = token {
            self.ask(Kind::Auth, token.as_bytes(), now);
        }
        self.asking_info = true;
        self.ask(Kind::Info, b"", now);
    }

    /// The next whole frame.
    fn frame(&mut self) -> Result<Option<(Header, Vec<u8>)>, End> {
        let rest = &self.input[self.input_at..];
        if rest.len() >= 4 {
            let length = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]);
            if !(frames::LENGTH_MIN..=frames::LENGTH_MAX).contains(&length) {
                return Err(End::broken("what came is no Snowfleet frame (length field)"));
            }
            let size = 4 + length as usize;
            if rest.len() >= size {
                let found = (frames::header(rest), rest[frames::HEADER..size].to_vec());
                self.input_at += size;
                return Ok(Some(found));
            }
        }
        self.input.drain(..self.input_at);
        self.input_at = 0;
        Ok(None)
    }

    /// When it must be looked at.
    fn due(&self, patience: Duration, connect_timeout: Duration) -> Option<Instant> {
        if !self.announced() {
            return Some(self.begun + connect_timeout);
        }
        let oldest = self.pending.front()?;
        Some(oldest.sent + if oldest.silent { give_up(patience) } else { patience })
    }
}

fn give_up(patience: Duration) -> Duration {
    (patience * SILENCE_FACTOR).max(Duration::from_secs(1))
}

impl Engine {
    // --- for the host ---

    /// The socket is there. False: nobody wants it any more.
    pub(crate) fn connected(&mut self, id: u64, socket: Arc<dyn Socket>, now: Instant) -> bool {
        let host = self.host_of(id);
        let Some(at) = self.conns.iter().position(|each| each.id == id) else { return false };
        self.conns[at].socket = Some(socket);
        if let Some(config) = &self.tls {
            match Session::new(config, &host) {
                Ok(made) => self.conns[at].tls = Some(made),
                Err(why) => {
                    self.end(id, End::tls(why), now);
                    return false;
                }
            }
            self.conns[at].state = State::Handshaking;
        } else {
            self.up(id, now);
        }
        self.soil(id);
        true
    }

    fn host_of(&mut self, id: u64) -> String {
        if let Some(name) = &self.options.tls_server_name {
            return name.clone();
        }
        let server = self.conns.iter().find(|each| each.id == id).map_or(0, |each| each.server);
        self.policy.server(server).map(|each| each.host.clone()).unwrap_or_default()
    }

    fn up(&mut self, id: u64, now: Instant) {
        self.stats.connects += 1;
        let token = self.options.token.clone();
        if let Some(conn) = self.conn(id) {
            conn.state = State::Up;
            conn.introduce(token.as_deref(), now);
        }
    }

    /// Bytes came.
    pub(crate) fn on_bytes(&mut self, id: u64, raw: &[u8], now: Instant) {
        if let Err(end) = self.on_bytes_or(id, raw, now) {
            self.end(id, end, now);
        }
    }

    fn on_bytes_or(&mut self, id: u64, raw: &[u8], now: Instant) -> Result<(), End> {
        let Some(conn) = self.conn(id) else { return Ok(()) };
        if let Some(tls) = &mut conn.tls {
            tls.receive(raw, &mut conn.input).map_err(End::tls)?;
            if conn.state == State::Handshaking && !tls.shaking() {
                self.up(id, now);
            }
            self.soil(id);
        } else {
            conn.input.extend_from_slice(raw);
        }
        while let Some(conn) = self.conn(id) {
            let Some((header, body)) = conn.frame()? else { break };
            self.take(id, &header, &body, now)?;
        }
        let Some(conn) = self.conn(id) else { return Ok(()) };
        if conn.state == State::Leaving && conn.pending.is_empty() {
            return Err(End::lost("the server asked us to leave"));
        }
        if !conn.waiting.is_empty() {
            self.soil(id);
        }
        Ok(())
    }

    /// The socket gave an error, or came to its end.
    pub(crate) fn on_error(&mut self, id: u64, why: Option<&std::io::Error>, now: Instant) {
        let why = why.map_or_else(|| "the server closed the connection".to_string(), ToString::to_string);
        self.end(id, End::lost(why), now);
    }

    /// A write has come to its end: `taken` of `bytes` went out.
    pub(crate) fn wrote(&mut self, id: u64, mut bytes: Vec<u8>, taken: std::io::Result<usize>, now: Instant) {
        match taken {
            Err(why) => self.on_error(id, Some(&why), now),
            Ok(size) => {
                let Some(conn) = self.conn(id) else { return };
                bytes.drain(..size);
                conn.writing = !bytes.is_empty(); // the host says when there is room
                bytes.append(&mut conn.out);
                conn.out = bytes;
                let more = !conn.out.is_empty() || !conn.waiting.is_empty();
                if more && !conn.writing {
                    self.soil(id);
                }
            }
        }
    }

    /// Something was asked where nobody reads: the connection's own thread shall.
    pub(crate) fn adopt(&mut self, id: u64) -> bool {
        let orphan = self.conn(id).filter(|each| each.reader == Reader::Nobody && !each.pending.is_empty());
        orphan.is_some_and(|each| {
            each.reader = Reader::Own;
            true
        })
    }

    /// There is room again.
    #[cfg(feature = "tokio")]
    pub(crate) fn unblocked(&mut self, id: u64) {
        if let Some(conn) = self.conn(id) {
            conn.writing = false;
            self.soil(id);
        }
    }

    // --- requests ---

    /// Makes frames of the attempts that wait: one for all that can share it, the sum of their counts.
    pub(crate) fn flush(&mut self, id: u64, now: Instant) {
        let Some(at) = self.conns.iter().position(|each| each.id == id) else { return };
        if self.conns[at].writing {
            return;
        }
        if self.conns[at].state == State::Up {
            self.build(at, now);
        }
        let conn = &mut self.conns[at];
        let Some(socket) = conn.socket.clone() else { return };
        if let Some(tls) = &mut conn.tls {
            let plain = std::mem::take(&mut conn.out);
            let sent = tls.send(&plain);
            tls.flush(&mut conn.out);
            if let Err(why) = sent {
                self.end(id, End::tls(why), now);
                return;
            }
        }
        let conn = &mut self.conns[at];
        if !conn.out.is_empty() {
            conn.writing = true;
            let bytes = std::mem::take(&mut conn.out);
            self.todo.writes.push((id, socket, bytes));
        }
        if let Some(due) = self.conns[at].due(self.options.attempt_timeout, self.options.connect_timeout) {
            self.wake_at(due);
        }
    }

    fn build(&mut self, at: usize, now: Instant) {
        let (floor, most) = self.policy.server(self.conns[at].server).map_or((0, 0), |each| (each.last_id, each.max_batch));
        if !self.conns[at].waiting.is_empty() {
            if self.conns[at].denied {
                self.conns[at].introduce(self.options.token.as_deref(), now);
            } else if self.conns[at].nameless {
                self.conns[at].ask_info(now);
            }
        }
        while self.conns[at].pending.len() < IN_FLIGHT_MAX {
            let Some(first) = self.next_waiting(at, |_| true) else { break };
            let mut request = self.conns[at].request(if first.call.is_some() { Kind::Call } else { Kind::Probe }, now);
            request.count = first.count;
            request.floor = floor;
            request.after = first.after;
            // Where `most` is not known yet, it is 0: each goes for itself.
            let most = if first.call.is_none() || first.after.is_some() { 0 } else { most };
            request.attempts.push(first);
            loop {
                let room = most.saturating_sub(request.count);
                let Some(next) = self.next_waiting(at, |next| next.call.is_some() && next.after.is_none() && next.count <= room) else { break };
                request.count += next.count;
                request.attempts.push(next);
            }
            if request.kind == Kind::Call && self.causal > 0 {
                request.after = request.after.max(Some(self.causal));
            }
            let conn = &mut self.conns[at];
            conn.asked += 1;
            frames::put_next(&mut conn.out, request.id, request.count, request.after);
            conn.pending.push_back(request);
        }
    }

    /// The next one that waits and that somebody still wants, if it is fit.
    fn next_waiting(&mut self, at: usize, fit: impl Fn(&Attempt) -> bool) -> Option<Attempt> {
        loop {
            if self.conns[at].waiting.front().is_some_and(&fit) {
                let next = self.conns[at].waiting.pop_front()?;
                if next.call.is_none() || self.wanted(&next) {
                    return Some(next);
                }
                self.dropped(&next);
            } else {
                return None;
            }
        }
    }

    // --- what comes ---

    fn take(&mut self, id: u64, header: &Header, body: &[u8], now: Instant) -> Result<(), End> {
        if header.version != 1 {
            return Err(End::broken("a frame of another protocol version came"));
        }
        if header.kind == frames::GOAWAY {
            if body.len() < 4 {
                return Err(End::broken("a malformed GOAWAY came"));
            }
            self.leave(id, now);
            return Ok(());
        }
        if header.kind > frames::GOAWAY {
            return Ok(()); // a push of a later version
        }
        if header.kind == frames::ERROR {
            if matches!(header.code, frames::BAD_REQUEST | frames::UNSUPPORTED) {
                return Err(End::broken("the server could not read our stream"));
            }
            return Err(End::lost(format!("the server refused the connection: {}", frames::status_name(header.code))));
        }
        let Some(conn) = self.conn(id) else { return Ok(()) };
        let Some(request) = conn.pending.front() else { return Err(End::broken("an answer came that nobody asked for")) };
        if header.request != request.id || header.kind != frame_of(request.kind) | frames::ANSWER {
            return Err(End::broken("an answer came out of order"));
        }
        conn.answered = true;
        match conn.pending.pop_front() {
            Some(request) => self.on_answer(id, &request, header.code, body, now),
            None => Ok(()),
        }
    }

    /// The server wants the connection to end. What was not sent yet goes over another one.
    fn leave(&mut self, id: u64, now: Instant) {
        let Some(conn) = self.conn(id) else { return };
        conn.state = State::Leaving;
        let address = conn.address.clone();
        self.stats.goaways += 1;
        self.tell(false, &address, "the server asked us to leave");
        self.forsake(id);
        self.look_soon(now);
    }

    /// Nothing new goes here.
    fn forsake(&mut self, id: u64) {
        let Some(conn) = self.conn(id) else { return };
        let (server, moved) = (conn.server, std::mem::take(&mut conn.waiting));
        if let Some(server) = self.policy.server(server).filter(|each| each.conn == Some(id)) {
            server.conn = None;
        }
        for attempt in moved {
            self.dropped(&attempt);
            if let Some(key) = self.land(&attempt) {
                self.again(key);
            }
        }
    }

    /// Its server is no longer in use; what was asked is still answered.
    pub(crate) fn retire(&mut self, id: u64) {
        self.forsake(id);
        let Some(conn) = self.conn(id) else { return };
        if conn.pending.is_empty() {
            self.ending.push(id);
        } else if conn.announced() {
            conn.state = State::Leaving;
        }
    }

    /// Closes, judges the server, hands its calls on.
    pub(crate) fn end(&mut self, id: u64, mut end: End, now: Instant) {
        let Some(at) = self.conns.iter().position(|each| each.id == id) else { return };
        let mut conn = self.conns.swap_remove(at);
        if !conn.announced() && end.outcome == Outcome::Lost {
            end.outcome = Outcome::Unreached;
        }
        if let Some(socket) = conn.socket.take() {
            let mut last = Vec::new();
            if let Some(tls) = &mut conn.tls {
                tls.flush(&mut last); // the alert that says what was wrong
            }
            self.todo.closes.push((socket, last));
        }
        if let Some(server) = self.policy.server(conn.server).filter(|each| each.conn == Some(id)) {
            server.conn = None;
        }
        self.buried(&mut conn, &end, now);
    }

    /// What is due by the clock. When the next thing is.
    pub(crate) fn tick_conns(&mut self, now: Instant) {
        let (patience, connect_timeout) = (self.options.attempt_timeout, self.options.connect_timeout);
        let due: Vec<_> =
            self.conns.iter().filter(|each| each.due(patience, connect_timeout).is_some_and(|at| at <= now)).map(|each| each.id).collect();
        for id in due {
            let Some(conn) = self.conn(id) else { continue };
            if !conn.announced() {
                self.end(id, End::lost(format!("no connection within {} ms", connect_timeout.as_millis())), now);
                continue;
            }
            let server = conn.server;
            let Some(oldest) = conn.pending.front_mut() else { continue };
            let age = now.duration_since(oldest.sent);
            if age >= give_up(patience) {
                self.end(id, End::lost(format!("silent for {} ms", age.as_millis())), now);
            } else {
                // Whoever waits for an answer judges the server himself; this is for the others, and for connections that stay silent.
                oldest.silent = true;
                self.report(server, Outcome::Silent, Duration::ZERO, now);
            }
        }
        let next = self.conns.iter().filter_map(|each| each.due(patience, connect_timeout)).min();
        if let Some(at) = next {
            self.wake_at(at);
        }
    }

    /// May a caller read it, in whose name alone something was asked? Then it is his turn.
    pub(crate) fn lead(&mut self, key: Key) -> Option<(u64, Arc<dyn Socket>)> {
        let id = self.sole_conn(key)?;
        let conn = self.conn(id).filter(|each| each.state == State::Up && each.reader == Reader::Nobody)?;
        let socket = conn.socket.clone()?;
        conn.reader = Reader::Caller;
        Some((id, socket))
    }
}
