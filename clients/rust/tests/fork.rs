//! A child of a fork gets none of the parent's IDs.
#![allow(unsafe_code)]

mod common;

use std::time::Duration;

use common::Worker;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, ForkResult};
use snowfleet::{Client, Code, Options};

#[test]
fn the_child_is_told_to_make_its_own() {
    let worker = Worker::start(Duration::ZERO);
    let client = Client::new(Options { prefetch: 100, prefetch_max_age: Duration::from_secs(60), ..Options::new(&worker.address) }).unwrap();
    client.next().unwrap();
    // The child calls nothing but the client, which takes no lock there.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let told = client.next().err().map(|error| error.code) == Some(Code::Cancelled);
            unsafe { nix::libc::_exit(if told { 7 } else { 1 }) }
        }
        ForkResult::Parent { child } => assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 7)),
    }
    client.next().unwrap();
}
