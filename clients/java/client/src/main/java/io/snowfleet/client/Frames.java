package io.snowfleet.client;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Frames of the protocol (docs/protocol.md). */
final class Frames {
    static final int HEADER = 12;
    static final int LENGTH_MIN = 8;
    static final int LENGTH_MAX = 65536;
    static final int NEXT = 0x01;
    static final int INFO = 0x03;
    static final int AUTH = 0x05;
    static final int ANSWER = 0x80;
    static final int ERROR = 0xBF;
    static final int GOAWAY = 0xC0;

    static final int OK = 0;
    static final int BAD_REQUEST = 1;
    static final int UNSUPPORTED = 2;
    static final int TOO_LARGE = 3;
    static final int DENIED = 9;
    private static final String[] STATUS = {
        "OK", "BAD_REQUEST", "UNSUPPORTED", "TOO_LARGE", "NOT_READY", "CLOCK", "OVERLOADED", "RATE_LIMITED", "DRAINING", "DENIED", "CAUSALITY", "INTERNAL"
    };

    private Frames() {}

    /** The IDs first, first + 1, ... first + count - 1. */
    record Run(long first, int count) {}

    record Refusal(long retryAfterMs, String reason) {}

    static String statusName(int status) {
        return status < STATUS.length ? STATUS[status] : "status " + status;
    }

    static byte[] put(int kind, int requestId, byte[] body, int code) {
        return ByteBuffer.allocate(HEADER + body.length).putInt(LENGTH_MIN + body.length).put((byte) 1).put((byte) kind).putShort((short) code)
            .putInt(requestId).put(body).array();
    }

    /** after: -1 for none. */
    static byte[] putNext(int requestId, int count, long after) {
        ByteBuffer body = ByteBuffer.allocate(after < 0 ? 4 : 12).putInt(count);
        if (after >= 0) {
            body.putLong(after);
        }
        return put(NEXT, requestId, body.array(), after < 0 ? 0 : 1);
    }

    /** null where it is not what docs/protocol.md allows, or not count IDs. */
    static List<Run> getRuns(byte[] body, int count) {
        if (body.length == 0 || body.length % 12 != 0) {
            return null;
        }
        List<Run> runs = new ArrayList<>(body.length / 12);
        ByteBuffer from = ByteBuffer.wrap(body);
        long last = -1;
        long total = 0;
        while (from.hasRemaining()) {
            long first = from.getLong();
            long n = Integer.toUnsignedLong(from.getInt());
            if (n == 0 || first <= last || n - 1 > Long.MAX_VALUE - first) { // a sign bit is below every last, too
                return null;
            }
            last = first + n - 1;
            total += n;
            runs.add(new Run(first, (int) n));
        }
        return total == count ? runs : null;
    }

    /** null for what is none. */
    static Refusal getRefusal(byte[] body) {
        if (body.length < 4) {
            return null;
        }
        return new Refusal(Integer.toUnsignedLong(ByteBuffer.wrap(body).getInt()), new String(body, 4, Math.min(body.length - 4, 150), StandardCharsets.UTF_8));
    }
}
