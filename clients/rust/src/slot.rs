//! Where a call's result is put, and who waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::Thread;

use crate::errors::Error;
use crate::frames::Run;
use crate::id::Id;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The IDs, as runs: at least one.
    pub runs: Vec<Run>,
    /// Requests sent, retries included.
    pub attempts: u32,
    /// Who answered last.
    pub server: Arc<str>,
}

impl Reply {
    /// The IDs of all runs.
    pub fn ids(&self) -> Vec<Id> {
        let total = self.runs.iter().map(|run| run.count as usize).sum();
        let mut ids = Vec::with_capacity(total);
        for run in &self.runs {
            ids.extend((run.first.get()..=run.last()).map(Id::raw));
        }
        ids
    }
}

#[allow(dead_code)] // of two kinds of waiting, a build may have one
pub(crate) enum Waiter {
    Nobody,
    Thread(Thread),
    Task(Waker),
}

pub(crate) struct Slot {
    done: AtomicBool,
    state: Mutex<(Option<Result<Reply, Error>>, Waiter)>,
}

impl Slot {
    pub(crate) fn new(waiter: Waiter) -> Arc<Slot> {
        Arc::new(Slot { done: AtomicBool::new(false), state: Mutex::new((None, waiter)) })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    pub(crate) fn put(&self, result: Result<Reply, Error>) {
        lock(&self.state).0 = Some(result);
        self.done.store(true, Ordering::Release);
    }

    pub(crate) fn take(&self) -> Option<Result<Reply, Error>> {
        lock(&self.state).0.take()
    }

    /// The result; where there is none yet, the task is woken when there is.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll(&self, waker: &Waker) -> Option<Result<Reply, Error>> {
        let mut state = lock(&self.state);
        if state.0.is_none() {
            state.1 = Waiter::Task(waker.clone());
        }
        state.0.take()
    }

    pub(crate) fn wake(&self) {
        let waiter = std::mem::replace(&mut lock(&self.state).1, Waiter::Nobody);
        match waiter {
            Waiter::Nobody => {}
            Waiter::Thread(thread) => thread.unpark(),
            Waiter::Task(waker) => waker.wake(),
        }
    }
}
