//! Frames of the protocol (docs/protocol.md).

use crate::id::Id;

pub(crate) const HEADER: usize = 12;
pub(crate) const LENGTH_MIN: u32 = 8;
pub(crate) const LENGTH_MAX: u32 = 65536;

pub(crate) const NEXT: u8 = 0x01;
pub(crate) const INFO: u8 = 0x03;
pub(crate) const AUTH: u8 = 0x05;
pub(crate) const ANSWER: u8 = 0x80;
pub(crate) const ERROR: u8 = 0xBF;
pub(crate) const GOAWAY: u8 = 0xC0;
const AFTER: u16 = 1;

/// The IDs `first`, `first + 1`, ... `first + count - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first one.
    pub first: Id,
    /// How many there are.
    pub count: u32,
}

impl Run {
    pub(crate) fn last(&self) -> u64 {
        self.first.get() + u64::from(self.count) - 1
    }
}

pub(crate) struct Header {
    pub version: u8,
    pub kind: u8,
    pub code: u16,
    pub request: u32,
}

fn be32(raw: &[u8]) -> u32 {
    u32::from_be_bytes([raw[0], raw[1], raw[2], raw[3]])
}

fn be64(raw: &[u8]) -> u64 {
    u64::from(be32(raw)) << 32 | u64::from(be32(&raw[4..]))
}

/// Of at least `HEADER` bytes.
pub(crate) fn header(raw: &[u8]) -> Header {
    Header { version: raw[4], kind: raw[5], code: u16::from_be_bytes([raw[6], raw[7]]), request: be32(&raw[8..]) }
}

pub(crate) fn put(to: &mut Vec<u8>, kind: u8, code: u16, request: u32, body: &[u8]) {
    to.extend_from_slice(&(LENGTH_MIN + body.len() as u32).to_be_bytes());
    to.extend_from_slice(&[1, kind]);
    to.extend_from_slice(&code.to_be_bytes());
    to.extend_from_slice(&request.to_be_bytes());
    to.extend_from_slice(body);
}

pub(crate) fn put_next(to: &mut Vec<u8>, request: u32, count: u32, after: Option<u64>) {
    let mut body = [0; 12];
    body[..4].copy_from_slice(&count.to_be_bytes());
    body[4..].copy_from_slice(&after.unwrap_or(0).to_be_bytes());
    let size = if after.is_some() { 12 } else { 4 };
    put(to, NEXT, if after.is_some() { AFTER } else { 0 }, request, &body[..size]);
}

/// Everything that docs/protocol.md has a client check of an answer to NEXT.
pub(crate) fn runs(body: &[u8], count: u32) -> Option<Vec<Run>> {
    if body.is_empty() || body.len() % 12 != 0 {
        return None;
    }
    let (mut found, mut total, mut last) = (Vec::with_capacity(body.len() / 12), 0u64, 0u64);
    for raw in body.chunks_exact(12) {
        let (first, n) = (be64(raw), be32(&raw[8..]));
        if n == 0 || first > Id::MAX.get() || u64::from(n - 1) > Id::MAX.get() - first {
            return None;
        }
        if !found.is_empty() && first <= last {
            return None;
        }
        let run = Run { first: Id::raw(first), count: n };
        last = run.last();
        total += u64::from(n);
        found.push(run);
    }
    (total == u64::from(count)).then_some(found)
}

/// Of an error answer: (milliseconds to wait, what was said).
pub(crate) fn refusal(body: &[u8]) -> Option<(u32, String)> {
    if body.len() < 4 {
        return None;
    }
    let reason = String::from_utf8_lossy(&body[4..]).chars().take(150).collect();
    Some((be32(body), reason))
}

pub(crate) const OK: u16 = 0;
pub(crate) const BAD_REQUEST: u16 = 1;
pub(crate) const UNSUPPORTED: u16 = 2;
pub(crate) const TOO_LARGE: u16 = 3;
pub(crate) const DENIED: u16 = 9;

pub(crate) fn status_name(status: u16) -> String {
    const NAMES: [&str; 12] = [
        "OK",
        "BAD_REQUEST",
        "UNSUPPORTED",
        "TOO_LARGE",
        "NOT_READY",
        "CLOCK",
        "OVERLOADED",
        "RATE_LIMITED",
        "DRAINING",
        "DENIED",
        "CAUSALITY",
        "INTERNAL",
    ];
    NAMES.get(usize::from(status)).map_or_else(|| format!("status {status}"), |name| (*name).to_string())
}
