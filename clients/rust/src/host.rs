//! What the hosts of both kinds share: the engine under its lock, and doing what it wants done.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use crate::engine::{Engine, Todo};
use crate::errors::{Code, Error};
use crate::id::{Id, Layout, Parts};
use crate::options::{Event, Options};
use crate::prefetch::Prefetch;
use crate::process::Mine;
use crate::slot::lock;
use crate::stats::Stats;

pub(crate) trait Host: Send + Sync + Sized + 'static {
    /// Makes the connection and reads it until its end.
    fn connect(shared: &Arc<Shared<Self>>, conn: u64, at: SocketAddr);
    /// The clock must ring earlier than it thinks.
    fn clock(shared: &Arc<Shared<Self>>);
    /// Names shall be looked up.
    fn resolve(shared: &Arc<Shared<Self>>);
    /// The connection shall be read by who was made for it.
    fn read(shared: &Arc<Shared<Self>>, conn: u64);
    /// The socket took less than all: `Engine::unblocked` when there is room.
    fn blocked(shared: &Arc<Shared<Self>>, conn: u64);
}

pub(crate) struct Shared<H> {
    engine: Mutex<Engine>,
    pub host: H,
    pub prefetch: Option<Prefetch>,
    pub prefetch_count: u32,
    log: Option<crate::options::Log>,
    /// The process that made it.
    process: Mine,
}

impl<H: Host> Shared<H> {
    pub(crate) fn new(options: Options, host: H) -> Result<Arc<Self>, Error> {
        let log = options.log.clone();
        let engine = Engine::new(options, Instant::now())?;
        let (prefetch_count, most_age) = (engine.options.prefetch, engine.options.prefetch_max_age);
        let prefetch = (prefetch_count > 0).then(|| Prefetch::new(most_age));
        Ok(Arc::new(Self { engine: Mutex::new(engine), host, prefetch, prefetch_count, log, process: Mine::new() }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Engine> {
        lock(&self.engine)
    }

    /// A child of a fork has no threads, and what was fetched or asked for is the parent's.
    pub(crate) fn own(&self) -> Result<(), Error> {
        if self.process.is() {
            return Ok(());
        }
        Err(Error::new(Code::Cancelled, "the process forked, and this is the child: make a client of its own here"))
    }

    /// Does what the engine wants done, without its lock where that may take a while, until it wants nothing.
    pub(crate) fn settle<'a>(self: &'a Arc<Self>, mut engine: MutexGuard<'a, Engine>) {
        loop {
            engine.pump(Instant::now());
            if engine.todo.is_empty() {
                return;
            }
            let todo = std::mem::take(&mut engine.todo);
            drop(engine);
            self.perform(todo);
            engine = self.lock();
        }
    }

    fn perform(self: &Arc<Self>, todo: Todo) {
        for (conn, socket, bytes) in todo.writes {
            let taken = socket.write(&bytes);
            let short = taken.as_ref().is_ok_and(|size| *size < bytes.len());
            let mut engine = self.lock();
            engine.wrote(conn, bytes, taken, Instant::now());
            let orphan = engine.adopt(conn);
            drop(engine);
            if orphan {
                H::read(self, conn);
            }
            if short {
                H::blocked(self, conn);
            }
        }
        for slot in todo.wakes {
            slot.wake();
        }
        if todo.clock {
            H::clock(self);
        }
        for (conn, at) in todo.connects {
            H::connect(self, conn, at);
        }
        for (socket, last) in todo.closes {
            if !last.is_empty() {
                let _ = socket.write(&last); // a farewell: if it does not go out, the end says the same
            }
            socket.close();
        }
        if todo.resolve {
            H::resolve(self);
        }
        for event in todo.events {
            self.tell(&event);
        }
    }

    fn tell(&self, event: &Event) {
        if let Some(log) = &self.log {
            log(event);
        }
        #[cfg(feature = "log")]
        log::log!(if event.warning { log::Level::Warn } else { log::Level::Info }, "snowfleet: {}: {}", event.server, event.message);
    }

    pub(crate) fn close(self: &Arc<Self>) {
        if self.own().is_err() {
            return; // the sockets are the parent's
        }
        let mut engine = self.lock();
        if !engine.closed {
            engine.close(Instant::now());
            self.settle(engine);
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut told = self.lock().snapshot(Instant::now());
        if let Some(prefetch) = &self.prefetch {
            prefetch.tell(&mut told);
        }
        told
    }

    pub(crate) fn layout(&self) -> Option<Layout> {
        self.lock().layout
    }

    pub(crate) fn decode(&self, id: Id) -> Result<Parts, Error> {
        self.layout().map(|layout| layout.decode(id)).ok_or_else(|| Error::new(Code::NotReady, "no worker has told the fleet's layout"))
    }
}
