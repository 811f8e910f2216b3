package io.snowfleet.client;

/** One address that may mint, and how it does. Under the engine's lock. */
final class Server {
    enum Breaker { CLOSED, OPEN, PROBING }

    final String ip;
    final int port;
    final String host;
    final Names.Name name;
    final String address;
    Conn conn;
    int maxBatch; // 0: not known yet
    long lastId;
    boolean gone;
    Breaker state = Breaker.CLOSED;
    int failures;
    int load;
    long openFor;
    long opened;
    long probeAt;
    long probingSince;
    long busyUntil = Long.MIN_VALUE;

    Server(String ip, int port, String host, Names.Name name) {
        this.ip = ip;
        this.port = port;
        this.host = host;
        this.name = name;
        this.address = ip.indexOf(':') >= 0 ? "[" + ip + "]:" + port : ip + ":" + port;
    }
}
