package io.snowfleet.client;

import java.time.Instant;

/** IDs as text and by their parts. An ID is a {@code long}, 0 to 2^63 - 1. */
public final class SnowfleetId {
    private static final String DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    private SnowfleetId() {}

    /** The fields of an ID. */
    public record Parts(long unixMs, long datacenter, long worker, long sequence) {
        /** When it was minted. */
        public Instant time() {
            return Instant.ofEpochMilli(unixMs);
        }
    }

    /** Which bits of an ID mean what, and when its timestamps begin. It belongs to a fleet and never changes. */
    public record Layout(int timestamp, int datacenter, int worker, int sequence, long epochMs) {
        /** 41, 5, 5, 12 from 2024-01-01 on. */
        public static final Layout DEFAULT = new Layout(41, 5, 5, 12, 1704067200000L);

        public Layout {
            if (timestamp < 1 || datacenter < 0 || worker < 0 || sequence < 0 || (long) timestamp + datacenter + worker + sequence != 63) {
                throw new IllegalArgumentException("the widths must add up to 63, and the timestamp have 1 at least");
            }
        }

        private static long mask(int bits) {
            return (1L << bits) - 1;
        }

        /** Takes an ID apart. */
        public Parts decode(long id) {
            if (id < 0) {
                throw new IllegalArgumentException(id + " is not an ID; 0 to " + Long.MAX_VALUE + " are");
            }
            long rest = id >>> sequence;
            return new Parts(epochMs + (rest >>> worker + datacenter), rest >>> worker & mask(datacenter), rest & mask(worker), id & mask(sequence));
        }

        /** The ID of these parts. */
        public long encode(Parts parts) {
            long time = parts.unixMs - epochMs;
            if (time < 0 || time > mask(timestamp) || out(parts.datacenter, datacenter) || out(parts.worker, worker) || out(parts.sequence, sequence)) {
                throw new IllegalArgumentException(parts + " does not fit " + this);
            }
            return ((time << datacenter | parts.datacenter) << worker | parts.worker) << sequence | parts.sequence;
        }

        private static boolean out(long value, int bits) {
            return value < 0 || value > mask(bits);
        }

        /** The smallest ID of a moment: a bound for queries by time. */
        public long lowest(Instant moment) {
            return encode(new Parts(moment.toEpochMilli(), 0, 0, 0));
        }

        boolean sameSlot(long a, long b) {
            return ((a ^ b) >>> sequence & mask(worker + datacenter)) == 0;
        }
    }

    /** Always 13 digits of Crockford's base 32, which sort as the IDs do. */
    public static String toBase32(long id) {
        if (id < 0) {
            throw new IllegalArgumentException(id + " is not an ID; 0 to " + Long.MAX_VALUE + " are");
        }
        char[] text = new char[13];
        for (int i = 12; i >= 0; i--, id >>>= 5) {
            text[i] = DIGITS.charAt((int) (id & 31));
        }
        return new String(text);
    }

    /** Reads what toBase32 writes, in either case; I, L and O are read as 1, 1 and 0. */
    public static long fromBase32(String text) {
        long id = 0;
        boolean wrong = text.length() != 13;
        for (int i = 0; i < text.length() && !wrong; i++) {
            char c = Character.toUpperCase(text.charAt(i));
            int digit = c == 'O' ? 0 : c == 'I' || c == 'L' ? 1 : DIGITS.indexOf(c);
            wrong = digit < 0 || i == 0 && digit > 7;
            id = id << 5 | digit;
        }
        if (wrong) {
            throw new IllegalArgumentException("\"" + text + "\" is not an ID in base 32; 0000000000000 to 7ZZZZZZZZZZZZ are");
        }
        return id;
    }

    /** Reads the decimal form. */
    public static long parse(String text) {
        if (text == null || text.isEmpty() || text.length() > 19 || !text.chars().allMatch(c -> c >= '0' && c <= '9')) {
            throw new IllegalArgumentException("\"" + text + "\" is not an ID; 0 to " + Long.MAX_VALUE + " are");
        }
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("\"" + text + "\" is not an ID; 0 to " + Long.MAX_VALUE + " are", e);
        }
    }
}
