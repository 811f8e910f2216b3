//! The client for tokio: the same engine, with tasks as its host.

use std::future::{poll_fn, Future};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{timeout, timeout_at};

use crate::conn::Socket;
use crate::engine::Key;
use crate::errors::{Code, Error};
use crate::host::{Host, Shared};
use crate::id::{Id, Layout, Parts};
use crate::names::RESOLVE_MIN;
use crate::options::Options;
use crate::slot::{lock, Reply, Slot, Waiter};
use crate::stats::Stats;
use crate::Request;

const READ_SIZE: usize = 1 << 14;

struct AsyncSocket {
    stream: TcpStream,
    stop: Notify,
}

impl AsyncSocket {
    /// None: it was closed.
    async fn readable(&self) -> Option<std::io::Result<()>> {
        let mut stopped = pin!(self.stop.notified());
        poll_fn(|context| match stopped.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => self.stream.poll_read_ready(context).map(Some),
        })
        .await
    }
}

struct Writer(Arc<AsyncSocket>);

impl Socket for Writer {
    fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.0.stream.try_write(bytes) {
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    fn close(&self) {
        self.0.stop.notify_one(); // its task ends, and with that the socket
    }
}

struct Tasks {
    runtime: Handle,
    sockets: Mutex<Vec<(u64, Arc<AsyncSocket>)>>,
    clock: Arc<Notify>,
    clock_runs: OnceLock<()>,
    resolver: Arc<Notify>,
    resolver_runs: OnceLock<()>,
    filling: tokio::sync::Mutex<()>,
}

/// Takes the connection from the list when its task ends, however that comes.
struct Listed<'a>(&'a Arc<Shared<Tasks>>, u64);

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        lock(&self.0.host.sockets).retain(|each| each.0 != self.1);
    }
}

impl Host for Tasks {
    fn connect(shared: &Arc<Shared<Self>>, conn: u64, at: SocketAddr) {
        let mine = shared.clone();
        shared.host.runtime.spawn(async move { run_conn(&mine, conn, at).await });
    }

    fn clock(shared: &Arc<Shared<Self>>) {
        if shared.host.clock_runs.set(()).is_ok() {
            let mine = shared.clone();
            shared.host.runtime.spawn(async move { run_clock(&mine).await });
        }
        shared.host.clock.notify_one();
    }

    fn resolve(shared: &Arc<Shared<Self>>) {
        if !shared.lock().needs_resolver() {
            return;
        }
        if shared.host.resolver_runs.set(()).is_ok() {
            let mine = shared.clone();
            shared.host.runtime.spawn(async move { run_resolver(&mine).await });
        }
        shared.host.resolver.notify_one();
    }

    fn read(_: &Arc<Shared<Self>>, _: u64) {
        // its task always reads
    }

    fn blocked(shared: &Arc<Shared<Self>>, conn: u64) {
        let Some(socket) = lock(&shared.host.sockets).iter().find(|each| each.0 == conn).map(|each| each.1.clone()) else { return };
        let mine = shared.clone();
        shared.host.runtime.spawn(async move {
            let patience = mine.lock().options.connect_timeout;
            let _ = timeout(patience, socket.stream.writable()).await; // an error shows in the next write
            let mut engine = mine.lock();
            engine.unblocked(conn);
            mine.settle(engine);
        });
    }
}

async fn run_clock(shared: &Arc<Shared<Tasks>>) {
    loop {
        let at = {
            let mut engine = shared.lock();
            if engine.closed {
                return;
            }
            engine.tick(Instant::now());
            engine.todo.clock = false; // it looks by itself
            shared.settle(engine);
            shared.lock().next_wake()
        };
        match at {
            Some(at) => {
                let _ = timeout_at(at.into(), shared.host.clock.notified()).await;
                // either way it is time to look
            }
            None => shared.host.clock.notified().await,
        }
    }
}

async fn run_resolver(shared: &Arc<Shared<Tasks>>) {
    loop {
        let begun = Instant::now();
        let wanted = shared.lock().to_resolve();
        for (name, host, port) in wanted {
            let found = tokio::net::lookup_host((host.as_str(), port)).await.map(Iterator::collect).map_err(|why| why.to_string());
            let mut engine = shared.lock();
            engine.resolved(name, found, Instant::now());
            shared.settle(engine);
        }
        let period = {
            let mut engine = shared.lock();
            if engine.closed {
                return;
            }
            engine.resolve_period()
        };
        if timeout_at((begun + period).into(), shared.host.resolver.notified()).await.is_ok() {
            tokio::time::sleep_until((begun + RESOLVE_MIN).into()).await;
        }
    }
}

