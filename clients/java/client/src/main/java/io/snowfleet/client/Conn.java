package io.snowfleet.client;

import io.snowfleet.client.Call.Attempt;
import io.snowfleet.client.Policy.Outcome;
import io.snowfleet.client.SnowfleetException.Code;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;

/** One connection, and the requests that wait for their answers, in order. A thread of its own connects and reads; everything else is under the engine's lock. */
final class Conn {
    enum State { CONNECTING, UP, LEAVING, ENDED }

    enum Kind {
        CALL(Frames.NEXT), PROBE(Frames.NEXT), INFO(Frames.INFO), AUTH(Frames.AUTH);

        final int frame;

        Kind(int frame) {
            this.frame = frame;
        }
    }

    /** One frame that waits for its answer. */
    static final class Request {
        final int id;
        final Kind kind;
        final long sent;
        int count;
        long after = -1; // every ID must be above this
        long floor; // an ID of the same slot must be above this; 0: unknown
        boolean silent;
        final List<Attempt> attempts = new ArrayList<>(1);

        Request(int id, Kind kind, long sent) {
            this.id = id;
            this.kind = kind;
            this.sent = sent;
        }
    }

    /**
     * Requests in flight on one connection. What comes meanwhile waits together and goes out together, as one request: the slower the answers, the more
     * callers share one. So few also fit any socket's buffer: a write never waits.
     */
    private static final int IN_FLIGHT_MAX = 4;
    /** A connection whose oldest request has waited this many attempt timeouts, and a second, is given up. */
    private static final int SILENCE_FACTOR = 10;

    /** Writes of one caller for the others. */
    private static final int WRITES_MAX = 8;

    final Server server;
    State state = State.CONNECTING;
    ArrayDeque<Attempt> waiting = new ArrayDeque<>();
    final ArrayDeque<Request> pending = new ArrayDeque<>();
    boolean announced;
    boolean answered;
    boolean denied; // the token was refused: it must be shown again
    boolean askingInfo;
    boolean nameless; // the worker did not know its fleet when INFO was answered
    boolean idsCame; // IDs came while it was nameless
    long lastId;
    private final Engine engine;
    private final Socket plain = new Socket();
    private volatile Socket socket = plain;
    private final ByteArrayOutputStream out = new ByteArrayOutputStream(64);
    private int nextId;
    private boolean checking;
    private boolean writing; // without the lock: whoever does it goes on with what came meanwhile

    Conn(Engine engine, Server server) {
        this.engine = engine;
        this.server = server;
        Thread reader = new Thread(this::run, "snowfleet-" + server.address);
        reader.setDaemon(true);
        reader.start();
    }

    private void run() {
        try {
            connect();
            DataInputStream in = new DataInputStream(new BufferedInputStream(socket.getInputStream(), 1 << 14));
            synchronized (engine) {
                if (state != State.CONNECTING) {
                    return;
                }
                state = State.UP;
                announced = true;
                engine.count("connects");
                introduce();
                flush();
            }
            while (read(in)) { }
        } catch (IOException e) {
            fail(e);
        } catch (RuntimeException e) { // a defect of ours must not leave calls without an end
            synchronized (engine) {
                end(Outcome.BROKEN, "a defect of the client: " + e, Code.INTERNAL);
            }
            throw e;
        } finally {
            close();
        }
    }

    private void close() {
        try {
            socket.close();
            plain.close();
        } catch (IOException e) {
            // it is gone, one way or the other
        }
    }

    private void connect() throws IOException {
        int patience = engine.options.connectTimeoutMs;
        long begin = System.nanoTime();
        plain.setTcpNoDelay(true);
        plain.setKeepAlive(true);
        plain.connect(new InetSocketAddress(InetAddress.getByName(server.ip), server.port), patience);
        if (engine.tls == null) {
            return;
        }
        String name = engine.options.tlsServerName != null ? engine.options.tlsServerName : server.host;
        SSLSocket secured = (SSLSocket) engine.tls.getSocketFactory().createSocket(plain, name, server.port, true);
        SSLParameters parameters = secured.getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        parameters.setProtocols(new String[] {"TLSv1.3", "TLSv1.2"});
        secured.setSSLParameters(parameters);
        secured.setSoTimeout((int) Math.max(1, patience - (System.nanoTime() - begin) / Policy.MS));
        secured.startHandshake();
        secured.setSoTimeout(0);
        socket = secured;
    }

