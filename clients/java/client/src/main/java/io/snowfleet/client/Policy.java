package io.snowfleet.client;

import io.snowfleet.client.Server.Breaker;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Whom to ask, when to ask again, and whom to leave alone: circuit breakers, retry budget, hedging, as in the C library (src/client/policy.c). It sends
 * nothing and knows no clock: times are arguments, in nanoseconds.
 */
final class Policy {
    /** What an attempt, a probe or a connection came to. */
    enum Outcome { FINE, UNUSABLE, FULL, FAULT, UNREACHED, LOST, SILENT, BROKEN }

    static final long MS = 1_000_000;
    static final long FOREVER = Long.MAX_VALUE / 4;
    private static final long TRY_SPACING = 5 * MS; // for each server, while none works: 200 tries a second in all at most

    final List<Server> servers = new ArrayList<>();
    long opens;
    private final Options options;
    private double budget;
    private double latency;

    Policy(Options options) {
        this.options = options;
        this.budget = options.retryBudgetMax;
    }

    private static double chance() {
        return ThreadLocalRandom.current().nextDouble();
    }

    void add(Server server) {
        server.openFor = options.breakerOpenMinMs * MS;
        servers.add(server);
    }

    /** A server just added that nobody has heard yet is probed before calls are sent to it. */
    void doubt(Server server, long now) {
        server.state = Breaker.OPEN;
        server.opened = now;
        server.probeAt = now;
    }

    void callBegins() {
        budget = Math.min(budget + options.retryBudgetPercent / 100.0, options.retryBudgetMax);
    }

    /** The time between two tries of one server while none works; FOREVER while one does. */
    long idle() {
        for (Server each : servers) {
            if (each.state == Breaker.CLOSED) {
                return FOREVER;
            }
        }
        return Math.max(TRY_SPACING * servers.size(), options.breakerIdleMs * MS);
    }

    private long due(Server server, long idle) {
        if (server.state == Breaker.PROBING) { // one that nobody looked after lapses
            return server.probingSince + options.breakerOpenMaxMs * MS;
        }
        return idle == FOREVER ? server.probeAt : Math.min(server.opened + idle, server.probeAt);
    }

    List<Server> usable(long now, List<Server> tried) {
        List<Server> found = new ArrayList<>(servers.size());
        for (Server each : servers) {
            if (each.state == Breaker.CLOSED && now >= each.busyUntil && !tried.contains(each)) {
                found.add(each);
            }
        }
        return found;
    }

    private static long lookedAt(Server server) {
        return server.state == Breaker.PROBING ? server.probingSince : server.opened;
    }

    /** Of two random usable servers the less loaded. When none at all is usable, one that is due for a probe. null: nobody now. */
    Server choose(long now, List<Server> tried) {
        List<Server> able = usable(now, tried);
        int count = able.size();
        if (count > 0) {
            int a = (int) (chance() * count);
            Server first = able.get(a);
            if (count == 1) {
                return first;
            }
            Server second = able.get((a + 1 + (int) (chance() * (count - 1))) % count);
            return second.load < first.load ? second : first;
        }
        long idle = idle();
        if (idle == FOREVER) {
            return null;
        }
        Server found = null;
        int start = (int) (chance() * servers.size());
        for (int i = 0; i < servers.size(); i++) {
            Server each = servers.get((start + i) % servers.size());
            if (now >= due(each, idle) && (found == null || lookedAt(each) < lookedAt(found))) {
                found = each;
            }
        }
        return begin(found, now);
    }

    private static Server begin(Server probed, long now) {
        if (probed != null) {
            probed.state = Breaker.PROBING;
            probed.probingSince = now;
        }
        return probed;
    }

    /** A server to be probed beside the calls. Only while some server is closed: else calls are the probes. */
    Server probe(long now) {
        Server found = null;
        boolean works = false;
        for (Server each : servers) {
            if (each.state == Breaker.CLOSED) {
                works = true;
            } else if (due(each, FOREVER) <= now && (found == null || due(each, FOREVER) < due(found, FOREVER))) {
                found = each;
            }
        }
        return works ? begin(found, now) : null;
    }

    /** When asking again makes sense if choose found nobody. */
    long wake(long now) {
        long idle = idle();
        long wake = now + options.breakerIdleMs * MS;
        for (Server each : servers) {
            long at = each.state == Breaker.CLOSED ? each.busyUntil : due(each, idle);
            if (at > now && at < wake) {
                wake = at;
            }
        }
        return wake;
    }

    private void move(Server server, Breaker to, long now) {
        Breaker before = server.state;
        server.state = to;
        if (to == Breaker.CLOSED) {
            server.failures = 0;
            server.openFor = options.breakerOpenMinMs * MS;
            return;
        }
        if (before == Breaker.CLOSED) {
            opens++;
            server.openFor = options.breakerOpenMinMs * MS;
        } else {
            server.openFor = Math.min(server.openFor * 2, options.breakerOpenMaxMs * MS);
        }
        server.opened = now;
        server.probeAt = now + (long) (server.openFor * (1 + chance()) / 2);
    }

    void report(Server server, Outcome outcome, long retryAfter, long now) {
        if (server.gone) {
            return;
        }
        if (outcome == Outcome.FINE || outcome == Outcome.FULL) {
            if (server.state != Breaker.CLOSED) {
                move(server, Breaker.CLOSED, now);
            }
            server.failures = 0;
            if (outcome == Outcome.FULL) { // a little more than asked for, so that not all come back in the same instant
                long until = now + retryAfter + (long) (chance() * (retryAfter / 4 + options.backoffMinMs * MS));
                server.busyUntil = Math.max(server.busyUntil, until);
            }
            return;
        }
        if (server.state == Breaker.OPEN) {
            return; // old news
        }
        server.failures++;
        boolean counted = outcome == Outcome.LOST || outcome == Outcome.FAULT;
        if (server.state == Breaker.PROBING || !counted || server.failures >= options.breakerFailures) {
            move(server, Breaker.OPEN, now);
        }
    }

    /** How long a call waits before it tries again after its round-th fruitless round. 0: at once, a token is taken. Negative: for want of budget. */
    long retryWait(long now, List<Server> tried, int round) {
        long idle = idle();
        if (idle != FOREVER) { // no server works: the next one as soon as it is due
            for (Server each : servers) {
                if (due(each, idle) <= now) {
                    return 1;
                }
            }
            return wake(now) - now;
        }
        if (usable(now, tried).isEmpty()) {
            long top = Math.min(options.backoffMinMs * MS << Math.min(round, 20), options.backoffMaxMs * MS);
            return 1 + (long) (chance() * top);
        }
        return mayHedge() ? 0 : -1 - (long) (chance() * options.backoffMaxMs * MS);
    }

    /** Stochastic approximation of a quantile, in steps that are parts of the estimate. */
    void answered(long took) {
        int percentile = options.hedgePercentile;
        if (percentile == 0) {
            return;
        }
        if (latency == 0) {
            latency = took * 8.0;
        }
        double step = latency / 16;
        latency += took > latency ? step * percentile / 100 : -step * (100 - percentile) / 100;
    }

    /** How long to wait for an answer before another server is asked beside; FOREVER: never. */
    long hedge() {
        long least = options.hedgeMs * MS;
        if (options.hedgePercentile == 0) {
            return least > 0 ? least : FOREVER;
        }
        return latency > 0 ? Math.max((long) latency, least) : FOREVER;
    }

    /** Takes a token. */
    boolean mayHedge() {
        if (budget < 1) {
            return false;
        }
        budget -= 1;
        return true;
    }
}
