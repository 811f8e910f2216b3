package io.snowfleet.client;

import io.snowfleet.client.SnowfleetException.Code;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * The options of a client, by the meaning, defaults and bounds of the C library (include/snowfleet/client.h). 0 in a time or count that has a default
 * means the default.
 */
public final class Options implements Cloneable {
    static final int NAMES_MAX = 64;
    static final int DISCOVER_MAX = 128;
    static final int SERVERS_MAX = 256;
    /** IDs of one call. */
    public static final int COUNT_MAX = 1048576;

    /** "host:port,host:port": addresses, or names, every address of which is a server. Without a port: 7450. */
    public String servers = "127.0.0.1:7450";
    /** Deadline of a call: 2000. */
    public int timeoutMs;
    /** After this another worker is asked beside a silent one: 100. */
    public int attemptTimeoutMs;
    public int connectTimeoutMs;
    /** A second worker is asked beside the first after this (0: never) ... */
    public int hedgeMs;
    /** ... or when that part of the latest answers would have come: 50 to 99. */
    public int hedgePercentile;
    /** Names are looked up again: 30000. */
    public int resolveMs;
    /** Use the workers that the workers tell of, too. */
    public boolean discover;
    public int discoverMs;
    /** Each call brings that part of a retry: 20. */
    public int retryBudgetPercent;
    public int retryBudgetMax;
    public int backoffMinMs;
    public int backoffMaxMs;
    /** Lost connections in a row that open a server's breaker: 3. */
    public int breakerFailures;
    public int breakerOpenMinMs;
    public int breakerOpenMaxMs;
    /** Between tries of one server while none works: 75. */
    public int breakerIdleMs;
    /** IDs fetched ahead by one request; not together with causal. */
    public int prefetch;
    /** No older one is handed out: 100. */
    public int prefetchMaxAgeMs;
    /** Every ID is greater than all that were handed out before. */
    public boolean causal;
    /** TLS 1.2 or later. */
    public boolean tls;
    /** File of trusted certificates (PEM); null: those of the Java runtime. */
    public String tlsCa;
    /** Own certificate chain and key (PEM, PKCS #8), for mutual TLS. */
    public String tlsCert;
    public String tlsKey;
    /** What the certificate must bear; null: the host of servers. */
    public String tlsServerName;
    /** Sent with AUTH on every connection. */
    public String token;

    public Options() {}

    public Options(String servers) {
        this.servers = servers;
    }

    private static int number(String name, int value, int standard, int least, int most) {
        int chosen = value == 0 ? standard : value;
        if (chosen != standard && (chosen < least || chosen > most)) {
            throw SnowfleetException.invalid(name + ": " + chosen + " is out of range; allowed are " + least + " to " + most);
        }
        return chosen;
    }

    private static void refuse(boolean wrong, String why) {
        if (wrong) {
            throw SnowfleetException.invalid(why);
        }
    }

    /** A copy with the defaults, or an exception that says what is not allowed. */
    Options checked() {
        Options o;
        try {
            o = (Options) clone();
        } catch (CloneNotSupportedException e) {
            throw new AssertionError(e);
        }
        o.timeoutMs = number("timeout_ms", timeoutMs, 2000, 1, 3600000);
        o.attemptTimeoutMs = number("attempt_timeout_ms", attemptTimeoutMs, 100, 1, 3600000);
        o.connectTimeoutMs = number("connect_timeout_ms", connectTimeoutMs, 1000, 1, 3600000);
        o.hedgeMs = number("hedge_ms", hedgeMs, 0, 0, 3600000);
        o.hedgePercentile = number("hedge_percentile", hedgePercentile, 0, 50, 99);
        o.resolveMs = number("resolve_ms", resolveMs, 30000, 1000, 86400000);
        o.discoverMs = number("discover_ms", discoverMs, 30000, 1000, 86400000);
        o.retryBudgetPercent = number("retry_budget_percent", retryBudgetPercent, 20, 1, 1000);
        o.retryBudgetMax = number("retry_budget_max", retryBudgetMax, 100, 1, 1000000);
        o.backoffMinMs = number("backoff_min_ms", backoffMinMs, 2, 1, 60000);
        o.backoffMaxMs = number("backoff_max_ms", backoffMaxMs, 100, 1, 60000);
        o.breakerFailures = number("breaker_failures", breakerFailures, 3, 1, 1000000);
        o.breakerOpenMinMs = number("breaker_open_min_ms", breakerOpenMinMs, 100, 1, 600000);
        o.breakerOpenMaxMs = number("breaker_open_max_ms", breakerOpenMaxMs, 1000, 1, 600000);
        o.breakerIdleMs = number("breaker_idle_ms", breakerIdleMs, 75, 1, 60000);
        o.prefetch = number("prefetch", prefetch, 0, 0, 65536);
        o.prefetchMaxAgeMs = number("prefetch_max_age_ms", prefetchMaxAgeMs, 100, 1, 600000);
        refuse(servers == null, "servers: none given; example: ids-0:7450,ids-1:7450");
        refuse(o.backoffMinMs > o.backoffMaxMs, "backoff_min_ms: must not be above backoff_max_ms");
        refuse(o.breakerOpenMinMs > o.breakerOpenMaxMs, "breaker_open_min_ms: must not be above breaker_open_max_ms");
        refuse(causal && prefetch > 0, "prefetch: gives up the order that causal promises; use one");
        refuse((tlsCert == null) != (tlsKey == null), "tls_cert, tls_key: give both or none");
        refuse(!tls && (tlsCa != null || tlsCert != null || tlsServerName != null), "tls: must be true for the other tls options to have a use");
        if (token != null) {
            int size = token.getBytes(StandardCharsets.UTF_8).length;
            refuse(size < 1 || size > 256, "token: must have 1 to 256 bytes");
        }
        return o;
    }