    // --- requests, under the lock ---

    private Request push(Kind kind, long now) {
        Request request = new Request(++nextId, kind, now);
        pending.add(request);
        return request;
    }

    private void ask(Kind kind, byte[] body) {
        Request request = push(kind, System.nanoTime());
        out.writeBytes(Frames.put(kind.frame, request.id, body, 0));
    }

    private void introduce() {
        denied = false;
        if (engine.token != null) {
            ask(Kind.AUTH, engine.token);
        }
        askingInfo = true;
        ask(Kind.INFO, new byte[0]);
    }

    /** Who the worker is, and who its fellows are: beside the other requests. */
    void askInfo() {
        if (state == State.UP && !askingInfo) {
            askingInfo = true;
            ask(Kind.INFO, new byte[0]);
        }
    }

    /** Makes frames of the attempts that wait, one for all that can share it, the sum of their counts; and sends them. */
    void flush() {
        byte[] bytes = collect();
        if (bytes == null) {
            return;
        }
        if (engine.defers(this, bytes)) {
            writing = true;
            return;
        }
        try {
            socket.getOutputStream().write(bytes);
        } catch (IOException e) {
            engine.soon(() -> fail(e));
        }
    }

    /** What is to be sent now; null: nothing. */
    private byte[] collect() {
        if (state != State.UP || writing) {
            return null;
        }
        if (!waiting.isEmpty()) {
            if (denied) {
                introduce();
            } else if (nameless) {
                askInfo();
            }
            build();
        }
        if (out.size() == 0) {
            return null;
        }
        byte[] bytes = out.toByteArray();
        out.reset();
        if (!checking && !pending.isEmpty()) {
            checking = true;
            engine.later(engine.options.attemptTimeoutMs * Policy.MS, this::check);
        }
        return bytes;
    }

    /** Without the lock, and what came meanwhile behind it; after a while whoever reads goes on with that. */
    void write(byte[] bytes) {
        for (int round = 0; bytes != null; round++) {
            try {
                socket.getOutputStream().write(bytes);
            } catch (IOException e) {
                fail(e);
            }
            synchronized (engine) {
                writing = false;
                bytes = round < WRITES_MAX || pending.isEmpty() ? collect() : null;
                writing = bytes != null;
            }
        }
    }

    private void build() {
        int most = server.maxBatch; // 0: not known yet, so each for itself
        long now = System.nanoTime();
        while (!waiting.isEmpty() && pending.size() < IN_FLIGHT_MAX) {
            Attempt first = waiting.poll();
            if (first.abandoned) {
                first.drop();
                continue;
            }
            Request request = push(first.call == null ? Kind.PROBE : Kind.CALL, now);
            request.count = first.count;
            request.floor = server.lastId;
            request.attempts.add(first);
            while (first.call != null && first.after < 0 && !waiting.isEmpty()) {
                Attempt other = waiting.peek();
                if (other.call == null || other.after >= 0 || request.count + other.count > most) {
                    break;
                }
                waiting.poll();
                if (other.abandoned) {
                    other.drop();
                    continue;
                }
                request.count += other.count;
                request.attempts.add(other);
            }
            if (first.call != null) {
                request.after = engine.laterThan(first.after);
            }
            out.writeBytes(Frames.putNext(request.id, request.count, request.after));
        }
    }

    /** Whoever waits for an answer judges the server himself; this is for the others, and for connections that stay silent. */
    private void check() {
        long patience = engine.options.attemptTimeoutMs * Policy.MS;
        Request oldest = pending.peek();
        if (oldest == null || state == State.ENDED) {
            checking = false;
            return;
        }
        long age = System.nanoTime() - oldest.sent;
        if (age >= Math.max(patience * SILENCE_FACTOR, 1000 * Policy.MS)) {
            end(Outcome.LOST, "silent for " + age / Policy.MS + " ms", Code.UNREACHABLE);
            return;
        }
        if (age >= patience && !oldest.silent) {
            oldest.silent = true;
            engine.report(server, Outcome.SILENT, 0);
        }
        engine.later(age < patience ? patience - age : patience, this::check);
    }

    // --- what comes ---

