// Package snowfleet gets unique, time-ordered 64-bit IDs from a fleet of Snowfleet workers, as if it were one service that does not fail.
//
//	client, err := snowfleet.New(snowfleet.Options{Servers: "ids-0:7450,ids-1:7450"})
//	...
//	id, err := client.Next(ctx)
//
// A client is for any number of goroutines at once: those that wait at the same moment share one request. Make one for each fleet and keep it.
package snowfleet

import (
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// server is one address that may mint.
type server struct {
	health
	address  string // "1.2.3.4:7450"
	host     string // what its certificate must bear
	name     *name
	conn     *conn // where new requests go; nil: none yet
	maxBatch atomic.Uint32
	lastID   atomic.Uint64 // largest seen
}

// Client asks a fleet for IDs. Safe for concurrent use.
type Client struct {
	options Options
	tls     *tls.Config
	context context.Context // ends with Close
	cancel  context.CancelFunc

	mu         sync.Mutex // of what follows
	policy     policy
	names      []*name
	fleetID    string
	looked     time.Time
	lookAt     time.Time
	resolveNow chan struct{}

	layout   atomic.Pointer[Layout]
	causal   atomic.Uint64 // the largest ID that was handed out
	active   atomic.Int32  // calls under way
	prefetch *prefetch
	stats    counters
	calls    sync.Pool
}

// New makes a client. It does not connect yet, and waits for no name.
func New(options Options) (*Client, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	entries, err := parseServers(options.Servers)
	if err != nil {
		return nil, err
	}
	config, err := options.tlsConfig()
	if err != nil {
		return nil, err
	}
	var seed [8]byte
	if _, err := crand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("snowfleet: no random numbers: %w", err)
	}
	c := &Client{options: options, tls: config, resolveNow: make(chan struct{}, 1)}
	c.context, c.cancel = context.WithCancel(context.Background())
	c.policy = newPolicy(&c.options, int64(binary.BigEndian.Uint64(seed[:])>>1))
	c.calls.New = func() any { return newCall() }
	if options.Prefetch > 0 {
		c.prefetch = &prefetch{client: c, filling: make(chan struct{}, 1)}
	}
	if c.addNames(entries) || options.Discover {
		go c.resolver()
	}
	return c, nil
}

// Close ends everything; calls under way get Cancelled. Nil error: there is nothing that can fail.
func (c *Client) Close() error {
	c.cancel()
	c.mu.Lock()
	var conns []*conn
	for _, each := range c.policy.servers {
		if each.conn != nil {
			conns = append(conns, each.conn)
			each.conn = nil
		}
	}
	c.mu.Unlock()
	for _, each := range conns {
		each.end(net.ErrClosed)
	}
	return nil
}

// Next gives one ID, within the context's deadline and Options.Timeout.
func (c *Client) Next(ctx context.Context) (ID, error) {
	if c.prefetch != nil {
		return c.prefetch.next(ctx)
	}
	reply, err := c.ask(ctx, Request{Count: 1})
	if err != nil {
		return 0, err
	}
	return reply.Runs[0].First, nil
}

// NextN gives n IDs, all of them or none. Up to the worker's max_batch they come from one worker and ascend.
func (c *Client) NextN(ctx context.Context, n int) ([]ID, error) {
	reply, err := c.Ask(ctx, Request{Count: n})
	if err != nil {
		return nil, err
	}
	return reply.IDs(), nil
}

// Request is the whole of what can be asked.
type Request struct {
	Count   int           // 1 to CountMax
	Timeout time.Duration // 0: Options.Timeout
	After   *ID           // every ID shall be greater than this one
}

// Reply is what came.
type Reply struct {
	Runs     []Run
	Attempts int    // requests sent, retries included
	Server   string // who answered last
}

