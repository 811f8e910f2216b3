//! The client for threads. A lone caller reads its answer itself: no other thread stands between it and its ID. Where several wait, the connection's own
//! thread reads for them.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::conn::{Reader, Socket};
use crate::engine::{Engine, Key};
use crate::errors::{Code, Error};
use crate::host::{Host, Shared};
use crate::id::{Id, Layout, Parts};
use crate::names::RESOLVE_MIN;
use crate::options::Options;
use crate::slot::{lock, Reply, Slot, Waiter};
use crate::stats::Stats;

const READ_SIZE: usize = 1 << 14;
/// A connection that no caller has used for so long is read by its own thread.
const IDLE: Duration = Duration::from_millis(50);

struct TcpSocket {
    stream: TcpStream,
    /// Reads return after this.
    patience: Mutex<Option<Duration>>,
    own: OnceLock<Thread>,
}

impl TcpSocket {
    fn wake_own(&self) {
        if let Some(own) = self.own.get() {
            own.unpark();
        }
    }

    fn read(&self, buffer: &mut [u8], patience: Option<Duration>) -> std::io::Result<usize> {
        let mut before = lock(&self.patience);
        if *before != patience {
            self.stream.set_read_timeout(patience)?;
            *before = patience;
        }
        drop(before);
        (&self.stream).read(buffer)
    }
}

/// What the engine knows of it.
struct Writer(Arc<TcpSocket>);

impl Socket for Writer {
    fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        (&self.0.stream).write_all(bytes).map(|()| bytes.len())
    }

    fn close(&self) {
        let _ = self.0.stream.shutdown(Shutdown::Both); // it may have ended by itself
        self.0.wake_own();
    }
}

#[derive(Default)]
struct Threads {
    sockets: Mutex<Vec<(u64, Arc<TcpSocket>)>>,
    clock: Condvar,
    clock_runs: Mutex<bool>,
    resolver: Condvar,
    /// (it runs, it shall look again)
    resolving: Mutex<(bool, bool)>,
    filling: Mutex<bool>,
    filled: Condvar,
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    thread::Builder::new().name(format!("snowfleet-{name}")).stack_size(128 * 1024).spawn(work).map(drop)
}

impl Host for Threads {
    fn connect(shared: &Arc<Shared<Self>>, conn: u64, at: SocketAddr) {
        let mine = shared.clone();
        if let Err(why) = spawn("conn", move || run_conn(&mine, conn, at)) {
            let mut engine = shared.lock();
            engine.on_error(conn, Some(&why), Instant::now());
            drop(engine); // settle goes on where it is
        }
    }

    fn clock(shared: &Arc<Shared<Self>>) {
        let mut runs = lock(&shared.host.clock_runs);
        if *runs {
            shared.host.clock.notify_one();
        } else {
            let mine = shared.clone();
            *runs = spawn("clock", move || run_clock(&mine)).is_ok();
        }
    }

    fn resolve(shared: &Arc<Shared<Self>>) {
        if !shared.lock().needs_resolver() {
            return;
        }
        let mut state = lock(&shared.host.resolving);
        state.1 = true;
        if state.0 {
            shared.host.resolver.notify_one();
        } else {
            let mine = shared.clone();
            state.0 = spawn("names", move || run_resolver(&mine)).is_ok();
        }
    }

    fn read(shared: &Arc<Shared<Self>>, conn: u64) {
        if let Some((_, socket)) = lock(&shared.host.sockets).iter().find(|each| each.0 == conn) {
            socket.wake_own();
        }
    }

    fn blocked(_: &Arc<Shared<Self>>, _: u64) {
        // write_all takes all or fails
    }
}

// --- threads ---

