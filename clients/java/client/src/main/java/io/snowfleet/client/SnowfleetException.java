package io.snowfleet.client;

/** Every failed call throws this. */
public final class SnowfleetException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** What went wrong, by the names of the C library's enum sf_client_error. */
    public enum Code {
        /** An argument or option is not allowed; the detail says which. */
        INVALID,
        /** No worker could be connected to by the deadline. */
        UNREACHABLE,
        /** Connected and asked, but nothing answered by the deadline. */
        TIMEOUT,
        /** Every worker said that it holds no slot or reservation. */
        NOT_READY,
        /** Every worker said that its clock is not safe. */
        CLOCK,
        /** Queues full until the deadline. */
        OVERLOADED,
        /** Over quota, and the wait is longer than the call may last. */
        RATE_LIMITED,
        /** Every worker is shutting down. */
        DRAINING,
        /** The token is missing or was refused. */
        DENIED,
        /** {@code after} lies further ahead than the call may wait. */
        CAUSALITY,
        /** A worker reported a defect, or a status unknown to this library. */
        INTERNAL,
        /** The worker does not accept the request. */
        REFUSED,
        /** What answered does not speak the Snowfleet protocol. */
        PROTOCOL,
        /** A worker gave an ID that repeats or goes back: page somebody, use none of these IDs. */
        ORDER,
        /** A server name has no address. */
        NAME,
        /** Certificate, key or handshake. */
        TLS,
        /** A worker belongs to another fleet than the ones before it. */
        WRONG_FLEET,
        /** The client was closed, or the future cancelled. */
        CANCELLED
    }

    private final Code code;
    private final String detail;
    private final String server;
    private final long retryAfterMs;

    SnowfleetException(Code code, String detail, String server, long retryAfterMs) {
        super(code + ": " + detail);
        this.code = code;
        this.detail = detail;
        this.server = server;
        this.retryAfterMs = retryAfterMs;
    }

    SnowfleetException(Code code, String detail) {
        this(code, detail, "", 0);
    }

    static SnowfleetException invalid(String detail) {
        return new SnowfleetException(Code.INVALID, detail);
    }

    public Code code() {
        return code;
    }

    /** For people: what happened, and what to do where something can be done. */
    public String detail() {
        return detail;
    }

    /** Who answered last, "address:port"; may be empty. */
    public String server() {
        return server;
    }

    /** RATE_LIMITED, CAUSALITY, OVERLOADED: what the worker asked for. */
    public long retryAfterMs() {
        return retryAfterMs;
    }
}
