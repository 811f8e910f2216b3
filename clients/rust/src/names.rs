//! Where servers come from: the entries of `Options::servers`, and what workers tell of their fellows.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::json::Value;
use crate::options::{numeric, parse_host_port, DISCOVER_MAX, SERVERS_MAX};
use crate::policy::Breaker;

/// While a name has no address, and between two look-ups, however many connections are lost.
pub(crate) const RESOLVE_MIN: Duration = Duration::from_secs(1);
const LOOK_MIN: Duration = Duration::from_secs(1);

/// An entry of `Options::servers`, or a worker that another worker told of.
pub(crate) struct Name {
    pub id: u32,
    pub host: String,
    pub port: u16,
    pub discovered: bool,
    numeric: Option<IpAddr>,
    pub resolved: bool,
    /// When a worker told of it last.
    listed: Instant,
}

pub(crate) struct Names {
    pub all: Vec<Name>,
    next_id: u32,
    looked: Instant,
    look_at: Instant,
}

impl Names {
    pub(crate) fn new(now: Instant) -> Self {
        Self { all: Vec::new(), next_id: 0, looked: now, look_at: now }
    }
}

impl Engine {
    pub(crate) fn add_name(&mut self, host: String, port: u16, discovered: bool, now: Instant) {
        self.names.next_id += 1;
        let (id, numeric) = (self.names.next_id, numeric(&host));
        self.names.all.push(Name { id, host, port, discovered, numeric, resolved: false, listed: now });
        match numeric {
            Some(address) => self.take_addresses(id, &[SocketAddr::new(address, port)], now),
            None => self.resolve_soon(),
        }
    }

    /// Names that must be looked up: (number, host, port).
    pub(crate) fn to_resolve(&self) -> Vec<(u32, String, u16)> {
        self.names.all.iter().filter(|each| each.numeric.is_none()).map(|each| (each.id, each.host.clone(), each.port)).collect()
    }

    pub(crate) fn needs_resolver(&self) -> bool {
        self.options.discover || self.names.all.iter().any(|each| each.numeric.is_none())
    }

    /// When names are to be looked up again.
    pub(crate) fn resolve_period(&mut self) -> Duration {
        if self.names.all.iter().all(|each| each.numeric.is_some() || each.discovered || each.resolved) {
            self.options.resolve.mul_f64(0.8 + 0.4 * self.policy.random.part())
        } else {
            RESOLVE_MIN
        }
    }

    /// What came of a look-up.
    pub(crate) fn resolved(&mut self, id: u32, found: Result<Vec<SocketAddr>, String>, now: Instant) {
        match found {
            Ok(addresses) => {
                self.stats.resolves += 1;
                self.take_addresses(id, &addresses, now);
                self.run_waiting(now);
            }
            Err(why) => {
                self.stats.resolve_failures += 1;
                let name = self.names.all.iter().find(|each| each.id == id).map(|each| format!("{}:{}", each.host, each.port));
                self.tell(true, &name.unwrap_or_default(), format!("the name has no address: {why}"));
            }
        }
    }

    /// Makes servers of a name's addresses, and forgets those that the name no longer has.
    fn take_addresses(&mut self, id: u32, addresses: &[SocketAddr], now: Instant) {
        let Some(name) = self.names.all.iter_mut().find(|each| each.id == id) else { return };
        name.resolved = true;
        let (host, discovered) = (name.host.clone(), name.discovered);
        let gone: Vec<_> = self.policy.servers.iter().filter(|each| each.name == id && !addresses.contains(&each.at)).map(|each| each.id).collect();
        for server in gone {
            self.remove_server(server);
        }
        for at in addresses {
            if self.policy.servers.len() < SERVERS_MAX && !self.policy.servers.iter().any(|each| each.at == *at) {
                self.policy.add(*at, &host, id, discovered, &self.options, now);
            }
        }
    }

    fn remove_server(&mut self, id: u32) {
        let Some(at) = self.policy.servers.iter().position(|each| each.id == id) else { return };
        let server = self.policy.servers.remove(at);
        if let Some(conn) = server.conn {
            self.retire(conn);
        }
    }

    /// Is it time to ask a worker who is there?
    pub(crate) fn look_due(&mut self, now: Instant) -> bool {
        if !self.options.discover || now < self.names.look_at {
            return false;
        }
        self.names.looked = now;
        self.names.look_at = now + self.options.discover_every.mul_f64(0.8 + 0.4 * self.policy.random.part());
        true
    }

    /// The fleet may have changed.
    pub(crate) fn look_soon(&mut self, now: Instant) {
        let at = now.max(self.names.looked + LOOK_MIN) + self.policy.random.of(LOOK_MIN);
        self.names.look_at = self.names.look_at.min(at);
    }

    /// What a worker tells of its fellows adds servers, and takes away only those that nobody has told of for a while and that do not answer.
    pub(crate) fn told_workers(&mut self, workers: &[Value], now: Instant) {
        if !self.options.discover {
            return;
        }
        self.stats.discoveries += 1;
        for (host, port) in workers.iter().filter_map(|each| parse_host_port(each.text()?, None)) {
            if let Some(name) = self.names.all.iter_mut().find(|each| each.host == host && each.port == port) {
                name.listed = now;
            } else if self.names.all.iter().filter(|each| each.discovered).count() < DISCOVER_MAX {
                self.add_name(host, port, true, now);
            }
        }
        let old = |name: &Name| name.discovered && now.duration_since(name.listed) >= self.options.discover_every;
        let answers = |name: &Name| self.policy.servers.iter().any(|each| each.name == name.id && each.state == Breaker::Closed);
        let gone: Vec<_> = self.names.all.iter().filter(|each| old(each) && !answers(each)).map(|each| each.id).collect();
        for id in gone {
            let servers: Vec<_> = self.policy.servers.iter().filter(|each| each.name == id).map(|each| each.id).collect();
            for server in servers {
                self.remove_server(server);
            }
            self.names.all.retain(|each| each.id != id);
        }
    }
}
