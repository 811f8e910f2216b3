//! Speed against one worker, in turns with a bare socket loop; one JSON object. tests/bench/clients.py starts it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use snowfleet::{AsyncClient, Client, Options};

const SECOND: Duration = Duration::from_secs(1);
const ONE: [u8; 16] = [0, 0, 0, 12, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];

fn median(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64() * 1e6
}

fn timed(to: &mut Vec<Duration>, mut what: impl FnMut()) {
    for _ in 0..500 {
        let begin = Instant::now();
        what();
        to.push(begin.elapsed());
    }
}

fn threads(client: &Client, callers: usize) -> f64 {
    let (done, end) = (AtomicU64::new(0), Instant::now() + SECOND);
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                let mut mine = 0;
                while mine % 16 != 0 || Instant::now() < end {
                    client.next().expect("no ID");
                    mine += 1;
                }
                done.fetch_add(mine, Ordering::Relaxed);
            });
        }
    });
    done.into_inner() as f64
}

async fn tasks(client: &Arc<AsyncClient>, callers: usize) -> f64 {
    let (done, end) = (Arc::new(AtomicU64::new(0)), Instant::now() + SECOND);
    let all: Vec<_> = (0..callers)
        .map(|_| {
            let (client, done) = (client.clone(), done.clone());
            tokio::spawn(async move {
                let mut mine = 0;
                while mine % 16 != 0 || Instant::now() < end {
                    client.next().await.expect("no ID");
                    mine += 1;
                }
                done.fetch_add(mine, Ordering::Relaxed);
            })
        })
        .collect();
    for each in all {
        each.await.expect("a task panicked");
    }
    done.load(Ordering::Relaxed) as f64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: bench HOST:PORT")?;
    let client = Client::new(Options::new(&address))?;
    client.next()?;
    let mut bare = TcpStream::connect(&address)?;
    bare.set_nodelay(true)?;
    let (mut theirs, mut own, mut answer) = (Vec::new(), Vec::new(), [0; 24]);
    for _ in 0..20 {
        timed(&mut theirs, || {
            bare.write_all(&ONE).expect("the worker has gone");
            bare.read_exact(&mut answer).expect("the worker has gone");
        });
        timed(&mut own, || {
            client.next().expect("no ID");
        });
    }
    let (one, many) = (threads(&client, 1), threads(&client, 64));
    let ahead = Client::new(Options { prefetch: 1000, ..Options::new(&address) })?;
    let prefetched = threads(&ahead, 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (one_task, many_tasks) = runtime.block_on(async {
        let client = Arc::new(AsyncClient::new(Options::new(&address))?);
        Ok::<_, snowfleet::Error>((tasks(&client, 1).await, tasks(&client, 64).await))
    })?;
    println!(
        "{}",
        serde_json::json!({"bare_us": median(theirs), "client_us": median(own), "one_per_s": one, "many_per_s": many, "prefetch_per_s": prefetched,
            "tasks_one_per_s": one_task, "tasks_many_per_s": many_tasks})
    );
    Ok(())
}
