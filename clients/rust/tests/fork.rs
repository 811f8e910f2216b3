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

/// In a child: its exit code is 7 where that is true.
fn in_a_child(what: impl FnOnce() -> bool) -> bool {
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let code = if what() { 7 } else { 1 };
            unsafe { nix::libc::_exit(code) }
        }
        ForkResult::Parent { child } => waitpid(child, None).unwrap() == WaitStatus::Exited(child, 7),
    }
}

/// From here on the first child is number 1 in a namespace of its own.
fn leave_the_namespace() -> bool {
    unsafe { nix::libc::unshare(nix::libc::CLONE_NEWPID) == 0 }
}

/// As of a container that puts a part of itself into another one.
#[test]
fn a_child_with_its_parents_number_is_a_child() {
    let worker = Worker::start(Duration::ZERO);
    if !in_a_child(leave_the_namespace) {
        eprintln!("skipped: no right to make namespaces");
        return;
    }
    let options = Options { prefetch: 100, prefetch_max_age: Duration::from_secs(60), ..Options::new(&worker.address) };
    assert!(in_a_child(|| {
        leave_the_namespace()
            && in_a_child(|| {
                let client = Client::new(options).unwrap();
                let here = std::process::id();
                client.next().unwrap();
                leave_the_namespace()
                    && in_a_child(|| std::process::id() == here && client.next().err().map(|error| error.code) == Some(Code::Cancelled))
            })
    }));
}
