package io.snowfleet.client;

import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicInteger;

/** A small worker, for tests. */
public final class TestWorker implements AutoCloseable {
    private static final byte[] INFO = ("{\"fleet_id\":\"f\",\"epoch_ms\":1704067200000,\"max_batch\":65536,"
        + "\"layout\":{\"timestamp\":41,\"datacenter\":5,\"worker\":5,\"sequence\":12}}").getBytes(StandardCharsets.UTF_8);
    private final ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    /** Requests for IDs. */
    public final AtomicInteger asked = new AtomicInteger();
    /** Answers nothing. */
    public volatile boolean silent;
    volatile long slowMs;
    private long last = 5L << 40;

    public TestWorker() throws IOException {
        daemon(() -> {
            while (true) {
                Socket socket = listener.accept();
                daemon(() -> serve(socket));
            }
        });
    }

    /** Where it is. */
    public String address() {
        return "127.0.0.1:" + listener.getLocalPort();
    }

    @Override
    public void close() throws IOException {
        listener.close();
    }

    interface Work {
        void run() throws Exception;
    }

    static Thread daemon(Work work) {
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
}
