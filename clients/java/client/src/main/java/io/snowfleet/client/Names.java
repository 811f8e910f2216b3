package io.snowfleet.client;

import io.snowfleet.client.Options.HostPort;
import io.snowfleet.client.Server.Breaker;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;

/** Where servers come from: the entries of Options.servers, and what workers tell of their fellows. Under the engine's lock, but for the looking up. */
final class Names {
    /** An entry of Options.servers, or a worker that another worker told of. */
    static final class Name {
        final HostPort at;
        final boolean discovered;
        boolean resolved;
        long listed;

        Name(HostPort at, boolean discovered, long listed) {
            this.at = at;
            this.discovered = discovered;
            this.listed = listed;
        }
    }

    private static final long RESOLVE_MIN_MS = 1000; // between two look-ups, however many connections are lost
    private static final long RETRY_MS = 1000; // while a name has no address
    private static final long LOOK_MIN = 1000 * Policy.MS;

    private final Engine engine;
    private List<Name> all = new ArrayList<>();
    private long lookAt = Long.MIN_VALUE / 2;
    private long looked = Long.MIN_VALUE / 2;
    private boolean soon;

    Names(Engine engine, List<HostPort> entries) {
        this.engine = engine;
        boolean lookUp = engine.options.discover;
        for (HostPort at : entries) {
            Name name = new Name(at, false, 0);
            all.add(name);
            lookUp = lookUp || !at.numeric();
            if (at.numeric()) {
                take(name, List.of(at.host()), 0);
            }
        }
        if (lookUp) {
            Thread resolver = new Thread(this::resolve, "snowfleet-resolver");
            resolver.setDaemon(true);
            resolver.start();
        }
    }

    private static double chance() {
        return ThreadLocalRandom.current().nextDouble();
    }

    /** A connection was lost, or a name is new. */
    void resolveSoon() {
        soon = true;
        engine.notifyAll();
    }

    private void resolve() {
        try {
            while (!engine.closed) {
                boolean complete = lookUpAll();
                Thread.sleep(RESOLVE_MIN_MS);
                synchronized (engine) {
                    long until = System.nanoTime() + (complete ? (long) (engine.options.resolveMs * (0.8 + 0.4 * chance())) - RESOLVE_MIN_MS : RETRY_MS - RESOLVE_MIN_MS) * Policy.MS;
                    for (long left = until - System.nanoTime(); left > 0 && !soon && !engine.closed; left = until - System.nanoTime()) {
                        engine.wait(left / Policy.MS + 1);
                    }
                    soon = false;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean lookUpAll() {
        List<Name> names;
        synchronized (engine) {
            names = List.copyOf(all);
        }
        boolean complete = true;
        for (Name name : names) {
            if (name.at.numeric()) {
                continue;
            }
            List<String> found = new ArrayList<>();
            try {
                for (InetAddress each : InetAddress.getAllByName(name.at.host())) {
                    found.add(each.getHostAddress());
                }
            } catch (UnknownHostException e) {
                Engine.LOG.log(System.Logger.Level.WARNING, "{0}: the name has no address", name.at.host());
            }
            synchronized (engine) {
                engine.count(found.isEmpty() ? "resolve_failures" : "resolves");
                if (!found.isEmpty() && all.contains(name) && !engine.closed) {
                    take(name, found, System.nanoTime());
                    engine.runWaiting();
                    engine.runSoon();
                }
                complete = complete && (name.resolved || name.discovered);
            }
        }
        return complete;
    }

    /** Makes servers of a name's addresses, and forgets those that the name no longer has. */
    private void take(Name name, List<String> addresses, long now) {
        Policy policy = engine.policy;
        name.resolved = true;
        Set<String> wanted = new LinkedHashSet<>(addresses);
        for (Server server : List.copyOf(policy.servers)) {
            if (server.port == name.at.port() && wanted.contains(server.ip)) {
                wanted.remove(server.ip);
            } else if (server.name == name) {
                remove(server);
            }
        }
        for (String ip : wanted) {
            if (policy.servers.size() == Options.SERVERS_MAX) {
                return;
            }
            Server server = new Server(ip, name.at.port(), name.at.host(), name);
            policy.add(server);
            if (name.discovered) {
                policy.doubt(server, now);
            }
        }
    }

    private void remove(Server server) {
        server.gone = true;
        engine.policy.servers.remove(server);
        if (server.conn != null) {
            engine.soon(server.conn::retire);
        }
    }

    /** Is it time to ask a worker who is there? */
    boolean lookDue(long now) {
        if (!engine.options.discover || now < lookAt) {
            return false;
        }
        looked = now;
        lookAt = now + (long) (engine.options.discoverMs * Policy.MS * (0.8 + 0.4 * chance()));
        return true;
    }

    /** The fleet may have changed. */
    void lookSoon(long now) {
        lookAt = Math.min(lookAt, Math.max(now, looked + LOOK_MIN) + (long) (chance() * LOOK_MIN));
    }

    /** What a worker tells of its fellows adds servers, and takes away only those that nobody has told of for a while and that do not answer. */
    void told(List<?> workers, long now) {
        if (!engine.options.discover) {
            return;
        }
        engine.count("discoveries");
        for (Object text : workers) {
            HostPort at = text instanceof String string ? Options.parseHostPort(string, "") : null;
            if (at != null) {
                listed(at, now);
            }
        }
        List<Name> kept = new ArrayList<>();
        for (Name name : all) {
            List<Server> own = engine.policy.servers.stream().filter(each -> each.name == name).toList();
            boolean fresh = now - name.listed < engine.options.discoverMs * Policy.MS;
            if (!name.discovered || fresh || own.stream().anyMatch(each -> each.state == Breaker.CLOSED)) {
                kept.add(name);
            } else {
                own.forEach(this::remove);
            }
        }
        all = kept;
    }

    private void listed(HostPort at, long now) {
        int count = 0;
        for (Name name : all) {
            if (name.at.equals(at)) {
                name.listed = now;
                return;
            }
            count += name.discovered ? 1 : 0;
        }
        if (count == Options.DISCOVER_MAX) {
            return;
        }
        Name name = new Name(at, true, now);
        all.add(name);
        if (at.numeric()) {
            take(name, List.of(at.host()), now);
        } else {
            resolveSoon();
        }
    }
}
