package io.snowfleet.client;

import io.snowfleet.client.Call.Attempt;
import io.snowfleet.client.Conn.Kind;
import io.snowfleet.client.Conn.Request;
import io.snowfleet.client.Frames.Run;
import io.snowfleet.client.Policy.Outcome;
import io.snowfleet.client.Server.Breaker;
import io.snowfleet.client.SnowfleetException.Code;
import io.snowfleet.client.SnowfleetId.Layout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;

/** What happens to calls: a server is chosen and asked, asked again or beside another, and the call ends. Its own monitor is the lock of everything. */
final class Engine {
    static final System.Logger LOG = System.getLogger("io.snowfleet.client");
    private static final int ATTEMPTS_MAX = 8; // requests of one call that may wait for an answer at a time
    private static final int AFTER_LOSS = 4; // the part of the attempt timeout that a worker has alone once another one was silent or lost

    private record Verdict(Outcome outcome, Code code, boolean another) {}

    private static final Verdict[] VERDICTS = {
        null,
        new Verdict(Outcome.FINE, Code.REFUSED, false), new Verdict(Outcome.FINE, Code.REFUSED, false), new Verdict(Outcome.FINE, Code.REFUSED, false),
        new Verdict(Outcome.UNUSABLE, Code.NOT_READY, true), new Verdict(Outcome.UNUSABLE, Code.CLOCK, true),
        new Verdict(Outcome.FULL, Code.OVERLOADED, true), new Verdict(Outcome.FINE, Code.RATE_LIMITED, false),
        new Verdict(Outcome.UNUSABLE, Code.DRAINING, true), new Verdict(Outcome.FINE, Code.DENIED, false),
        new Verdict(Outcome.FINE, Code.CAUSALITY, false), new Verdict(Outcome.FAULT, Code.INTERNAL, true)};

    private static final String[] COUNTERS = {
        "calls", "ids", "attempts", "retries", "hedges", "silences", "late_answers", "budget_waits", "connects", "connect_failures", "disconnects", "goaways",
        "probes", "order_errors", "protocol_errors", "wrong_fleet", "prefetch_hits", "prefetch_fills", "prefetch_expired", "resolves", "resolve_failures",
        "discoveries"};

    final Options options;
    final SSLContext tls;
    final byte[] token;
    final Policy policy;
    final Names names;
    volatile Layout layout;
    volatile boolean closed;
    String lastProtocolError = "";
    private String fleetId = "";
    private long causalId; // 0: none yet
    private final Map<String, long[]> stats = new LinkedHashMap<>();
    private final Map<String, Long> callsByError = new LinkedHashMap<>();
    private final Set<Call> calls = new LinkedHashSet<>();
    private final Set<Conn> conns = new HashSet<>();
    private final Set<Conn> touched = new LinkedHashSet<>();
    private final ArrayDeque<Runnable> soon = new ArrayDeque<>();
    private final List<Call> withTimer = new ArrayList<>();
    private final ScheduledThreadPoolExecutor timers;
    private long tickAt = Long.MAX_VALUE;
    private Deferred deferred; // of the thread that holds the lock, where it does that

    Engine(Options given) {
        options = given.checked();
        List<Options.HostPort> entries = options.parseServers();
        tls = options.tlsContext();
        token = options.token == null ? null : options.token.getBytes(StandardCharsets.UTF_8);
        for (String name : COUNTERS) {
            stats.put(name, new long[1]);
        }
        policy = new Policy(options);
        timers = new ScheduledThreadPoolExecutor(1, task -> {
            Thread thread = new Thread(task, "snowfleet-timer");
            thread.setDaemon(true);
            return thread;
        });
        timers.setRemoveOnCancelPolicy(true);
        names = new Names(this, entries);
    }

    // --- the machinery ---

    synchronized void count(String name) {
        stats.get(name)[0]++;
    }

    void add(String name, long n) {
        stats.get(name)[0] += n;
    }

    /** Is done before the lock is given away. */
    void soon(Runnable what) {
        soon.add(what);
    }