    record HostPort(String host, int port) {
        boolean numeric() {
            return host.indexOf(':') >= 0 || host.matches("[0-9]{1,3}([.][0-9]{1,3}){3}");
        }
    }

    /** null for what is none. */
    static HostPort parseHostPort(String text, String defaultPort) {
        String host = text;
        String port = defaultPort;
        if (text.startsWith("[")) {
            int end = text.indexOf(']');
            if (end < 0 || end + 1 < text.length() && text.charAt(end + 1) != ':') {
                return null;
            }
            host = text.substring(1, end);
            port = end + 1 < text.length() ? text.substring(end + 2) : port;
        } else if (text.indexOf(':') == text.lastIndexOf(':') && text.indexOf(':') >= 0) {
            host = text.substring(0, text.indexOf(':'));
            port = text.substring(text.indexOf(':') + 1);
        }
        if (host.isEmpty() || host.length() > 253 || host.matches(".*[\\[\\]/\\s].*") || !port.matches("[0-9]{1,5}")) {
            return null;
        }
        int number = Integer.parseInt(port);
        return number >= 1 && number <= 65535 ? new HostPort(host, number) : null;
    }

    List<HostPort> parseServers() {
        List<HostPort> found = new ArrayList<>();
        for (String entry : servers.split("[, ]+")) {
            if (entry.isEmpty()) {
                continue;
            }
            HostPort at = parseHostPort(entry, "7450");
            refuse(at == null, "servers: \"" + entry + "\" is not a server; allowed are HOST, HOST:PORT, ADDRESS:PORT and [IPV6]:PORT");
            found.add(at);
        }
        refuse(found.isEmpty(), "servers: none given; example: ids-0:7450,ids-1:7450");
        refuse(found.size() > NAMES_MAX, "servers: more than " + NAMES_MAX + " entries");
        return found;
    }

    /** null without TLS. */
    SSLContext tlsContext() {
        if (!tls) {
            return null;
        }
        try {
            SSLContext context = SSLContext.getInstance("TLS");
            TrustManagerFactory trust = null;
            if (tlsCa != null) {
                KeyStore store = emptyStore();
                int n = 0;
                for (Certificate each : certificates(tlsCa)) {
                    store.setCertificateEntry("ca" + n++, each);
                }
                trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
                trust.init(store);
            }
            KeyManagerFactory keys = null;
            if (tlsCert != null) {
                keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
                keys.init(ownKeys(), new char[0]);
            }
            context.init(keys == null ? null : keys.getKeyManagers(), trust == null ? null : trust.getTrustManagers(), null);
            return context;
        } catch (Exception e) { // of many kinds: files, encodings, certificates, keys
            throw new SnowfleetException(Code.TLS, "tls_ca " + tlsCa + ", tls_cert " + tlsCert + ", tls_key " + tlsKey + ": " + e);
        }
    }

    private static KeyStore emptyStore() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        return store;
    }

    private static Collection<? extends Certificate> certificates(String path) throws Exception {
        try (var stream = Files.newInputStream(Path.of(path))) {
            var found = CertificateFactory.getInstance("X.509").generateCertificates(stream);
            if (found.isEmpty()) {
                throw new IllegalArgumentException(path + " holds no certificate");
            }
            return found;
        }
    }

    private KeyStore ownKeys() throws Exception {
        String pem = Files.readString(Path.of(tlsKey));
        String label = "PRIVATE KEY-----";
        int from = pem.indexOf("-----BEGIN " + label);
        int to = pem.indexOf("-----END " + label);
        if (from < 0 || to < from) {
            throw new IllegalArgumentException(tlsKey + " holds no key in PKCS #8 without a pass phrase");
        }
        byte[] der = Base64.getMimeDecoder().decode(pem.substring(from + 11 + label.length(), to));
        Certificate[] chain = certificates(tlsCert).toArray(new Certificate[0]);
        PrivateKey key = KeyFactory.getInstance(chain[0].getPublicKey().getAlgorithm()).generatePrivate(new PKCS8EncodedKeySpec(der));
        checkPair(key, chain[0]);
        KeyStore store = emptyStore();
        store.setKeyEntry("own", key, new char[0], chain);
        return store;
    }

    /** What the key signs, the certificate must verify. */
    private static void checkPair(PrivateKey key, Certificate certificate) throws Exception {
        String algorithm = "SHA256with" + (key.getAlgorithm().equals("EC") ? "ECDSA" : key.getAlgorithm());
        if (key.getAlgorithm().startsWith("Ed")) {
            algorithm = key.getAlgorithm();
        }
        var signature = java.security.Signature.getInstance(algorithm);
        signature.initSign(key);
        signature.update((byte) 1);
        byte[] signed = signature.sign();
        signature.initVerify(certificate);
        signature.update((byte) 1);
        if (!signature.verify(signed)) {
            throw new IllegalArgumentException("the key does not belong to the certificate");
        }
    }
}
