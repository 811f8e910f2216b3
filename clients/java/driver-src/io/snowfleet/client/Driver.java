package io.snowfleet.client;

import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The driver of the common suite (docs/clients.md): one JSON object a line on stdin, one a line on stdout. {@code driver} builds and starts it. */
public final class Driver {
    private SnowfleetClient client;

    private static String json(Object value) {
        if (value instanceof Map<?, ?> map) {
            List<String> parts = new ArrayList<>();
            map.forEach((key, each) -> parts.add(json(key) + ":" + json(each)));
            return "{" + String.join(",", parts) + "}";
        }
        if (value instanceof List<?> list) {
            return "[" + String.join(",", list.stream().map(Driver::json).toList()) + "]";
        }
        if (value instanceof String text) {
            StringBuilder out = new StringBuilder("\"");
            text.chars().forEach(c -> {
                if (c < 32 || c == '"' || c == '\\' || c > 126) {
                    out.append(String.format("\\u%04x", c));
                } else {
                    out.append((char) c);
                }
            });
            return out.append('"').toString();
        }
        return String.valueOf(value);
    }

    private static SnowfleetException wrong(String detail) {
        return SnowfleetException.invalid(detail);
    }

    private static String camel(String name) {
        StringBuilder out = new StringBuilder();
        for (String part : name.split("_")) {
            out.append(out.isEmpty() || part.isEmpty() ? part : Character.toUpperCase(part.charAt(0)) + part.substring(1));
        }
        return out.toString();
    }

    private Map<String, Object> open(Map<?, ?> request) {
        Options options = new Options();
        for (Map.Entry<?, ?> each : request.entrySet()) {
            String name = (String) each.getKey();
            Object value = each.getValue();
            if (name.equals("n") || name.equals("op")) {
                continue;
            }
            if (name.equals("pool")) { // of the C library alone: here callers share connections
                if (!(value instanceof Long)) {
                    throw wrong("pool: a number is wanted");
                }
                continue;
            }
            try {
                var field = Options.class.getField(name.equals("deadline_ms") ? "timeoutMs" : camel(name));
                if (!name.equals(name.toLowerCase())) {
                    throw new NoSuchFieldException(name);
                }
                if (value instanceof Long number && field.getType() == int.class) {
                    if (number < 0 || number > Integer.MAX_VALUE) {
                        throw wrong(name + ": " + number + " is out of range");
                    }
                    field.setInt(options, number.intValue());
                } else if (value instanceof Boolean && field.getType() == boolean.class || value instanceof String && field.getType() == String.class) {
                    field.set(options, value);
                } else {
                    throw wrong(name + ": the value is of the wrong kind");
                }
            } catch (NoSuchFieldException e) {
                throw wrong(name + ": there is no such option");
            } catch (IllegalAccessException e) {
                throw new AssertionError(e);
            }
        }
        client = new SnowfleetClient(options);
        return Map.of();
    }

    private static int count(Map<?, ?> request) {
        Object value = request.containsKey("count") ? request.get("count") : Long.valueOf(1);
        if (!(value instanceof Long n) || n < 1 || n > Options.COUNT_MAX) {
            throw wrong("count: 1 to " + Options.COUNT_MAX + " are allowed");
        }
        return n.intValue();
    }

    private static long id(Object text, String what) {
        try {
            return SnowfleetId.parse((String) text);
        } catch (IllegalArgumentException | ClassCastException e) {
            throw wrong(what + ": an ID as a decimal string is wanted");
        }
    }

    /** As a program would: the short form where nothing but one ID is asked for, so that prefetch is used. */
    private long[] call(int count, long after) {
        if (after >= 0) {
            return client.nextAfter(after, count);
        }
        return count == 1 ? new long[] {client.next()} : client.next(count);
    }

    private final class Load {
        long left = Long.MAX_VALUE;
        long end = Long.MAX_VALUE;
        long calls;
        long ids;
        long failed;
        long longest;
        String detail = "";
        OutputStream file;

        synchronized boolean may() {
            return left > 0 && System.nanoTime() < end && left-- > 0;
        }

