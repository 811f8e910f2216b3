//! The driver of the common suite (docs/clients.md): one JSON object a line on stdin, one a line on stdout. With `tokio` as its argument it drives the
//! client for tasks.

use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{json, Map, Value};
use snowfleet::{AsyncClient, Client, Error, Id, Options, Request, Stats, COUNT_MAX};
use tokio::runtime::Runtime;

type Object = Map<String, Value>;
type Answer = Result<Object, (&'static str, String)>;

/// A client of either kind.
enum Any {
    Threads(Client),
    Tasks(Arc<Runtime>, Arc<AsyncClient>),
}

impl Any {
    fn one(&self) -> Result<Id, Error> {
        match self {
            Any::Threads(client) => client.next(),
            Any::Tasks(runtime, client) => runtime.block_on(client.next()),
        }
    }

    fn ask(&self, count: u32, after: Option<Id>) -> Result<Vec<Id>, Error> {
        let request = Request { after, ..Request::default() };
        match self {
            Any::Threads(client) => client.ask(count, request),
            Any::Tasks(runtime, client) => runtime.block_on(client.ask(count, request)),
        }
        .map(|reply| reply.ids())
    }

    fn stats(&self) -> Stats {
        match self {
            Any::Threads(client) => client.stats(),
            Any::Tasks(_, client) => client.stats(),
        }
    }
}

fn invalid(detail: impl Into<String>) -> (&'static str, String) {
    ("INVALID", detail.into())
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn failed(error: Error) -> (&'static str, String) {
    (error.code.name(), error.detail)
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(members) => members,
        _ => Object::new(),
    }
}

/// Options by their names in C: times are milliseconds there.
fn option(options: &mut Options, name: &str, value: &Value) -> Result<(), (&'static str, String)> {
    let number = || value.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(|| invalid(format!("{name}: a whole number is wanted")));
    let ms = || number().map(|n| Duration::from_millis(u64::from(n)));
    let truth = || value.as_bool().ok_or_else(|| invalid(format!("{name}: true or false is wanted")));
    let text = || value.as_str().map(str::to_string).ok_or_else(|| invalid(format!("{name}: a text is wanted")));
    match name {
        "n" | "op" => {}
        "servers" => options.servers = text()?,
        "timeout_ms" | "deadline_ms" => options.timeout = ms()?,
        "attempt_timeout_ms" => options.attempt_timeout = ms()?,
        "connect_timeout_ms" => options.connect_timeout = ms()?,
        "hedge_ms" => options.hedge = ms()?,
        "hedge_percentile" => options.hedge_percentile = number()?,
        "pool" => drop(number()?), // of the C library alone; here callers share connections
        "resolve_ms" => options.resolve = ms()?,
        "discover" => options.discover = truth()?,
        "discover_ms" => options.discover_every = ms()?,
        "retry_budget_percent" => options.retry_budget_percent = number()?,
        "retry_budget_max" => options.retry_budget_max = number()?,
        "backoff_min_ms" => options.backoff_min = ms()?,
        "backoff_max_ms" => options.backoff_max = ms()?,
        "breaker_failures" => options.breaker_failures = number()?,
        "breaker_open_min_ms" => options.breaker_open_min = ms()?,
        "breaker_open_max_ms" => options.breaker_open_max = ms()?,
        "breaker_idle_ms" => options.breaker_idle = ms()?,
        "prefetch" => options.prefetch = number()?,
        "prefetch_max_age_ms" => options.prefetch_max_age = ms()?,
        "causal" => options.causal = truth()?,
        "tls" => options.tls = truth()?,
        "tls_ca" => options.tls_ca = Some(text()?),
        "tls_cert" => options.tls_cert = Some(text()?),
        "tls_key" => options.tls_key = Some(text()?),
        "tls_server_name" => options.tls_server_name = Some(text()?),
        "token" => options.token = Some(text()?),
        _ => return Err(invalid(format!("{name}: there is no such option"))),
    }
    Ok(())
}

fn open(request: &Object, runtime: Option<&Arc<Runtime>>) -> Result<Any, (&'static str, String)> {
    let mut options = Options::default();
    for (name, value) in request {
        option(&mut options, name, value)?;
    }
    match runtime {
        None => Client::new(options).map(Any::Threads).map_err(failed),
        Some(runtime) => {
            let _inside = runtime.enter();
            let client = AsyncClient::new(options).map_err(failed)?;
            Ok(Any::Tasks(runtime.clone(), Arc::new(client)))
        }
    }
}

fn count(request: &Object) -> Result<u32, (&'static str, String)> {
    let wrong = || invalid(format!("count: 1 to {COUNT_MAX} are allowed"));
    let Some(value) = request.get("count") else { return Ok(1) };
    value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=COUNT_MAX).contains(n)).ok_or_else(wrong)
}

