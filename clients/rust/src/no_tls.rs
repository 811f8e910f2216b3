//! What stands for TLS in a build without it.

use crate::errors::Error;
use crate::options::Options;

#[derive(Clone)]
pub(crate) enum Config {}

#[allow(clippy::unnecessary_wraps)] // as tls.rs has it
pub(crate) fn config(_: &Options) -> Result<Option<Config>, Error> {
    Ok(None)
}

pub(crate) struct Session(Config);

impl Session {
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn new(config: &Config, _: &str) -> Result<Session, String> {
        match *config {}
    }

    pub(crate) fn shaking(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn receive(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<(), String> {
        match self.0 {}
    }

    pub(crate) fn send(&mut self, _: &[u8]) -> Result<(), String> {
        match self.0 {}
    }

    pub(crate) fn flush(&mut self, _: &mut Vec<u8>) {
        match self.0 {}
    }
}
