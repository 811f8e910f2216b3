//! The client for tasks.
#![cfg(feature = "tokio")]

mod common;

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Worker;
use snowfleet::{AsyncClient, Code, Options};

const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn many_tasks_share_requests() {
    let worker = Worker::start(MS);
    let client = Arc::new(AsyncClient::new(Options::new(&worker.address)).unwrap());
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    client.next().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(client.stats().ids, 64 * 50);
    assert!(worker.asked.load(Ordering::SeqCst) * 4 <= 64 * 50);
}

#[tokio::test]
async fn a_dropped_future_is_a_cancelled_call() {
    let worker = Worker::start(Duration::ZERO);
    worker.silent.store(true, Ordering::SeqCst);
    let client = AsyncClient::new(Options { timeout: 20_000 * MS, ..Options::new(&worker.address) }).unwrap();
    assert!(tokio::time::timeout(60 * MS, client.next()).await.is_err());
    assert_eq!(client.stats().calls_by_error.get("CANCELLED"), Some(&1));
    let begin = Instant::now();
    let (told, ()) = tokio::join!(client.next(), async {
        tokio::time::sleep(50 * MS).await;
        client.close();
    });
    assert_eq!(told.unwrap_err().code, Code::Cancelled);
    assert!(begin.elapsed() < 10_000 * MS);
}

#[test]
fn made_outside_of_a_runtime_it_says_so() {
    assert_eq!(AsyncClient::new(Options::new("127.0.0.1:1")).err().map(|error| error.code), Some(Code::Invalid));
}
