//! Unique, time-ordered 64-bit IDs from a fleet of Snowfleet workers, as if it were one service that does not fail.
//!
//! ```no_run
//! # fn main() -> Result<(), snowfleet::Error> {
//! let client = snowfleet::Client::new(snowfleet::Options::new("ids-0:7450,ids-1:7450"))?;
//! println!("{}", client.next()?);
//! # Ok(())
//! # }
//! ```
//!
//! [`Client`] is for threads, `AsyncClient` (feature `tokio`) for tasks. Other features: `tls` (rustls), `serde` (an ID as a string), `log`.

mod answer;
mod attempt;
mod blocking;
mod conn;
mod engine;
mod errors;
mod frames;
mod host;
mod id;
mod json;
mod names;
mod options;
mod policy;
mod prefetch;
mod process;
mod slot;
mod stats;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
#[cfg(feature = "tokio")]
mod tokio;

pub use blocking::{Client, Request};
pub use errors::{Code, Error};
pub use frames::Run;
pub use id::{Id, Layout, Parts};
pub use options::{Event, Log, Options, COUNT_MAX, PREFETCH_MAX};
pub use slot::Reply;
pub use stats::Stats;

#[cfg(feature = "tokio")]
pub use crate::tokio::AsyncClient;