async fn run_conn(shared: &Arc<Shared<Tasks>>, conn: u64, at: SocketAddr) {
    let patience = shared.lock().options.connect_timeout;
    let stream = match timeout(patience, TcpStream::connect(at)).await {
        Ok(made) => made.and_then(|stream| stream.set_nodelay(true).map(|()| stream)),
        Err(_) => return, // the engine's clock has ended it, or does so now
    };
    let stream = match stream {
        Ok(stream) => stream,
        Err(why) => {
            let mut engine = shared.lock();
            engine.on_error(conn, Some(&why), Instant::now());
            shared.settle(engine);
            return;
        }
    };
    let socket = Arc::new(AsyncSocket { stream, stop: Notify::new() });
    lock(&shared.host.sockets).push((conn, socket.clone()));
    let _listed = Listed(shared, conn);
    {
        let mut engine = shared.lock();
        let wanted = engine.connected(conn, Arc::new(Writer(socket.clone())), Instant::now());
        shared.settle(engine);
        if !wanted {
            return;
        }
    }
    let mut buffer = vec![0; READ_SIZE];
    while let Some(ready) = socket.readable().await {
        let came = ready.and_then(|()| socket.stream.try_read(&mut buffer));
        let mut engine = shared.lock();
        let now = Instant::now();
        match came {
            Ok(0) => engine.on_error(conn, None, now),
            Ok(size) => engine.on_bytes(conn, &buffer[..size], now),
            Err(why) if why.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(why) => engine.on_error(conn, Some(&why), now),
        }
        let over = engine.conn(conn).is_none();
        shared.settle(engine);
        if over {
            return;
        }
    }
}

/// Cancels a call whose future is dropped.
struct Cancel<'a>(&'a Arc<Shared<Tasks>>, Key, Arc<Slot>);

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if !self.2.is_done() {
            let mut engine = self.0.lock();
            engine.cancel(self.1);
            self.0.settle(engine);
        }
    }
}

/// IDs from a fleet, for any number of tasks of one runtime: those that wait at the same moment share one request. Make one for each fleet and keep it.
/// A call is cancelled by dropping its future.
///
/// It lives in the runtime in which it was made, and ends with it. A child of a fork makes a client of its own.
pub struct AsyncClient {
    shared: Arc<Shared<Tasks>>,
}

impl AsyncClient {
    /// Does not connect yet, and waits for no name. To be called within a runtime of tokio.
    pub fn new(options: Options) -> Result<AsyncClient, Error> {
        let runtime = Handle::try_current().map_err(|_| Error::invalid("an AsyncClient is made within a runtime of tokio"))?;
        let host = Tasks {
            runtime,
            sockets: Mutex::default(),
            clock: Arc::default(),
            clock_runs: OnceLock::new(),
            resolver: Arc::default(),
            resolver_runs: OnceLock::new(),
            filling: tokio::sync::Mutex::default(),
        };
        let shared = Shared::new(options, host)?;
        let engine = shared.lock();
        shared.settle(engine);
        Ok(AsyncClient { shared })
    }

    /// One ID.
    pub async fn next(&self) -> Result<Id, Error> {
        if self.shared.prefetch.is_some() {
            return self.prefetched().await;
        }
        Ok(self.ask(1, Request::default()).await?.runs[0].first)
    }

    /// `count` IDs, all of them or none. Up to the worker's `max_batch` they come from one worker and ascend.
    pub async fn next_many(&self, count: u32) -> Result<Vec<Id>, Error> {
        Ok(self.ask(count, Request::default()).await?.ids())
    }

    /// The same with everything that can be said. IDs fetched ahead are not used.
    pub async fn ask(&self, count: u32, request: Request) -> Result<Reply, Error> {
        self.shared.own()?;
        let slot = Slot::new(Waiter::Nobody);
        let key = {
            let mut engine = self.shared.lock();
            let key = engine.start(count, request.after.map(Id::get), request.timeout, slot.clone(), Instant::now());
            self.shared.settle(engine);
            key
        };
        let cancel = Cancel(&self.shared, key, slot);
        poll_fn(|context| cancel.2.poll(context.waker()).map_or(Poll::Pending, Poll::Ready)).await
    }

    async fn prefetched(&self) -> Result<Id, Error> {
        self.shared.own()?;
        let Some(prefetch) = &self.shared.prefetch else { return self.ask(1, Request::default()).await.map(|reply| reply.runs[0].first) };
        if let Some(id) = prefetch.take(Instant::now()) {
            return Ok(id);
        }
        let patience: Duration = self.shared.lock().options.timeout;
        let Ok(_filling) = timeout(patience, self.shared.host.filling.lock()).await else {
            self.shared.lock().stats.ended(Some(Code::Timeout));
            return Err(Error::new(Code::Timeout, "others were still fetching at the deadline"));
        };
        let asked = Instant::now();
        if let Some(id) = prefetch.take(asked) {
            return Ok(id); // somebody else has fetched meanwhile
        }
        let reply = self.ask(self.shared.prefetch_count, Request::default()).await?;
        Ok(prefetch.put(&reply.runs, asked))
    }

    /// That of the fleet, as the workers told it; None while none has answered yet.
    pub fn layout(&self) -> Option<Layout> {
        self.shared.layout()
    }

    /// Takes an ID of the fleet apart. Where no worker has answered yet, one is asked.
    pub async fn decode(&self, id: Id) -> Result<Parts, Error> {
        if self.layout().is_none() {
            self.ask(1, Request::default()).await?;
        }
        self.shared.decode(id)
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Ends everything; calls under way get `CANCELLED`. Dropping the client does the same.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl Drop for AsyncClient {
    fn drop(&mut self) {
        self.close();
    }
}
