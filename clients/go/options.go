package snowfleet

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Options of a client. The zero value of each means its default; only Servers must be given. Names, defaults and bounds are those of the C
// library (include/snowfleet/client.h).
type Options struct {
	// Servers is "host:port,host:port": addresses, or names, every address of which is a server. Without a port: 7450.
	// "unix:/path" and "unix:@name": a worker's UNIX socket, never inside TLS.
	Servers string

	Timeout         time.Duration // deadline of a call; the context's may be earlier [2 s]
	AttemptTimeout  time.Duration // after this another worker is asked beside a silent one [100 ms]
	ConnectTimeout  time.Duration // [1 s]
	Hedge           time.Duration // a second worker is asked beside the first after this [never]
	HedgePercentile uint32        // ... or when that part of the latest answers would have come: 50 to 99 [0: never]
	Resolve         time.Duration // names are looked up again [30 s]
	Discover        bool          // use the workers that the workers tell of, too
	DiscoverEvery   time.Duration // [30 s]

	RetryBudgetPercent uint32        // each call brings that part of a retry [20]
	RetryBudgetMax     uint32        // [100]
	BackoffMin         time.Duration // [2 ms]
	BackoffMax         time.Duration // [100 ms]
	BreakerFailures    uint32        // lost connections in a row that open a server's breaker [3]
	BreakerOpenMin     time.Duration // first wait before a probe [100 ms]
	BreakerOpenMax     time.Duration // [1 s]
	BreakerIdle        time.Duration // between tries of one server while none works [75 ms]

	Prefetch       int           // IDs fetched ahead by one request; 0: none. Not together with Causal
	PrefetchMaxAge time.Duration // no older one is handed out [100 ms]
	Causal         bool          // every ID is greater than all that were handed out before

	TLS           bool   // TLS 1.2 or later
	TLSCA         string // file of trusted certificates [the system's]
	TLSCert       string // own certificate chain and key, for mutual TLS
	TLSKey        string
	TLSServerName string // what the certificate must bear [the host of Servers]
	Token         string // sent with AUTH on every connection

	// Log is told what an operator wants to know. It must not block, nor call the client. See SlogHook.
	Log func(Event)
}

// Event is one thing that happened to a client.
type Event struct {
	Warning bool
	Message string
	Server  string
}

// The largest number of IDs of one call, and of those fetched ahead.
const (
	CountMax    = 1048576
	PrefetchMax = 65536
)

const (
	namesMax    = 64
	discoverMax = 128
	serversMax  = 256
)

type duration struct {
	name               string
	value              *time.Duration
	standard, min, max time.Duration
}

func (o *Options) durations() []duration {
	const ms, hour, day = time.Millisecond, time.Hour, 24 * time.Hour
	return []duration{
		{"timeout_ms", &o.Timeout, 2000 * ms, ms, hour},
		{"attempt_timeout_ms", &o.AttemptTimeout, 100 * ms, ms, hour},
		{"connect_timeout_ms", &o.ConnectTimeout, 1000 * ms, ms, hour},
		{"hedge_ms", &o.Hedge, 0, 0, hour},
		{"resolve_ms", &o.Resolve, 30000 * ms, 1000 * ms, day},
		{"discover_ms", &o.DiscoverEvery, 30000 * ms, 1000 * ms, day},
		{"backoff_min_ms", &o.BackoffMin, 2 * ms, ms, 60000 * ms},
		{"backoff_max_ms", &o.BackoffMax, 100 * ms, ms, 60000 * ms},
		{"breaker_open_min_ms", &o.BreakerOpenMin, 100 * ms, ms, 600000 * ms},
		{"breaker_open_max_ms", &o.BreakerOpenMax, 1000 * ms, ms, 600000 * ms},
		{"breaker_idle_ms", &o.BreakerIdle, 75 * ms, ms, 60000 * ms},
		{"prefetch_max_age_ms", &o.PrefetchMaxAge, 100 * ms, ms, 600000 * ms},
	}
}

func number(name string, value *uint32, standard, least, most uint32) *Error {
	if *value == 0 {
		*value = standard
	}
	if *value != standard && (*value < least || *value > most) {
		return invalid("%s: %d is out of range; allowed are %d to %d", name, *value, least, most)
	}
	return nil
}

