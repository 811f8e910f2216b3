package io.snowfleet.client;

import io.snowfleet.client.Frames.Run;
import io.snowfleet.client.SnowfleetException.Code;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** One call of the program. Under the engine's lock. */
final class Call {
    /** A call's request to one server (no call: a probe). It may share its frame with others. */
    static final class Attempt {
        final Call call;
        final Server server;
        final Conn conn;
        final int count;
        final long after; // -1: none
        final long sent;
        boolean abandoned;

        Attempt(Call call, Server server, Conn conn, int count, long after, long sent) {
            this.call = call;
            this.server = server;
            this.conn = conn;
            this.count = count;
            this.after = after;
            this.sent = sent;
        }

        /** It is not sent, or has been answered. */
        void drop() {
            if (call != null) {
                server.load--;
            }
        }

        boolean waited() {
            return call != null && !abandoned;
        }
    }

    final CompletableFuture<List<Run>> future = new CompletableFuture<>();
    final int count;
    final long after;
    final long deadline;
    int left;
    boolean done;
    List<Run> runs = List.of();
    final List<Attempt> inFlight = new ArrayList<>(2);
    final List<Server> tried = new ArrayList<>(2);
    int sent;
    int round;
    boolean silenced;
    boolean hasty;
    boolean bereft;
    boolean hedged;
    Code lastError;
    String detail = "";
    String server = "";
    long retryAfterMs;
    long hedge = Policy.FOREVER;
    long wake;
    boolean armed;

    Call(int count, long after, long deadline) {
        this.count = count;
        this.left = count;
        this.after = after;
        this.deadline = deadline;
        this.wake = deadline;
    }

    /** No answer that is still to come counts any more. */
    void abandon() {
        for (Attempt each : inFlight) {
            each.abandoned = true;
        }
        inFlight.clear();
    }

    void note(Code code, String what, Server from, long retryMs) {
        lastError = code;
        detail = what;
        server = from.address;
        retryAfterMs = retryMs;
    }
}