    /** Everybody who held the lock and may have left something to do ends with this. */
    void runSoon() {
        while (!soon.isEmpty() || !touched.isEmpty()) {
            for (Runnable what = soon.poll(); what != null; what = soon.poll()) {
                what.run();
            }
            List<Conn> dirty = List.copyOf(touched);
            touched.clear();
            dirty.forEach(Conn::flush);
        }
    }

    private void touch(Conn conn) {
        touched.add(conn);
    }

    /** Under the lock, after this time. */
    void later(long ns, Runnable what) {
        if (!closed) {
            timers.schedule(() -> {
                synchronized (this) {
                    what.run();
                    runSoon();
                }
            }, ns, TimeUnit.NANOSECONDS);
        }
    }

    /** Wakes the call then. One timer serves all calls; it is set anew only when it would tick too late. */
    private void arm(Call call, long when) {
        call.wake = Math.min(when, call.deadline);
        if (!call.armed) {
            call.armed = true;
            withTimer.add(call);
        }
        setTimer(call.wake);
    }

    private void setTimer(long when) {
        if (when < tickAt) {
            tickAt = when;
            later(Math.max(0, when - System.nanoTime()), () -> tick(when));
        }
    }

    private void tick(long at) {
        if (at != tickAt) {
            return; // another one comes earlier, or came
        }
        tickAt = Long.MAX_VALUE;
        long now = System.nanoTime();
        List<Call> due = new ArrayList<>();
        long next = Long.MAX_VALUE;
        int kept = 0;
        for (int i = 0; i < withTimer.size(); i++) {
            Call call = withTimer.get(i);
            if (call.done) {
                continue;
            }
            if (call.wake <= now) {
                call.armed = false;
                due.add(call);
            } else {
                next = Math.min(next, call.wake);
                withTimer.set(kept++, call);
            }
        }
        withTimer.subList(kept, withTimer.size()).clear();
        if (next < Long.MAX_VALUE) {
            setTimer(next);
        }
        for (Call call : due) {
            if (!call.done) {
                onTimer(call, now);
            }
        }
    }

    // --- a call ---

    void start(Call call) {
        deferring(() -> {
            if (closed) {
                call.detail = "the client is closed";
                finish(call, Code.CANCELLED);
                return;
            }
            policy.callBegins();
            calls.add(call);
            attempt(call, System.nanoTime());
        });
    }

    /** Does it under the lock, and without the lock what then is to be written, and to be told to those that wait. */
    void deferring(Runnable what) {
        Deferred mine = new Deferred();
        synchronized (this) {
            Deferred outer = deferred; // this thread may hold the lock already
            deferred = mine;
            try {
                what.run();
                runSoon();
            } finally {
                deferred = outer;
            }
        }
        mine.perform();
    }

    /** Where the bytes are to be written later, they are noted. */
    boolean defers(Conn conn, byte[] bytes) {
        if (deferred != null) {
            deferred.write(conn, bytes);
        }
        return deferred != null;
    }

    private void complete(Runnable what) {
        if (deferred != null) {
            deferred.end(what);
        } else {
            what.run();
        }
    }

    synchronized void cancel(Call call) {
        if (!call.done) {
            call.detail = "the future was cancelled";
            finish(call, Code.CANCELLED);
        }
    }

