package io.snowfleet.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.snowfleet.client.SnowfleetException.Code;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
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
    private static final byte[] INFO = ("{\"fleet_id\":\"f\",\"epoch_ms\":1704067200000,\"max_batch\":65536,"
        + "\"layout\":{\"timestamp\":41,\"datacenter\":5,\"worker\":5,\"sequence\":12}}").getBytes(StandardCharsets.UTF_8);
    private ServerSocket listener;
    private final AtomicInteger asked = new AtomicInteger();
    private volatile boolean silent;
    private volatile long slowMs;
    private long last = 5L << 40;

    @BeforeEach
    void listen() throws IOException {
        listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        daemon(() -> {
            while (true) {
                Socket socket = listener.accept();
                daemon(() -> serve(socket));
            }
        });
    }

    @AfterEach
    void stop() throws IOException {
        listener.close();
    }

    private interface Work {
        void run() throws Exception;
    }

    private static Thread daemon(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Exception e) {
                // the socket was closed
            }
        });
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private void serve(Socket socket) throws Exception {
        DataInputStream in = new DataInputStream(socket.getInputStream());
        while (true) {
            byte[] frame = new byte[in.readInt()];
            in.readFully(frame);
            ByteBuffer head = ByteBuffer.wrap(frame);
            int kind = head.get(1);
            byte[] body = INFO;
            if (kind == Frames.NEXT) {
                asked.incrementAndGet();
                if (silent) {
                    continue;
                }
                Thread.sleep(slowMs);
                int count = head.getInt(8);
                synchronized (this) {
                    body = ByteBuffer.allocate(12).putLong(last + 1).putInt(count).array();
                    last += count;
                }
            }
            socket.getOutputStream().write(Frames.put(kind | Frames.ANSWER, head.getInt(4), body, 0));
        }
    }

    private SnowfleetClient client(int prefetch, int timeoutMs) {
        Options options = new Options("127.0.0.1:" + listener.getLocalPort());
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
        slowMs = 2;
        try (SnowfleetClient client = client(0, 20000)) {
            List<Thread> threads = new ArrayList<>();
            for (int caller = 0; caller < 32; caller++) {
                int n = 1 + caller % 3;
                threads.add(daemon(() -> {
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
            assertTrue(asked.get() * 2 < 32 * 40, asked + " requests");
            assertEquals((long) drawn.get(), client.stats().get("ids"));
        }
    }

    @Test
    void prefetchedIdsAreHandedOutOnce() throws Exception {
        Set<Long> seen = ConcurrentHashMap.newKeySet();
        try (SnowfleetClient client = client(100, 20000)) {
            List<Thread> threads = new ArrayList<>();
            for (int caller = 0; caller < 8; caller++) {
                threads.add(daemon(() -> {
                    for (int i = 0; i < 250; i++) {
                        seen.add(client.next());
                    }
                }));
            }
            join(threads);
        }
        assertEquals(2000, seen.size());
        assertEquals(20, asked.get());
    }

    @Test
    void futures() throws Exception {
        try (SnowfleetClient client = client(0, 20000)) {
            assertTrue(client.nextAsync().get() > 0);
            silent = true;
            var future = client.nextAsync();
            assertTrue(future.cancel(false));
            assertThrows(CancellationException.class, future::join);
            assertEquals(1L, ((java.util.Map<?, ?>) client.stats().get("calls_by_error")).get("CANCELLED"));
        }
    }

    @Test
    void closeAndInterruptEndCalls() throws Exception {
        silent = true;
        SnowfleetClient client = client(0, 20000);
        daemon(() -> {
            Thread.sleep(200);
            client.close();
        });
        assertEquals(Code.CANCELLED, assertThrows(SnowfleetException.class, client::next).code());
        assertEquals(Code.CANCELLED, assertThrows(SnowfleetException.class, client::next).code());
        try (SnowfleetClient other = client(0, 20000)) {
            Thread me = Thread.currentThread();
            daemon(() -> {
                Thread.sleep(200);
                me.interrupt();
            });
            assertEquals(Code.CANCELLED, assertThrows(SnowfleetException.class, other::next).code());
            assertTrue(Thread.interrupted());
        }
    }

    @Test
    void namesAndRefusals() {
        Options options = new Options("localhost:" + listener.getLocalPort());
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
