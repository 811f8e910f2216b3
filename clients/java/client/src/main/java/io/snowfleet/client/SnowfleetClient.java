package io.snowfleet.client;

import io.snowfleet.client.Frames.Run;
import io.snowfleet.client.SnowfleetException.Code;
import io.snowfleet.client.SnowfleetId.Layout;
import io.snowfleet.client.SnowfleetId.Parts;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * IDs from a fleet, for any number of threads at once: those that wait at the same moment share one request. Make one for each fleet and keep it.
 *
 * <pre>{@code
 * try (var client = new SnowfleetClient("ids-0:7450,ids-1:7450")) {
 *     long id = client.next();
 * }
 * }</pre>
 */
public final class SnowfleetClient implements AutoCloseable {
    private static final class Kept {
        long next;
        int left;
    }

    private final Engine engine;
    private final ReentrantLock filling = new ReentrantLock();
    private final ArrayDeque<Kept> kept = new ArrayDeque<>();
    private long keptUntil;

    public SnowfleetClient(String servers) {
        this(new Options(servers));
    }

    /** Does not connect yet, and waits for no name. */
    public SnowfleetClient(Options options) {
        engine = new Engine(options);
    }

    private static long await(CompletableFuture<List<Run>> future, Engine engine, Call call, long[] to) {
        List<Run> runs;
        try {
            runs = future.get();
        } catch (ExecutionException e) {
            SnowfleetException told = (SnowfleetException) e.getCause();
            throw new SnowfleetException(told.code(), told.detail(), told.server(), told.retryAfterMs()); // with the caller's own stack
        } catch (InterruptedException e) {
            engine.cancel(call);
            Thread.currentThread().interrupt();
            throw new SnowfleetException(Code.CANCELLED, "the thread was interrupted");
        }
        int at = 0;
        for (Run run : runs) {
            for (int k = 0; to != null && k < run.count(); k++) {
                to[at++] = run.first() + k;
            }
        }
        return runs.get(0).first();
    }

    private Call call(int count, long after, long timeoutMs) {
        if (count < 1 || count > Options.COUNT_MAX || timeoutMs < 0 || timeoutMs > 3600000) {
            engine.countCall("INVALID");
            throw SnowfleetException.invalid("the request is not allowed: count 1 to " + Options.COUNT_MAX + ", timeoutMs up to 3600000");
        }
        Call call = new Call(count, after, System.nanoTime() + (timeoutMs > 0 ? timeoutMs : engine.options.timeoutMs) * Policy.MS);
        engine.start(call);
        return call;
    }

    /** One ID, within timeoutMs. */
    public long next() {
        if (engine.options.prefetch > 0) {
            return prefetched();
        }
        Call call = call(1, -1, 0);
        return await(call.future, engine, call, null);
    }

    /** count IDs, all of them or none. Up to the worker's max_batch they come from one worker and ascend. */
    public long[] next(int count) {
        return ask(count, -1, 0);
    }

    /** IDs that are each greater than after. */
    public long[] nextAfter(long after, int count) {
        if (after < 0) {
            engine.countCall("INVALID");
            throw SnowfleetException.invalid("after: 0 to 2^63-1 are allowed");
        }
        return ask(count, after, 0);
    }

    /** The same with a deadline of its own. */
    public long[] next(int count, long timeoutMs) {
        return ask(count, -1, timeoutMs);
    }

    private long[] ask(int count, long after, long timeoutMs) {
        Call call = call(count, after, timeoutMs);
        long[] ids = new long[count];
        await(call.future, engine, call, ids);
        return ids;
    }

    /** One ID when it is there; cancelling the future ends the call. Prefetched IDs are not used. */
    public CompletableFuture<Long> nextAsync() {
        Call call = call(1, -1, 0);
        CompletableFuture<Long> mine = new CompletableFuture<>();
        call.future.whenComplete((runs, error) -> {
            if (error != null) {
                mine.completeExceptionally(error);
            } else {
                mine.completeAsync(() -> runs.get(0).first()); // not on the thread that reads
            }
        });
        mine.whenComplete((id, error) -> {
            if (mine.isCancelled()) {
                engine.cancel(call);
            }
        });
        return mine;
    }

    // --- prefetch ---

    private synchronized long take() {
        Kept run = kept.peek();
        if (run == null) {
            return -1;
        }
        if (System.nanoTime() > keptUntil) {
            long expired = 0;
            for (Kept each : kept) {
                expired += each.left;
            }
            kept.clear();
            synchronized (engine) {
                engine.add("prefetch_expired", expired);
            }
            return -1;
        }
        if (--run.left == 0) {
            kept.poll();
        }
        hits++;
        return run.next++;
    }

    private long hits; // of take, which many threads do a million times a second

    private long prefetched() {
        long id = take();
        if (id >= 0) {
            return id;
        }
        try {
            if (!filling.tryLock(engine.options.timeoutMs, TimeUnit.MILLISECONDS)) {
                engine.countCall("TIMEOUT");
                throw new SnowfleetException(Code.TIMEOUT, "others were still fetching at the deadline");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new SnowfleetException(Code.CANCELLED, "the thread was interrupted");
        }
        try {
            id = take(); // somebody else has fetched meanwhile
            return id >= 0 ? id : fill();
        } finally {
            filling.unlock();
        }
    }

    private long fill() {
        long asked = System.nanoTime();
        Call call = call(engine.options.prefetch, -1, 0);
        await(call.future, engine, call, null);
        engine.count("prefetch_fills");
        synchronized (this) {
            kept.clear();
            for (Run run : call.runs) {
                Kept each = new Kept();
                each.next = run.first();
                each.left = run.count();
                kept.add(each);
            }
            keptUntil = asked + engine.options.prefetchMaxAgeMs * Policy.MS;
            Kept run = kept.peek();
            if (--run.left == 0) {
                kept.poll();
            }
            return run.next++;
        }
    }

    // --- what is known ---

    /** That of the fleet, as the workers told it; null while none has answered yet. */
    public Layout layout() {
        return engine.layout;
    }

    /** Takes an ID of the fleet apart. Where no worker has answered yet, one is asked. */
    public Parts decode(long id) {
        if (engine.layout == null) {
            Call call = call(1, -1, 0);
            await(call.future, engine, call, null);
        }
        Layout layout = engine.layout;
        if (layout == null) {
            throw new SnowfleetException(Code.NOT_READY, "no worker has told the fleet's layout");
        }
        try {
            return layout.decode(id);
        } catch (IllegalArgumentException e) {
            throw SnowfleetException.invalid(e.getMessage());
        }
    }

    /** What happened so far, by the names of the C library's struct sf_client_stats: numbers, calls_by_error a map, last_protocol_error a text. */
    @SuppressWarnings("unchecked")
    public Map<String, Object> stats() {
        Map<String, Object> told = engine.snapshot();
        long mine;
        synchronized (this) {
            mine = hits;
        }
        told.put("prefetch_hits", mine);
        told.put("calls", (Long) told.get("calls") + mine);
        if (mine > 0) {
            Map<String, Long> byError = new java.util.LinkedHashMap<>((Map<String, Long>) told.get("calls_by_error"));
            byError.merge("OK", mine, Long::sum);
            told.put("calls_by_error", byError);
        }
        return told;
    }

    /** Ends everything; calls under way get CANCELLED. */
    @Override
    public void close() {
        engine.close();
    }
}
