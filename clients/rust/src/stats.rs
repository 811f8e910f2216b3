use std::collections::BTreeMap;

use crate::errors::Code;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened so far. The names are those of the C library's `struct sf_client_stats`.
        #[derive(Clone, Debug, Default)]
        #[non_exhaustive]
        pub struct Stats {
            /// Calls that ended.
            pub calls: u64,
            /// Calls by the name of their error; "OK": succeeded.
            pub calls_by_error: BTreeMap<&'static str, u64>,
            $($(#[$doc])* pub $name: u64,)*
            /// The last one.
            pub last_protocol_error: String,
            /// Now.
            pub servers: usize,
            /// Now.
            pub servers_usable: usize,
            /// Now.
            pub servers_discovered: usize,
        }

        impl Stats {
            /// The counters, by name.
            pub fn counters(&self) -> Vec<(&'static str, u64)> {
                vec![("calls", self.calls), $((stringify!($name), self.$name),)*]
            }
        }

        #[derive(Default)]
        pub(crate) struct Counters {
            ok: u64,
            failed: [u64; Code::ALL.len()],
            $(pub $name: u64,)*
            pub last_protocol_error: String,
        }

        impl Counters {
            /// Without what the policy knows.
            pub(crate) fn told(&self) -> Stats {
                let mut told = Stats { $($name: self.$name,)* last_protocol_error: self.last_protocol_error.clone(), ..Stats::default() };
                told.count("OK", self.ok);
                for (code, count) in Code::ALL.iter().zip(self.failed) {
                    told.count(code.name(), count);
                }
                told
            }
        }
    };
}

counters! {
    /// IDs handed out.
    ids,
    /// Requests sent for calls.
    attempts,
    /// ... after another one had failed.
    retries,
    /// ... beside another one.
    hedges,
    /// Workers that did not answer in time.
    silences,
    /// Answers that nobody waited for any more.
    late_answers,
    /// Waits because the budget of retries was used up.
    budget_waits,
    /// Connections made.
    connects,
    /// Connections that could not be made.
    connect_failures,
    /// Connections that ended.
    disconnects,
    /// Farewells of workers.
    goaways,
    /// Servers that were left alone from then on.
    breaker_opens,
    /// Requests that ask whether a worker is back.
    probes,
    /// IDs that repeated, went back, or were not above `after`.
    order_errors,
    /// Connections on which nonsense came.
    protocol_errors,
    /// Workers of another fleet.
    wrong_fleet,
    /// IDs handed out that had been fetched ahead.
    prefetch_hits,
    /// Requests that fetched ahead.
    prefetch_fills,
    /// IDs fetched ahead that became too old.
    prefetch_expired,
    /// Names that were looked up.
    resolves,
    /// Names that had no address.
    resolve_failures,
    /// Answers that told of other workers.
    discoveries,
}

impl Stats {
    pub(crate) fn count(&mut self, name: &'static str, calls: u64) {
        if calls > 0 {
            *self.calls_by_error.entry(name).or_default() += calls;
            self.calls += calls;
        }
    }
}

impl Counters {
    /// A call of the program has ended, or one that fetched ahead for it.
    pub(crate) fn ended(&mut self, code: Option<Code>) {
        match code {
            None => self.ok += 1,
            Some(code) => self.failed[code as usize] += 1,
        }
    }
}