        synchronized void note(long[] got, String failure, long took) {
            calls++;
            longest = Math.max(longest, took);
            if (failure != null) {
                detail = failed++ == 0 ? failure : detail;
                return;
            }
            ids += got.length;
            if (file != null) {
                ByteBuffer raw = ByteBuffer.allocate(8 * got.length);
                for (long each : got) {
                    raw.putLong(each);
                }
                try {
                    file.write(raw.array());
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            }
        }

        void caller(int count) {
            while (may()) {
                long begin = System.nanoTime();
                long[] got = null;
                String failure = null;
                try {
                    got = call(count, -1);
                } catch (SnowfleetException e) {
                    failure = e.getMessage();
                }
                note(got, failure, System.nanoTime() - begin);
            }
        }
    }

    private Map<String, Object> load(Map<?, ?> request) throws IOException, InterruptedException {
        int count = count(request);
        Object callers = request.containsKey("callers") ? request.get("callers") : Long.valueOf(1);
        if (!(callers instanceof Long many) || many < 1 || many > 1024) {
            throw wrong("callers: 1 to 1024 are allowed");
        }
        if (!(request.get("seconds") instanceof Number) && !(request.get("calls") instanceof Long)) {
            throw wrong("seconds or calls is wanted");
        }
        Load load = new Load();
        if (request.get("calls") instanceof Long calls) {
            load.left = calls;
        }
        if (request.get("file") instanceof String path) {
            load.file = new BufferedOutputStream(Files.newOutputStream(Path.of(path)), 1 << 16);
        }
        long before = (Long) client.stats().get("order_errors");
        if (request.get("seconds") instanceof Number seconds) {
            load.end = System.nanoTime() + (long) (seconds.doubleValue() * 1e9);
        }
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < many; i++) {
            Thread thread = new Thread(() -> load.caller(count));
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        if (load.file != null) {
            load.file.close();
        }
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("calls", load.calls);
        told.put("ids", load.ids);
        told.put("failed", load.failed);
        told.put("longest_ms", load.longest / 1e6);
        told.put("order_errors", (Long) client.stats().get("order_errors") - before);
        told.put("detail", load.detail);
        return told;
    }

    private Map<String, Object> decode(Map<?, ?> request) {
        long id = id(request.get("id"), "id");
        SnowfleetId.Parts parts = client.decode(id);
        return Map.of("unix_ms", parts.unixMs(), "datacenter", parts.datacenter(), "worker", parts.worker(), "sequence", parts.sequence(), "base32",
            SnowfleetId.toBase32(id));
    }

    private Map<String, Object> perform(Object line) throws IOException, InterruptedException {
        if (!(line instanceof Map<?, ?> request) || !(request.get("op") instanceof String op)) {
            throw wrong("no JSON object with an op");
        }
        if (op.equals("open")) {
            if (client != null) {
                throw wrong("a client is open already");
            }
            return open(request);
        }
        if (client == null) {
            throw wrong("no client is open");
        }
        switch (op) {
            case "next":
                int count = count(request);
                long[] ids = call(count, request.containsKey("after") ? id(request.get("after"), "after") : -1);
                List<String> texts = new ArrayList<>(ids.length);
                for (long each : ids) {
                    texts.add(Long.toString(each));
                }
                return Map.of("ids", texts);
            case "load":
                return load(request);
            case "decode":
                return decode(request);
            case "stats":
                return client.stats();
            case "close":
                client.close();
                client = null;
                return Map.of();
            default:
                throw wrong("op: open, next, load, decode, stats and close are known");
        }
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        Driver driver = new Driver();
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.US_ASCII);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Object request;
            try {
                request = Json.parse(line);
            } catch (IllegalArgumentException e) {
                request = null;
            }
            Map<String, Object> answer = new LinkedHashMap<>();
            try {
                answer.putAll(driver.perform(request));
                answer.put("ok", true);
            } catch (SnowfleetException e) {
                answer.put("ok", false);
                answer.put("error", e.code().name());
                answer.put("detail", e.detail());
            }
            if (request instanceof Map<?, ?> map && map.containsKey("n")) {
                answer.put("n", map.get("n"));
            }
            out.println(json(answer));
        }
        if (driver.client != null) {
            driver.client.close();
        }
    }
}
