package io.snowfleet.client;

import java.util.ArrayList;
import java.util.List;

/** What a thread that held the engine's lock does once it has given it away: what may wait, and what wakes others that want the lock. */
final class Deferred {
    private final List<Conn> conns = new ArrayList<>(2);
    private final List<byte[]> frames = new ArrayList<>(2);
    private final List<Runnable> ends = new ArrayList<>(4);

    void write(Conn conn, byte[] bytes) {
        conns.add(conn);
        frames.add(bytes);
    }

    /** A call has ended. */
    void end(Runnable what) {
        ends.add(what);
    }

    /** Without the lock. */
    void perform() {
        for (int i = 0; i < conns.size(); i++) {
            conns.get(i).write(frames.get(i));
        }
        ends.forEach(Runnable::run);
    }
}