fn run_clock(shared: &Arc<Shared<Threads>>) {
    let mut engine = shared.lock();
    while !engine.closed {
        let now = Instant::now();
        let wait = engine.next_wake().map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(now));
        if wait.is_zero() {
            engine.tick(now);
            engine.todo.clock = false; // it looks by itself
            shared.settle(engine);
            engine = shared.lock();
        } else {
            engine = match shared.host.clock.wait_timeout(engine, wait) {
                Ok(woken) => woken.0,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

fn run_resolver(shared: &Arc<Shared<Threads>>) {
    loop {
        let begun = Instant::now();
        let wanted = shared.lock().to_resolve();
        for (name, host, port) in wanted {
            let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect).map_err(|why| why.to_string());
            let mut engine = shared.lock();
            engine.resolved(name, found, Instant::now());
            shared.settle(engine);
        }
        let mut engine = shared.lock();
        if engine.closed {
            return;
        }
        let until = begun + engine.resolve_period();
        drop(engine);
        let mut state = lock(&shared.host.resolving);
        state.1 = false;
        while Instant::now() < until {
            let wait = if state.1 { begun + RESOLVE_MIN } else { until }.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                break;
            }
            state = match shared.host.resolver.wait_timeout(state, wait) {
                Ok(woken) => woken.0,
                Err(poisoned) => poisoned.into_inner().0,
            };
            drop(state);
            if shared.lock().closed {
                return;
            }
            state = lock(&shared.host.resolving);
        }
    }
}

fn make_socket(stream: TcpStream, timeout: Duration) -> std::io::Result<Arc<TcpSocket>> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(timeout))?;
    let made = TcpSocket { stream, patience: Mutex::new(None), own: OnceLock::new() };
    let _ = made.own.set(thread::current()); // it was empty
    Ok(Arc::new(made))
}

fn run_conn(shared: &Arc<Shared<Threads>>, conn: u64, at: SocketAddr) {
    let timeout = shared.lock().options.connect_timeout;
    let made = TcpStream::connect_timeout(&at, timeout).and_then(|stream| make_socket(stream, timeout));
    let mut engine = shared.lock();
    match made {
        Ok(socket) => {
            let wanted = engine.connected(conn, Arc::new(Writer(socket.clone())), Instant::now());
            if wanted {
                lock(&shared.host.sockets).push((conn, socket.clone()));
            }
            shared.settle(engine);
            if wanted {
                read_on(shared, conn, &socket);
                lock(&shared.host.sockets).retain(|each| each.0 != conn);
            }
        }
        Err(why) => {
            engine.on_error(conn, Some(&why), Instant::now());
            shared.settle(engine);
        }
    }
}

/// The connection's own thread.
fn read_on(shared: &Arc<Shared<Threads>>, conn: u64, socket: &TcpSocket) {
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let came = socket.read(&mut buffer, None);
        let mut engine = shared.lock();
        if !take(&mut engine, conn, &buffer, came) {
            shared.settle(engine);
            return;
        }
        let goes_on = engine.conn(conn).is_none_or(|each| {
            let busy = !each.announced() || !each.pending.is_empty();
            each.reader = if busy { Reader::Own } else { Reader::Nobody };
            busy
        });
        shared.settle(engine);
        if !goes_on && !await_turn(shared, conn) {
            return;
        }
    }
}

/// Gives what was read to the engine. False: the connection has ended.
fn take(engine: &mut Engine, conn: u64, buffer: &[u8], came: std::io::Result<usize>) -> bool {
    let now = Instant::now();
    match came {
        Ok(0) => engine.on_error(conn, None, now),
        Ok(size) => engine.on_bytes(conn, &buffer[..size], now),
        Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => engine.tick(now),
        Err(why) => engine.on_error(conn, Some(&why), now),
    }
    engine.pump(now);
    engine.conn(conn).is_some()
}

/// Waits until a caller hands the reading over, or until none reads. False: the connection has ended.
fn await_turn(shared: &Arc<Shared<Threads>>, conn: u64) -> bool {
    let mut asked = None;
    loop {
        thread::park_timeout(IDLE);
        let mut engine = shared.lock();
        let Some(each) = engine.conn(conn) else { return false };
        if each.reader == Reader::Nobody && asked == Some(each.asked) {
            each.reader = Reader::Own;
        }
        if each.reader == Reader::Own {
            return true;
        }
        asked = Some(each.asked);
    }
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// A caller reads its own answer, for as long as its attempt has time. Whoever waits beside it is served too.
fn lead(shared: &Arc<Shared<Threads>>, key: Key, slot: &Slot, conn: u64, socket: &TcpSocket, patience: Duration) {
    let until = Instant::now() + patience;
    BUFFER.with_borrow_mut(|buffer| loop {
        let came = socket.read(buffer, Some(patience));
        let mut engine = shared.lock();
        if !take(&mut engine, conn, buffer, came) {
            shared.settle(engine);
            return;
        }
        let alone = engine.sole_conn(key) == Some(conn) && Instant::now() < until;
        let goes_on = !slot.is_done() && alone;
        let mut hand_over = false;
        if let Some(each) = engine.conn(conn).filter(|_| !goes_on) {
            hand_over = !each.pending.is_empty();
            each.reader = if hand_over { Reader::Own } else { Reader::Nobody };
        }
        shared.settle(engine);
        if hand_over {
            socket.wake_own();
        }
        if !goes_on {
            return;
        }
    });
}

// --- the client ---

/// IDs from a fleet, for any number of threads at once: those that wait at the same moment share one request. Make one for each fleet and keep it.
///
/// A child of a fork makes a client of its own: in the child every call of the parent's is `CANCELLED`.
pub struct Client {
    shared: Arc<Shared<Threads>>,
    timeout: Duration,
    attempt_timeout: Duration,
}

/// What can be asked, but for the number of IDs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Every ID shall be greater than this one.
    pub after: Option<Id>,
    /// Instead of `Options::timeout`.
    pub timeout: Option<Duration>,
}