fn id(request: &Object, name: &str) -> Result<Id, (&'static str, String)> {
    let told = request.get(name).and_then(Value::as_str).and_then(|text| text.parse().ok());
    told.ok_or_else(|| invalid(format!("{name}: an ID as a decimal string is wanted")))
}

/// As a program would: the short form where nothing but one ID is asked for, so that prefetch is used.
fn call(client: &Any, count: u32, after: Option<Id>) -> Result<Vec<Id>, Error> {
    if count == 1 && after.is_none() {
        return client.one().map(|id| vec![id]);
    }
    client.ask(count, after)
}

fn next(client: &Any, request: &Object) -> Answer {
    let after = if request.contains_key("after") { Some(id(request, "after")?) } else { None };
    let ids = call(client, count(request)?, after).map_err(failed)?;
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    Ok(object(json!({ "ids": ids })))
}

struct Load {
    left: u64,
    until: Option<Instant>,
    calls: u64,
    ids: u64,
    failed: u64,
    longest: Duration,
    detail: String,
    file: Option<BufWriter<File>>,
    wrong: Option<std::io::Error>,
}

impl Load {
    fn may(&mut self) -> bool {
        let may = self.left > 0 && self.until.is_none_or(|at| Instant::now() < at);
        self.left -= u64::from(may);
        may
    }

    fn note(&mut self, result: Result<Vec<Id>, Error>, took: Duration) {
        self.calls += 1;
        self.longest = self.longest.max(took);
        match result {
            Ok(ids) => {
                self.ids += ids.len() as u64;
                if let Some(file) = &mut self.file {
                    for id in ids {
                        self.wrong = file.write_all(&id.get().to_be_bytes()).err().or(self.wrong.take());
                    }
                }
            }
            Err(error) => {
                self.failed += 1;
                self.detail = error.to_string();
            }
        }
    }
}

fn told(load: &Mutex<Load>) -> std::sync::MutexGuard<'_, Load> {
    load.lock().expect("a caller panicked")
}

fn run(client: &Any, load: &Arc<Mutex<Load>>, callers: u64, count: u32) {
    match client {
        Any::Threads(_) => std::thread::scope(|scope| {
            for _ in 0..callers {
                scope.spawn(|| {
                    while told(load).may() {
                        let begin = Instant::now();
                        let result = call(client, count, None);
                        told(load).note(result, begin.elapsed());
                    }
                });
            }
        }),
        Any::Tasks(runtime, client) => runtime.block_on(async {
            let mut tasks = Vec::new();
            for _ in 0..callers {
                let (client, load) = (client.clone(), load.clone());
                tasks.push(tokio::spawn(async move {
                    while told(&load).may() {
                        let begin = Instant::now();
                        let result = if count == 1 { client.next().await.map(|id| vec![id]) } else { client.next_many(count).await };
                        told(&load).note(result, begin.elapsed());
                    }
                }));
            }
            for task in tasks {
                task.await.expect("a caller panicked");
            }
        }),
    }
}

