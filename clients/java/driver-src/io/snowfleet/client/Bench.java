package io.snowfleet.client;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.atomic.LongAdder;

/** Speed against one worker, in turns with a bare socket loop; one JSON object. tests/bench/clients.py starts it. */
final class Bench {
    private static final byte[] ONE = {0, 0, 0, 12, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1};
    private static final int ROUNDS = 40;
    private static final int CALLS = 500;

    private Bench() {}

    private interface Ask {
        void run() throws IOException;
    }

    private static void timed(long[] to, int at, Ask what) throws IOException {
        for (int i = 0; i < CALLS; i++) {
            long begin = System.nanoTime();
            what.run();
            to[at + i] = System.nanoTime() - begin;
        }
    }

    /** Of the second half: the first one warms the machine up. */
    private static double medianUs(long[] all) {
        long[] warm = Arrays.copyOfRange(all, all.length / 2, all.length);
        Arrays.sort(warm);
        return warm[warm.length / 2] / 1e3;
    }

    private static double perSecond(SnowfleetClient client, int callers) throws InterruptedException {
        LongAdder done = new LongAdder();
        long end = System.nanoTime() + 1000000000L;
        List<Thread> all = new ArrayList<>();
        for (int i = 0; i < callers; i++) {
            Thread thread = new Thread(() -> {
                long mine = 0;
                while (mine % 16 != 0 || System.nanoTime() < end) {
                    client.next();
                    mine++;
                }
                done.add(mine);
            });
            all.add(thread);
            thread.start();
        }
        for (Thread thread : all) {
            thread.join();
        }
        return done.sum();
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        String[] at = args[0].split(":");
        Options ahead = new Options(args[0]);
        ahead.prefetch = 1000;
        try (SnowfleetClient client = new SnowfleetClient(args[0]); SnowfleetClient fetching = new SnowfleetClient(ahead);
                Socket socket = new Socket(at[0], Integer.parseInt(at[1]))) {
            socket.setTcpNoDelay(true);
            OutputStream out = socket.getOutputStream();
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] answer = new byte[24];
            long[] bare = new long[ROUNDS * CALLS];
            long[] own = new long[ROUNDS * CALLS];
            for (int round = 0; round < ROUNDS; round++) {
                timed(bare, round * CALLS, () -> {
                    out.write(ONE);
                    in.readFully(answer);
                });
                timed(own, round * CALLS, client::next);
            }
            perSecond(client, 64); // warms up
            perSecond(fetching, 1);
            System.out.printf(Locale.ROOT, "{\"bare_us\": %.1f, \"client_us\": %.1f, \"one_per_s\": %.0f, \"many_per_s\": %.0f, \"prefetch_per_s\": %.0f}%n",
                medianUs(bare), medianUs(own), perSecond(client, 1), perSecond(client, 64), perSecond(fetching, 1));
        }
    }
}