// IDs are those of all runs.
func (r Reply) IDs() []ID {
	total := 0
	for _, run := range r.Runs {
		total += int(run.Count)
	}
	ids := make([]ID, 0, total)
	for _, run := range r.Runs {
		for k := ID(0); k < ID(run.Count); k++ {
			ids = append(ids, run.First+k)
		}
	}
	return ids
}

// Ask is Next with everything that can be said. Prefetched IDs are not used.
func (c *Client) Ask(ctx context.Context, request Request) (Reply, error) {
	if request.Count < 1 || request.Count > CountMax || request.Timeout < 0 || request.Timeout > time.Hour ||
		(request.After != nil && *request.After > MaxID) {
		c.stats.ended(Invalid, 0)
		return Reply{}, invalid("the request is not allowed: Count 1 to %d, Timeout up to 1h, After up to 2^63-1", CountMax)
	}
	return c.ask(ctx, request)
}

// Layout is that of the fleet, as the workers told it. False while no worker has answered yet.
func (c *Client) Layout() (Layout, bool) {
	if layout := c.layout.Load(); layout != nil {
		return *layout, true
	}
	return Layout{}, false
}

// Decode takes an ID of the fleet apart. Where no worker has answered yet, one is asked.
func (c *Client) Decode(ctx context.Context, id ID) (Parts, error) {
	layout, ok := c.Layout()
	if !ok {
		if _, err := c.ask(ctx, Request{Count: 1}); err != nil {
			return Parts{}, err
		}
		if layout, ok = c.Layout(); !ok {
			return Parts{}, &Error{Code: NotReady, Detail: "no worker has told the fleet's layout"}
		}
	}
	parts, err := layout.Decode(id)
	if err != nil {
		return Parts{}, invalid("%v", err)
	}
	return parts, nil
}

func (c *Client) log(warning bool, server, message string) {
	if c.options.Log != nil {
		c.options.Log(Event{Warning: warning, Message: message, Server: server})
	}
}

// report tells the policy what came of a server.
func (c *Client) report(s *server, what outcome, retryAfter time.Duration) {
	now := time.Now()
	c.mu.Lock()
	before := s.state
	c.policy.report(s, what, retryAfter, now)
	after := s.state
	if what == outcomeLost || what == outcomeUnreached {
		select {
		case c.resolveNow <- struct{}{}:
		default:
		}
	}
	c.mu.Unlock()
	if before == closed && after == open {
		c.log(true, s.address, "left alone: it failed")
	} else if before != closed && after == closed {
		c.log(false, s.address, "used again: it answers")
	}
}

// buried: a connection has ended. `busy`: somebody waited for it.
func (c *Client) buried(k *conn, lost result, busy bool) {
	if lost.outcome == outcomeBroken {
		c.stats.protocolErrors.Add(1)
		c.stats.setLastProtocolError(k.server.address + ": " + lost.detail)
		c.log(true, k.server.address, lost.detail)
	}
	announced := lost.outcome != outcomeUnreached
	if announced {
		c.stats.disconnects.Add(1)
	} else {
		c.stats.connectFailures.Add(1)
	}
	// A connection that the server wanted to end, or that ended while nothing was asked, says nothing bad about the server.
	if c.context.Err() == nil && (busy || lost.outcome != outcomeLost) {
		c.report(k.server, lost.outcome, 0)
	}
	c.mu.Lock()
	if k.server.conn == k {
		k.server.conn = nil
	}
	if announced {
		c.lookSoon(time.Now())
	}
	c.mu.Unlock()
}

// connTo is the connection to a server, made where there is none. Under c.mu.
func (c *Client) connTo(s *server) *conn {
	if s.conn == nil {
		s.conn = c.connect(s)
	}
	return s.conn
}

// sendProbe is a request for one ID that nobody waits for: does the server mint?
func (c *Client) sendProbe(s *server, k *conn, now time.Time) {
	c.stats.probes.Add(1)
	a := &attempt{probe: true, count: 1}
	if k.silent(now) || !k.submit(a) {
		c.report(s, outcomeSilent, 0)
	}
}