fn load(client: &Any, request: &Object) -> Answer {
    let whole = |name: &str| request.get(name).map(|value| value.as_u64().ok_or_else(|| invalid(format!("{name}: a whole number is wanted"))));
    let callers = whole("callers").transpose()?.unwrap_or(1);
    let calls = whole("calls").transpose()?;
    let seconds = request.get("seconds").and_then(Value::as_f64).filter(|seconds| (0.0..1e6).contains(seconds));
    if !(1..=1024).contains(&callers) || (calls.is_none() && seconds.is_none()) {
        return Err(invalid("callers: 1 to 1024 are allowed; seconds or calls is wanted"));
    }
    let count = count(request)?;
    let file = match request.get("file").and_then(Value::as_str) {
        Some(path) => Some(BufWriter::with_capacity(1 << 16, File::create(path).map_err(|why| invalid(format!("file: {why}")))?)),
        None => None,
    };
    let before = client.stats().order_errors;
    let load = Arc::new(Mutex::new(Load {
        left: calls.unwrap_or(u64::MAX),
        until: seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds)),
        calls: 0,
        ids: 0,
        failed: 0,
        longest: Duration::ZERO,
        detail: String::new(),
        file,
        wrong: None,
    }));
    run(client, &load, callers, count);
    let mut load = told(&load);
    let flushed = load.file.take().map_or(Ok(()), |mut file| file.flush());
    if let Some(why) = load.wrong.take().or(flushed.err()) {
        return Err(("INTERNAL", format!("file: {why}")));
    }
    Ok(object(json!({
        "calls": load.calls, "ids": load.ids, "failed": load.failed, "longest_ms": load.longest.as_secs_f64() * 1e3,
        "order_errors": client.stats().order_errors - before, "detail": load.detail,
    })))
}

fn decode(client: &Any, request: &Object) -> Answer {
    let id = id(request, "id")?;
    let parts = match client {
        Any::Threads(client) => client.decode(id),
        Any::Tasks(runtime, client) => runtime.block_on(client.decode(id)),
    }
    .map_err(failed)?;
    Ok(object(json!({
        "unix_ms": parts.unix_ms, "datacenter": parts.datacenter, "worker": parts.worker, "sequence": parts.sequence, "base32": id.to_base32(),
    })))
}

fn stats(client: &Any) -> Object {
    let stats = client.stats();
    let mut answer: Object = stats.counters().into_iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    answer.insert("calls_by_error".into(), json!(stats.calls_by_error));
    answer.insert("last_protocol_error".into(), json!(stats.last_protocol_error));
    answer.insert("servers".into(), json!(stats.servers));
    answer.insert("servers_usable".into(), json!(stats.servers_usable));
    answer.insert("servers_discovered".into(), json!(stats.servers_discovered));
    answer
}

fn perform(client: &mut Option<Any>, request: &Object, runtime: Option<&Arc<Runtime>>) -> Answer {
    let Some(op) = request.get("op").and_then(Value::as_str) else { return Err(invalid("no JSON object with an op")) };
    if op == "open" {
        if client.is_some() {
            return Err(invalid("a client is open already"));
        }
        *client = Some(open(request, runtime)?);
        return Ok(Object::new());
    }
    let Some(open) = client else { return Err(invalid("no client is open")) };
    match op {
        "next" => next(open, request),
        "load" => load(open, request),
        "decode" => decode(open, request),
        "stats" => Ok(stats(open)),
        "close" => {
            *client = None;
            Ok(Object::new())
        }
        _ => Err(invalid("op: open, next, load, decode, stats and close are known")),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tasks = std::env::args().nth(1).is_some_and(|kind| kind == "tokio");
    let runtime = if tasks { Some(Arc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)) } else { None };
    let mut client = None;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let request = object(serde_json::from_str(&line?).unwrap_or_default());
        let mut answer = match perform(&mut client, &request, runtime.as_ref()) {
            Ok(mut answer) => {
                answer.insert("ok".into(), json!(true));
                answer
            }
            Err((error, detail)) => object(json!({ "ok": false, "error": error, "detail": detail })),
        };
        if let Some(n) = request.get("n") {
            answer.insert("n".into(), n.clone());
        }
        writeln!(out, "{}", Value::Object(answer))?;
        out.flush()?;
    }
    Ok(())
}
