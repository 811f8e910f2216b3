//! IDs that one request fetched for many calls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::frames::Run;
use crate::id::Id;
use crate::slot::lock;

pub(crate) struct Prefetch {
    most_age: Duration,
    kept: Mutex<VecDeque<(Run, Instant)>>,
    hits: AtomicU64,
    expired: AtomicU64,
    pub fills: AtomicU64,
}

impl Prefetch {
    pub(crate) fn new(most_age: Duration) -> Self {
        let (hits, expired, fills) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { most_age, kept: Mutex::default(), hits, expired, fills }
    }

    /// One that is young enough.
    pub(crate) fn take(&self, now: Instant) -> Option<Id> {
        let mut kept = lock(&self.kept);
        while let Some((run, fetched)) = kept.front_mut() {
            let fresh = now.saturating_duration_since(*fetched) <= self.most_age;
            let id = run.first;
            if fresh {
                run.first = Id::raw(id.get() + 1);
                run.count -= 1;
                self.hits.fetch_add(1, Ordering::Relaxed);
            } else {
                self.expired.fetch_add(u64::from(std::mem::take(&mut run.count)), Ordering::Relaxed);
            }
            if run.count == 0 {
                kept.pop_front();
            }
            if fresh {
                return Some(id);
            }
        }
        None
    }

    /// Keeps what came, but for the first one, which is the caller's.
    pub(crate) fn put(&self, runs: &[Run], asked: Instant) -> Id {
        self.fills.fetch_add(1, Ordering::Relaxed);
        let mut kept = lock(&self.kept);
        kept.clear();
        kept.extend(runs.iter().map(|run| (*run, asked)));
        let id = runs[0].first;
        if let Some((run, _)) = kept.front_mut() {
            run.first = Id::raw(id.get() + 1);
            run.count -= 1;
            if run.count == 0 {
                kept.pop_front();
            }
        }
        id
    }

    pub(crate) fn tell(&self, stats: &mut crate::Stats) {
        stats.prefetch_hits = self.hits.load(Ordering::Relaxed);
        stats.prefetch_expired = self.expired.load(Ordering::Relaxed);
        stats.prefetch_fills = self.fills.load(Ordering::Relaxed);
        stats.count("OK", stats.prefetch_hits);
    }
}
