package io.snowfleet.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.snowfleet.client.SnowfleetException.Code;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Threads, futures and cancellation: what the common suite (tests/clients) does not play. */
class ClientTest {
    private TestWorker worker;

    @BeforeEach
    void listen() throws IOException {
        worker = new TestWorker();
    }

    @AfterEach
    void stop() throws IOException {
        worker.close();
    }

    private SnowfleetClient client(int prefetch, int timeoutMs) {
        Options options = new Options(worker.address());
        options.prefetch = prefetch;
        options.prefetchMaxAgeMs = 60000;
        options.timeoutMs = timeoutMs;
        return new SnowfleetClient(options);
    }

    private static void join(List<Thread> threads) throws InterruptedException {
        for (Thread thread : threads) {
            thread.join();
        }
    }

    @Test
    void manyCallersShareRequests() throws Exception {
        Set<Long> seen = ConcurrentHashMap.newKeySet();
        AtomicInteger drawn = new AtomicInteger();
        worker.slowMs = 2;
        try (SnowfleetClient client = client(0, 20000)) {
            List<Thread> threads = new ArrayList<>();
            for (int caller = 0; caller < 32; caller++) {
                int n = 1 + caller % 3;
                threads.add(TestWorker.daemon(() -> {
                    for (int i = 0; i < 40; i++) {
                        for (long id : client.next(n)) {
                            seen.add(id);
                            drawn.incrementAndGet();
                        }
                    }
                }));
            }
            join(threads);
            assertEquals(drawn.get(), seen.size());
            assertTrue(worker.asked.get() * 2 < 32 * 40, worker.asked + " requests");
            assertEquals((long) drawn.get(), client.stats().get("ids"));
        }
    }

    @Test
    void prefetchedIdsAreHandedOutOnce() throws Exception {
        Set<Long> seen = ConcurrentHashMap.newKeySet();
        try (SnowfleetClient client = client(100, 20000)) {
            List<Thread> threads = new ArrayList<>();
            for (int caller = 0; caller < 8; caller++) {
                threads.add(TestWorker.daemon(() -> {
                    for (int i = 0; i < 250; i++) {
                        seen.add(client.next());
                    }
                }));
            }
            join(threads);
        }
        assertEquals(2000, seen.size());
        assertEquals(20, worker.asked.get());
    }

    @Test
    void futures() throws Exception {
        try (SnowfleetClient client = client(0, 20000)) {
            assertTrue(client.nextAsync().get() > 0);
            worker.silent = true;
            var future = client.nextAsync();
            assertTrue(future.cancel(false));
            assertThrows(CancellationException.class, future::join);
            assertEquals(1L, ((java.util.Map<?, ?>) client.stats().get("calls_by_error")).get("CANCELLED"));
        }
    }

    @Test
    void closeAndInterruptEndCalls() throws Exception {
        worker.silent = true;
        SnowfleetClient client = client(0, 20000);
        TestWorker.daemon(() -> {
            Thread.sleep(200);
            client.close();
        });
        assertEquals(Code.CANCELLED, assertThrows(SnowfleetException.class, client::next).code());
        assertEquals(Code.CANCELLED, assertThrows(SnowfleetException.class, client::next).code());
        try (SnowfleetClient other = client(0, 20000)) {
            Thread me = Thread.currentThread();
            TestWorker.daemon(() -> {
                Thread.sleep(200);
                me.interrupt();
            });
            assertEquals(Code.CANCELLED, assertThrows(SnowfleetException.class, other::next).code());
            assertTrue(Thread.interrupted());
        }
    }

    @Test
    void namesAndRefusals() {
        Options options = new Options(worker.address().replace("127.0.0.1", "localhost"));
        options.timeoutMs = 10000;
        try (SnowfleetClient client = new SnowfleetClient(options)) {
            assertTrue(client.next() > 0);
            assertEquals(Code.INVALID, assertThrows(SnowfleetException.class, () -> client.next(0)).code());
            assertEquals(Code.INVALID, assertThrows(SnowfleetException.class, () -> client.nextAfter(-1, 1)).code());
        }
        options.prefetch = -1;
        assertEquals(Code.INVALID, assertThrows(SnowfleetException.class, () -> new SnowfleetClient(options)).code());
    }
}