impl Client {
    /// Does not connect yet, and waits for no name.
    pub fn new(mut options: Options) -> Result<Client, Error> {
        options.check()?;
        let (timeout, attempt_timeout) = (options.timeout, options.attempt_timeout);
        let shared = Shared::new(options, Threads::default())?;
        let engine = shared.lock();
        shared.settle(engine);
        Ok(Client { shared, timeout, attempt_timeout })
    }

    /// One ID.
    pub fn next(&self) -> Result<Id, Error> {
        if self.shared.prefetch.is_some() {
            return self.prefetched();
        }
        Ok(self.ask(1, Request::default())?.runs[0].first)
    }

    /// `count` IDs, all of them or none. Up to the worker's `max_batch` they come from one worker and ascend.
    pub fn next_many(&self, count: u32) -> Result<Vec<Id>, Error> {
        Ok(self.ask(count, Request::default())?.ids())
    }

    /// The same with everything that can be said. IDs fetched ahead are not used.
    pub fn ask(&self, count: u32, request: Request) -> Result<Reply, Error> {
        self.shared.own()?;
        let slot = Slot::new(Waiter::Thread(thread::current()));
        let mut engine = self.shared.lock();
        let key = engine.start(count, request.after.map(Id::get), request.timeout, slot.clone(), Instant::now());
        engine.pump(Instant::now());
        let leads = engine.lead(key).map(|(conn, _)| conn);
        self.shared.settle(engine);
        if let Some(conn) = leads {
            let socket = lock(&self.shared.host.sockets).iter().find(|each| each.0 == conn).map(|each| each.1.clone());
            if let Some(socket) = socket {
                lead(&self.shared, key, &slot, conn, &socket, self.attempt_timeout);
            }
        }
        loop {
            if let Some(result) = slot.is_done().then(|| slot.take()).flatten() {
                return result;
            }
            thread::park();
        }
    }

    fn prefetched(&self) -> Result<Id, Error> {
        self.shared.own()?;
        let host = &self.shared.host;
        let begun = Instant::now();
        let Some(prefetch) = &self.shared.prefetch else {
            return self.ask(1, Request::default()).map(|reply| reply.runs[0].first);
        };
        if let Some(id) = prefetch.take(begun) {
            return Ok(id);
        }
        let mut filling = lock(&host.filling);
        while *filling {
            let left = self.timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                self.shared.lock().stats.ended(Some(Code::Timeout));
                return Err(Error::new(Code::Timeout, "others were still fetching at the deadline"));
            }
            filling = match host.filled.wait_timeout(filling, left) {
                Ok(woken) => woken.0,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        let asked = Instant::now();
        if let Some(id) = prefetch.take(asked) {
            return Ok(id); // somebody else has fetched meanwhile
        }
        *filling = true;
        drop(filling);
        let reply = self.ask(self.shared.prefetch_count, Request::default());
        let id = reply.map(|reply| prefetch.put(&reply.runs, asked));
        *lock(&host.filling) = false;
        host.filled.notify_all();
        id
    }

    /// That of the fleet, as the workers told it; None while none has answered yet.
    pub fn layout(&self) -> Option<Layout> {
        self.shared.layout()
    }

    /// Takes an ID of the fleet apart. Where no worker has answered yet, one is asked.
    pub fn decode(&self, id: Id) -> Result<Parts, Error> {
        if self.layout().is_none() {
            self.ask(1, Request::default())?;
        }
        self.shared.decode(id)
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Ends everything; calls under way in other threads get `CANCELLED`. Dropping the client does the same.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
    }
}