    void close() {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            for (Call call : List.copyOf(calls)) {
                call.detail = "the client was closed";
                finish(call, Code.CANCELLED);
            }
            for (Conn conn : List.copyOf(conns)) {
                conn.end(Outcome.LOST, "the client was closed", Code.UNREACHABLE);
            }
            runSoon();
            notifyAll();
        }
        timers.shutdownNow();
    }

    /** Servers have come: calls that wait for one need not wait longer. */
    void runWaiting() {
        long now = System.nanoTime();
        for (Call call : List.copyOf(calls)) {
            if (call.inFlight.isEmpty() && !call.done && (call.lastError == Code.NAME || call.lastError == Code.UNREACHABLE)) {
                attempt(call, now);
            }
        }
    }

    private Conn connTo(Server server) {
        if (server.conn == null) {
            server.conn = new Conn(this, server);
            conns.add(server.conn);
        }
        return server.conn;
    }

    /** Asks a server. */
    private void attempt(Call call, long now) {
        Server server = policy.choose(now, call.tried);
        Server probe = policy.opens > 0 || options.discover ? policy.probe(now) : null;
        if (probe != null) {
            sendProbe(probe, now);
        }
        if (server == null) {
            nobody(call, now);
            return;
        }
        Conn conn = connTo(server);
        if (options.discover && names.lookDue(now)) {
            conn.askInfo();
        }
        int count = Math.min(call.left, server.maxBatch > 0 ? Math.min(server.maxBatch, 65536) : 65536);
        Attempt attempt = new Attempt(call, server, conn, count, call.after, now);
        server.load++;
        call.inFlight.add(attempt);
        conn.waiting.add(attempt);
        touch(conn);
        call.sent++;
        count("attempts");
        if (call.lastError != null) {
            count("retries");
        }
        call.hasty = call.bereft || server.failures > 0;
        call.hedge = policy.hedge();
        arm(call, attemptEnds(call, now));
    }

    private void nobody(Call call, long now) {
        if (call.lastError == null) {
            call.lastError = policy.servers.isEmpty() ? Code.NAME : Code.UNREACHABLE;
            if (policy.servers.isEmpty()) {
                call.detail = "no server name has an address";
            }
        }
        if (!call.inFlight.isEmpty()) { // nobody else to ask: go on waiting for the answers that are due
            arm(call, attemptEnds(call, now));
        } else {
            call.tried.clear();
            arm(call, policy.wake(now));
        }
    }

    /** A request for one ID that nobody waits for: does the server mint? */
    private void sendProbe(Server server, long now) {
        count("probes");
        Conn conn = connTo(server);
        Request oldest = conn.pending.peek();
        if (oldest != null && now - oldest.sent >= options.attemptTimeoutMs * Policy.MS) {
            report(server, Outcome.SILENT, 0);
            return;
        }
        conn.waiting.add(new Attempt(null, server, conn, 1, -1, now));
        touch(conn);
    }

    private boolean mayHedge(Call call) {
        return !call.hedged && call.hedge < options.attemptTimeoutMs * Policy.MS;
    }

    /** Where one worker fell silent others may have, and one that broke off may still be dying: there the next is asked quickly. */
    private long attemptEnds(Call call, long now) {
        long wait = options.attemptTimeoutMs * Policy.MS / (call.silenced || call.hasty ? AFTER_LOSS : 1);
        return now + (mayHedge(call) ? Math.min(call.hedge, wait) : wait);
    }

    private void onTimer(Call call, long now) {
        if (now >= call.deadline) {
            expire(call);
        } else if (call.inFlight.isEmpty()) {
            attempt(call, now);
        } else {
            growImpatient(call, now);
        }
    }

    /** The attempt has had its time: marks the server (unless the time was a short one) and asks another one beside it. */
    private void growImpatient(Call call, long now) {
        Attempt latest = call.inFlight.get(call.inFlight.size() - 1);
        if (mayHedge(call)) {
            call.hedged = true;
            if (!policy.mayHedge()) {
                arm(call, attemptEnds(call, latest.sent));
                return;
            }
            count("hedges");
        } else if (call.silenced || call.hasty) {
            count("hedges");
        } else {
            call.silenced = true;
            count("silences");
            if (call.lastError == null) {
                call.lastError = Code.TIMEOUT;
            }
            report(latest.server, Outcome.SILENT, 0);
        }
        call.tried.add(latest.server);
        if (call.inFlight.size() < ATTEMPTS_MAX) {
            attempt(call, now);
        } else {
            arm(call, attemptEnds(call, now));
        }
    }

    /** The last thing heard is the error. */
    private void expire(Call call) {
        Code code = call.lastError;
        if (code == null || code == Code.UNREACHABLE || code == Code.TIMEOUT) {
            code = call.inFlight.stream().anyMatch(each -> each.conn.announced) ? Code.TIMEOUT : Code.UNREACHABLE;
            if (code == Code.TIMEOUT) {
                call.detail = "no answer by the deadline (" + call.sent + " requests)";
            } else if (call.detail.isEmpty()) {
                call.detail = "no server could be connected to by the deadline";
            }
        }
        finish(call, code);
    }

    /** code: null for success. */
    private void finish(Call call, Code code) {
        call.done = true;
        call.abandon();
        calls.remove(call);
        countCall(code == null ? "OK" : code.name());
        if (code != null) {
            SnowfleetException error = new SnowfleetException(code, call.detail, call.server, call.retryAfterMs);
            complete(() -> call.future.completeExceptionally(error));
            return;
        }
        add("ids", call.count);
        if (options.causal) {
            for (Run run : call.runs) {
                causalId = Math.max(causalId, run.first() + run.count() - 1);
            }
        }
        complete(() -> call.future.complete(call.runs));
    }

    synchronized void countCall(String code) {
        count("calls");
        callsByError.merge(code, 1L, Long::sum);
    }

    // --- what comes back ---

    void report(Server server, Outcome outcome, long retryAfter) {
        Breaker before = server.state;
        policy.report(server, outcome, retryAfter, System.nanoTime());
        if (before == Breaker.CLOSED && server.state == Breaker.OPEN) {
            LOG.log(System.Logger.Level.DEBUG, "left alone: {0} failed", server.address);
        } else if (before != Breaker.CLOSED && server.state == Breaker.CLOSED) {
            LOG.log(System.Logger.Level.DEBUG, "used again: {0} answers", server.address);
        }
        if (outcome == Outcome.LOST || outcome == Outcome.UNREACHED) {
            names.resolveSoon();
        }
    }

    /** It was never sent: GOAWAY came first. */
    void onMoved(Attempt attempt) {
        attempt.drop();
        if (attempt.waited()) {
            attempt.call.inFlight.remove(attempt);
            again(attempt.call);
        }
    }

    /** Asks at once, unless an answer is still due. */
    private void again(Call call) {
        soon(() -> {
            if (!call.done && call.inFlight.isEmpty()) {
                attempt(call, System.nanoTime());
            }
        });
    }

    /** A connection has ended. */
    void buried(Conn conn, Outcome outcome, Code code, String why) {
        Server server = conn.server;
        conns.remove(conn);
        if (outcome == Outcome.BROKEN) {
            count("protocol_errors");
            lastProtocolError = server.address + ": " + why;
            LOG.log(System.Logger.Level.WARNING, "{0}: {1}", server.address, why);
        }
        count(outcome == Outcome.UNREACHED ? "connect_failures" : "disconnects");
        List<Attempt> orphans = new ArrayList<>();
        conn.pending.forEach(request -> orphans.addAll(request.attempts));
        orphans.addAll(conn.waiting);
        // A connection that the server wanted to end, or that ended while nothing was asked, says nothing bad about the server.
        if (!closed && (!conn.pending.isEmpty() || !conn.waiting.isEmpty() || outcome != Outcome.LOST)) {
            report(server, outcome, 0);
        }
        conn.pending.clear();
        conn.waiting.clear();
        if (conn.announced) {
            names.lookSoon(System.nanoTime());
        }
        for (Attempt attempt : orphans) {
            attempt.drop();
            if (!attempt.waited()) {
                continue;
            }
            Call call = attempt.call;
            call.inFlight.remove(attempt);
            call.note(outcome == Outcome.BROKEN ? Code.PROTOCOL : code, server.address + ": " + why, server, 0);
            call.bereft = call.bereft || outcome == Outcome.LOST;
            // A worker that closed a connection that had worked may well answer on a new one: it may be asked again.
            if (conn.answered && outcome == Outcome.LOST && call.round == 0) {
                call.round++;
            } else {
                call.tried.add(server);
            }
            retry(call);
        }
    }

    /** The call failed at its last server. It waits, or asks another one at once. */
    private void retry(Call call) {
        if (!call.inFlight.isEmpty() || call.done) {
            return;
        }
        long now = System.nanoTime();
        long wait = policy.retryWait(now, call.tried, call.round);
        if (wait == 0) {
            again(call);
            return;
        }
        if (wait < 0) {
            count("budget_waits");
        } else {
            call.round++;
            call.tried.clear();
        }
        arm(call, now + Math.abs(wait));
    }

    /** What is wrong with it, so that the connection must end; or null. */
    String onAnswer(Conn conn, Request request, int status, byte[] body) {
        if (request.kind == Kind.INFO) {
            return onInfo(conn, status, body);
        }
        if (request.kind == Kind.AUTH) {
            return null;
        }
        List<Attempt> waiting = new ArrayList<>(request.attempts.size());
        for (Attempt attempt : request.attempts) {
            attempt.drop();
            if (attempt.waited()) {
                attempt.call.inFlight.remove(attempt);
                waiting.add(attempt);
            }
        }
        if (request.kind == Kind.CALL && waiting.isEmpty()) {
            count("late_answers");
        }
        if (status != Frames.OK) {
            return onRefusal(conn, request, waiting, status, body);
        }
        policy.answered(System.nanoTime() - request.sent);
        if (conn.server.state != Breaker.CLOSED || conn.server.failures > 0) {
            report(conn.server, Outcome.FINE, 0);
        }
        return onIds(conn, request, waiting, body);
    }

    private String onIds(Conn conn, Request request, List<Attempt> waiting, byte[] body) {
        List<Run> runs = Frames.getRuns(body, request.count);
        if (runs == null) {
            return nonsense(conn, waiting, "an answer to NEXT is malformed");
        }
        if (conn.nameless) { // whose they are is not known; it is asked again, INFO first
            conn.idsCame = true;
            waiting.forEach(attempt -> again(attempt.call));
            return null;
        }
        long first = runs.get(0).first();
        Run end = runs.get(runs.size() - 1);
        long before = Math.max(conn.lastId, request.floor);
        if (!inOrder(conn, request, first, end.first() + end.count() - 1)) {
            count("order_errors");
            boolean above = request.after >= 0 && first <= request.after;
            String why = above ? "ID " + first + " is not above ID " + request.after + ", as was asked for" : "ID " + first + " came after ID " + before;
            for (Attempt attempt : waiting) {
                attempt.call.note(Code.ORDER, why, conn.server, 0);
                finish(attempt.call, Code.ORDER);
            }
            return "IDs repeated or went back";
        }
        split(request, runs);
        return null;
    }

    /** Do these IDs go on from what the connection and the server gave before, and are they above what was asked for? */
    private boolean inOrder(Conn conn, Request request, long first, long last) {
        Server server = conn.server;
        if (conn.lastId > 0 && first <= conn.lastId) {
            return false;
        }
        if (request.after >= 0 && first <= request.after) {
            return false;
        }
        if (request.floor > 0 && layout != null && first <= request.floor && layout.sameSlot(first, request.floor)) {
            return false;
        }
        conn.lastId = last;
        if (server.lastId < last || layout == null || !layout.sameSlot(server.lastId, last)) {
            server.lastId = last;
        }
        return true;
    }

    /** What NEXT's AFTER is to say: the call's own, or the largest ID that was handed out; -1: nothing. */
    long laterThan(long given) {
        return causalId > 0 ? Math.max(given, causalId) : given;
    }

    /** Each of those that shared the request gets its part, in the order in which they came. */
    private void split(Request request, List<Run> runs) {
        if (request.attempts.size() == 1) {
            if (request.attempts.get(0).waited()) {
                give(request.attempts.get(0), runs);
            }
            return;
        }
        int at = 0;
        int used = 0;
        for (Attempt attempt : request.attempts) {
            List<Run> part = new ArrayList<>(1);
            for (int need = attempt.count; need > 0; ) {
                Run run = runs.get(at);
                int n = Math.min(run.count() - used, need);
                part.add(new Run(run.first() + used, n));
                need -= n;
                used += n;
                if (used == run.count()) {
                    at++;
                    used = 0;
                }
            }
            if (attempt.waited()) {
                give(attempt, part);
            }
        }
    }

    private void give(Attempt attempt, List<Run> runs) {
        Call call = attempt.call;
        call.left -= attempt.count;
        call.server = attempt.server.address;
        if (call.runs.isEmpty()) {
            call.runs = runs;
        } else {
            call.runs = new ArrayList<>(call.runs);
            call.runs.addAll(runs);
        }
        if (call.left == 0) {
            finish(call, null);
            return;
        }
        call.abandon(); // an answer to a repeated request would be counted twice
        call.tried.clear();
        again(call);
    }

    private String nonsense(Conn conn, List<Attempt> waiting, String why) {
        for (Attempt attempt : waiting) {
            attempt.call.note(Code.PROTOCOL, conn.server.address + ": " + why, conn.server, 0);
            attempt.call.tried.add(conn.server);
            retry(attempt.call);
        }
        return why;
    }

    private String onRefusal(Conn conn, Request request, List<Attempt> waiting, int status, byte[] body) {
        Frames.Refusal told = Frames.getRefusal(body);
        if (told == null) {
            return nonsense(conn, waiting, "an error answer is malformed");
        }
        Server server = conn.server;
        Verdict verdict = status < VERDICTS.length ? VERDICTS[status] : VERDICTS[VERDICTS.length - 1];
        report(server, verdict.outcome, told.retryAfterMs() * Policy.MS);
        conn.denied = conn.denied || status == Frames.DENIED;
        String detail = server.address + " says " + Frames.statusName(status) + (told.reason().isEmpty() ? "" : ": " + told.reason());
        for (Attempt attempt : waiting) {
            Call call = attempt.call;
            if (status == Frames.TOO_LARGE && (request.attempts.size() > 1 || server.maxBatch > 0 && attempt.count > server.maxBatch)) {
                again(call); // INFO has told us meanwhile how much it gives at a time; or each alone may not be too large
                continue;
            }
            call.note(verdict.code, detail, server, told.retryAfterMs());
            if (verdict.code == Code.RATE_LIMITED || verdict.code == Code.CAUSALITY) {
                waitAsTold(call, verdict.code);
            } else if (verdict.another) {
                call.tried.add(server);
                retry(call);
            } else {
                finish(call, verdict.code);
            }
        }
        return null;
    }

    /** The call waits as long as the worker asked, if it may last that long. */
    private void waitAsTold(Call call, Code code) {
        long when = System.nanoTime() + Math.max(call.retryAfterMs, 1) * Policy.MS;
        if (when >= call.deadline) {
            finish(call, code);
            return;
        }
        call.abandon();
        call.tried.clear();
        arm(call, when);
    }

    private String onInfo(Conn conn, int status, byte[] body) {
        conn.askingInfo = false;
        if (status != Frames.OK) {
            return null; // an AUTH that failed shows in NEXT too
        }
        Map<?, ?> told;
        Layout theirs = null;
        try {
            told = (Map<?, ?>) Json.parse(new String(body, StandardCharsets.UTF_8));
            if (told.get("fleet_id") instanceof String text && !text.isEmpty()) {
                Map<?, ?> widths = (Map<?, ?>) told.get("layout");
                theirs = new Layout(width(widths, "timestamp"), width(widths, "datacenter"), width(widths, "worker"), width(widths, "sequence"), (Long) told.get("epoch_ms"));
            }
        } catch (IllegalArgumentException | ClassCastException | NullPointerException e) {
            return "an answer to INFO is malformed";
        }
        boolean came = conn.idsCame;
        conn.idsCame = false;
        conn.nameless = theirs == null;
        if (told.get("max_batch") instanceof Long most && most > 0) {
            conn.server.maxBatch = (int) Math.min(most, Integer.MAX_VALUE);
        }
        if (theirs == null) {
            return came ? "IDs came from a worker whose fleet is not known" : null;
        }
        if (layout == null) {
            fleetId = (String) told.get("fleet_id");
            layout = theirs;
        }
        if (!fleetId.equals(told.get("fleet_id"))) {
            count("wrong_fleet");
            return "the worker belongs to another fleet than the first one that answered";
        }
        if (told.get("workers") instanceof List<?> workers) {
            names.told(workers, System.nanoTime());
        }
        return null;
    }

    private static int width(Map<?, ?> widths, String name) {
        return Math.toIntExact(Math.min((Long) widths.get(name), 99));
    }

    synchronized Map<String, Object> snapshot() {
        Map<String, Object> told = new LinkedHashMap<>();
        stats.forEach((name, value) -> told.put(name, value[0]));
        told.put("calls_by_error", Map.copyOf(callsByError));
        told.put("last_protocol_error", lastProtocolError);
        told.put("breaker_opens", policy.opens);
        told.put("servers", (long) policy.servers.size());
        told.put("servers_usable", (long) policy.usable(System.nanoTime(), List.of()).size());
        told.put("servers_discovered", policy.servers.stream().filter(each -> each.name.discovered).count());
        return told;
    }
}
