//! The client for threads.

mod common;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::Worker;
use snowfleet::{Client, Code, Options, Request};

const MS: Duration = Duration::from_millis(1);

#[test]
fn many_callers_share_requests() {
    let worker = Worker::start(MS);
    let client = Client::new(Options::new(&worker.address)).unwrap();
    let seen = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for caller in 0..64u32 {
            let (client, seen) = (&client, &seen);
            scope.spawn(move || {
                for _ in 0..50 {
                    let ids = client.next_many(1 + caller % 3).unwrap();
                    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
                    let mut seen = seen.lock().unwrap();
                    assert!(ids.iter().all(|id| seen.insert(*id)), "an ID came twice");
                }
            });
        }
    });
    let stats = client.stats();
    assert_eq!((stats.calls, stats.ids), (64 * 50, seen.lock().unwrap().len() as u64));
    assert!(worker.asked.load(Ordering::SeqCst) * 4 <= 64 * 50);
}

#[test]
fn deadline_and_close() {
    let worker = Worker::start(Duration::ZERO);
    worker.silent.store(true, Ordering::SeqCst);
    let client = Arc::new(Client::new(Options { timeout: 20_000 * MS, ..Options::new(&worker.address) }).unwrap());
    let begin = Instant::now();
    let error = client.ask(1, Request { timeout: Some(80 * MS), ..Request::default() }).unwrap_err();
    assert_eq!((error.code, error.code.name()), (Code::Timeout, "TIMEOUT"));
    assert!(error.attempts > 0 && begin.elapsed() < 5000 * MS, "{error}");
    let mine = client.clone();
    let caller = std::thread::spawn(move || mine.next());
    std::thread::sleep(50 * MS);
    client.close();
    assert_eq!(caller.join().unwrap().unwrap_err().code, Code::Cancelled);
    assert_eq!(client.next().unwrap_err().code, Code::Cancelled);
    assert!(begin.elapsed() < 10_000 * MS);
}

#[test]
fn a_client_that_is_dropped_leaves_no_thread() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
    let ours = || threads().filter(|name| name.as_ref().is_ok_and(|name| name.starts_with("snowfleet-names"))).count();
    let worker = Worker::start(Duration::ZERO);
    let servers = worker.address.replace("127.0.0.1", "localhost");
    let client = Client::new(Options { discover: true, ..Options::new(servers) }).unwrap();
    client.next().unwrap();
    assert!(ours() >= 1);
    drop(client);
    let end = Instant::now() + 20_000 * MS;
    while ours() > 0 {
        assert!(Instant::now() < end);
        std::thread::sleep(10 * MS);
    }
}

#[test]
fn fetched_ahead_once() {
    let worker = Worker::start(Duration::ZERO);
    let client = Client::new(Options { prefetch: 100, prefetch_max_age: 60_000 * MS, ..Options::new(&worker.address) }).unwrap();
    let seen = Mutex::new(HashSet::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    assert!(seen.lock().unwrap().insert(client.next().unwrap()));
                }
            });
        }
    });
    assert_eq!(worker.asked.load(Ordering::SeqCst), 40);
}

#[test]
fn told_of_what_happens() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let mine = events.clone();
    let log: snowfleet::Log = Arc::new(move |event| mine.lock().unwrap().push(event.clone()));
    let client = Client::new(Options { timeout: 100 * MS, log: Some(log), ..Options::new("127.0.0.1:1") }).unwrap();
    assert_eq!(client.next().unwrap_err().code, Code::Unreachable);
    let events = events.lock().unwrap();
    assert!(events[0].warning && events[0].server == "127.0.0.1:1");
}