    private boolean read(DataInputStream in) throws IOException {
        long length = Integer.toUnsignedLong(in.readInt());
        if (length < Frames.LENGTH_MIN || length > Frames.LENGTH_MAX) {
            synchronized (engine) {
                end(Outcome.BROKEN, "what came is no Snowfleet frame (length field)", Code.PROTOCOL);
            }
            return false;
        }
        byte[] raw = new byte[(int) length];
        in.readFully(raw);
        ByteBuffer head = ByteBuffer.wrap(raw);
        int version = head.get();
        int kind = head.get() & 0xFF;
        int code = head.getShort() & 0xFFFF;
        int requestId = head.getInt();
        byte[] body = new byte[head.remaining()];
        head.get(body);
        engine.deferring(() -> {
            String wrong = state == State.ENDED ? null : take(version, kind, code, requestId, body);
            if (wrong != null) {
                end(Outcome.BROKEN, wrong, Code.PROTOCOL);
            } else if (state == State.LEAVING && pending.isEmpty()) {
                end(Outcome.LOST, "the server asked us to leave", Code.UNREACHABLE);
            } else if (state == State.UP && !waiting.isEmpty()) {
                flush();
            }
        });
        synchronized (engine) {
            return state != State.ENDED;
        }
    }

    /** What is wrong with the frame, or null. */
    private String take(int version, int kind, int code, int requestId, byte[] body) {
        if (version != 1) {
            return "a frame of another protocol version came";
        }
        if (kind == Frames.GOAWAY) {
            if (body.length < 4) {
                return "a malformed GOAWAY came";
            }
            leave();
            return null;
        }
        if (kind > Frames.GOAWAY) {
            return null; // a push of a later version
        }
        if (kind == Frames.ERROR) {
            if (code == Frames.BAD_REQUEST || code == Frames.UNSUPPORTED) {
                return "the server could not read our stream";
            }
            end(Outcome.LOST, "the server refused the connection: " + Frames.statusName(code), Code.UNREACHABLE);
            return null;
        }
        Request request = pending.peek();
        if (request == null) {
            return "an answer came that nobody asked for";
        }
        if (requestId != request.id || kind != (request.kind.frame | Frames.ANSWER)) {
            return "an answer came out of order";
        }
        pending.poll();
        answered = true;
        return engine.onAnswer(this, request, code, body);
    }

    // --- the end ---

    private void leave() {
        if (state == State.UP) {
            state = State.LEAVING;
        }
        engine.count("goaways");
        forsake();
        engine.names.lookSoon(System.nanoTime());
    }

    /** Nothing new here: what was not sent yet goes over another connection. */
    private void forsake() {
        if (server.conn == this) {
            server.conn = null;
        }
        ArrayDeque<Attempt> moved = waiting;
        waiting = new ArrayDeque<>();
        moved.forEach(engine::onMoved);
    }

    /** Its server is no longer in use; what was asked is still answered. */
    void retire() {
        forsake();
        if (pending.isEmpty()) {
            end(Outcome.LOST, "its server is no longer in use", Code.UNREACHABLE);
        } else if (state != State.ENDED) {
            state = State.LEAVING;
        }
    }

    private void fail(IOException e) {
        // A peer that was killed says no farewell: that is a lost connection like any other.
        String text = e instanceof EOFException ? "the server closed the connection" : String.valueOf(e.getMessage());
        boolean broke = text.contains("Remote host terminated") || text.contains("Remote host closed") || text.contains("Connection reset")
            || text.contains("Broken pipe") || text.contains("Socket closed") || text.contains("closing inbound before");
        synchronized (engine) {
            end(Outcome.LOST, text, e instanceof SSLException && !broke ? Code.TLS : Code.UNREACHABLE);
            engine.runSoon();
        }
    }

    /** Closes, judges the server, hands its calls on. Only the first call of it counts. */
    void end(Outcome outcome, String why, Code code) {
        if (state == State.ENDED) {
            return;
        }
        state = State.ENDED;
        Thread closer = new Thread(this::close, "snowfleet-close"); // a farewell in TLS may wait for the peer
        closer.setDaemon(true);
        if (engine.tls == null) {
            close();
        } else {
            closer.start();
        }
        if (server.conn == this) {
            server.conn = null;
        }
        engine.buried(this, !announced && outcome == Outcome.LOST ? Outcome.UNREACHED : outcome, code, why);
    }
}