// check puts the defaults in and says what is not allowed.
func (o *Options) check() *Error {
	for _, each := range o.durations() {
		if *each.value == 0 {
			*each.value = each.standard
		}
		if *each.value != each.standard && (*each.value < each.min || *each.value > each.max) {
			return invalid("%s: %v is out of range; allowed are %v to %v", each.name, *each.value, each.min, each.max)
		}
	}
	for _, err := range []*Error{
		number("hedge_percentile", &o.HedgePercentile, 0, 50, 99),
		number("retry_budget_percent", &o.RetryBudgetPercent, 20, 1, 1000),
		number("retry_budget_max", &o.RetryBudgetMax, 100, 1, 1000000),
		number("breaker_failures", &o.BreakerFailures, 3, 1, 1000000),
	} {
		if err != nil {
			return err
		}
	}
	switch {
	case o.Prefetch < 0 || o.Prefetch > PrefetchMax:
		return invalid("prefetch: %d is out of range; allowed are 0 to %d", o.Prefetch, PrefetchMax)
	case o.BackoffMin > o.BackoffMax:
		return invalid("backoff_min_ms: must not be above backoff_max_ms")
	case o.BreakerOpenMin > o.BreakerOpenMax:
		return invalid("breaker_open_min_ms: must not be above breaker_open_max_ms")
	case o.Causal && o.Prefetch > 0:
		return invalid("prefetch: gives up the order that causal promises; use one")
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return invalid("tls_cert, tls_key: give both or none")
	case !o.TLS && (o.TLSCA != "" || o.TLSCert != "" || o.TLSServerName != ""):
		return invalid("tls: must be true for the other tls options to have a use")
	case len(o.Token) > 256:
		return invalid("token: must have 1 to 256 bytes")
	}
	return nil
}

// hostPort is one entry of Servers.
type hostPort struct {
	host string
	port uint16
}

// unixPrefix is what stands before the path of a UNIX socket, or before "@" and an abstract name.
const (
	unixPrefix = "unix:"
	unixMax    = 107
)

func (at hostPort) String() string {
	if isUnix(at.host) {
		return at.host
	}
	return net.JoinHostPort(at.host, strconv.Itoa(int(at.port)))
}

func isUnix(host string) bool { return strings.HasPrefix(host, unixPrefix) }

// isNumeric: an address, or a socket: nothing that is looked up.
func isNumeric(host string) bool { return isUnix(host) || net.ParseIP(host) != nil }

// parseUnix takes "unix:" with an absolute path below a directory, or with "@" and a name.
func parseUnix(text string) (hostPort, bool) {
	path := strings.TrimPrefix(text, unixPrefix)
	good := strings.HasPrefix(path, "@") && len(path) > 1 ||
		strings.HasPrefix(path, "/") && strings.LastIndex(path, "/") > 0 && !strings.HasSuffix(path, "/")
	for _, each := range []byte(path) {
		good = good && each > ' ' && each <= '~'
	}
	return hostPort{host: text}, good && len(path) <= unixMax
}

func parseHostPort(text string, defaultPort string) (hostPort, bool) {
	host, port := text, defaultPort
	switch {
	case strings.HasPrefix(text, "["):
		end := strings.Index(text, "]")
		if end < 0 {
			return hostPort{}, false
		}
		host = text[1:end]
		if rest := text[end+1:]; strings.HasPrefix(rest, ":") {
			port = rest[1:]
		} else if rest != "" {
			return hostPort{}, false
		}
	case strings.Count(text, ":") == 1:
		host, port, _ = strings.Cut(text, ":")
	}
	value, err := strconv.ParseUint(port, 10, 16)
	if err != nil || value == 0 || host == "" || len(host) > 253 || strings.ContainsAny(host, "[]/ ") {
		return hostPort{}, false
	}
	return hostPort{host, uint16(value)}, true
}

func parseServers(text string) ([]hostPort, *Error) {
	var found []hostPort
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		parse := func() (hostPort, bool) { return parseHostPort(entry, "7450") }
		if isUnix(entry) {
			parse = func() (hostPort, bool) { return parseUnix(entry) }
		}
		at, ok := parse()
		if !ok {
			return nil, invalid("servers: %q is not a server; allowed are HOST, HOST:PORT, ADDRESS:PORT, [IPV6]:PORT, unix:/PATH and unix:@NAME", entry)
		}
		found = append(found, at)
	}
	if len(found) == 0 {
		return nil, invalid("servers: none given; example: ids-0:7450,ids-1:7450")
	}
	if len(found) > namesMax {
		return nil, invalid("servers: more than %d entries", namesMax)
	}
	return found, nil
}

func (o *Options) tlsConfig() (*tls.Config, *Error) {
	if !o.TLS {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.TLSServerName}
	if o.TLSCA != "" {
		pem, err := os.ReadFile(o.TLSCA)
		if err != nil {
			return nil, &Error{Code: TLS, Detail: "tls_ca: " + err.Error()}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &Error{Code: TLS, Detail: "tls_ca: " + o.TLSCA + " holds no certificate"}
		}
	}
	if o.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
		if err != nil {
			return nil, &Error{Code: TLS, Detail: "tls_cert " + o.TLSCert + ", tls_key " + o.TLSKey + ": " + err.Error()}
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
