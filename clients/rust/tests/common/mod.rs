//! A small server: what the common suite (tests/clients) plays is not played again here, but what only Rust has.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct Worker {
    pub address: String,
    pub asked: AtomicU64,
    pub silent: AtomicBool,
    last: Mutex<u64>,
    slow: Duration,
}

impl Worker {
    pub fn start(slow: Duration) -> Arc<Worker> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let worker = Arc::new(Worker { address, asked: AtomicU64::new(0), silent: AtomicBool::new(false), last: Mutex::new(0), slow });
        let mine = worker.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mine = mine.clone();
                std::thread::spawn(move || mine.serve(stream.unwrap()));
            }
        });
        worker
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let mut head = [0; 12];
            stream.read_exact(&mut head).ok()?;
            let mut body = vec![0; u32::from_be_bytes(head[..4].try_into().unwrap()) as usize - 8];
            stream.read_exact(&mut body).ok()?;
            let mut answer =
                br#"{"fleet_id":"f","epoch_ms":0,"max_batch":65536,"layout":{"timestamp":41,"datacenter":5,"worker":5,"sequence":12}}"#.to_vec();
            if head[5] == 1 {
                self.asked.fetch_add(1, Ordering::SeqCst);
                if self.silent.load(Ordering::SeqCst) {
                    continue;
                }
                std::thread::sleep(self.slow);
                let count = u32::from_be_bytes(body[..4].try_into().unwrap());
                let mut last = self.last.lock().unwrap();
                answer = (*last + 1).to_be_bytes().to_vec();
                answer.extend(count.to_be_bytes());
                *last += u64::from(count);
            }
            let mut frame = (8 + answer.len() as u32).to_be_bytes().to_vec();
            frame.extend([1, head[5] | 0x80, 0, 0]);
            frame.extend(&head[8..]);
            frame.extend(answer);
            stream.write_all(&frame).ok()?;
        }
    }
}
