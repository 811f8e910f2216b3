package snowfleet

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"
)

type connState int

const (
	connecting connState = iota
	up
	leaving // GOAWAY: nothing new, the rest is answered
	ended
)

const (
	// Requests in flight on one connection. What comes meanwhile waits together and goes out together, as one request: the slower the answers,
	// the more callers share one. So few also fit any socket's buffer: a write never waits.
	inFlightMax = 4
	// A connection whose oldest request has waited this many attempt timeouts, and a second, is given up.
	silenceFactor = 10
)

type requestKind int

const (
	kindCall requestKind = iota
	kindProbe
	kindInfo
	kindAuth
)

// request is one frame that waits for its answer.
type request struct {
	id       uint32
	kind     requestKind
	count    uint32
	hasAfter bool
	after    uint64 // every ID must be above this
	floor    uint64 // an ID of the same slot must be above this; 0: unknown
	sent     time.Time
	silent   bool // has been reported as such
	attempts []*attempt
}

// conn is one connection: callers put their attempts into `waiting`, and whoever finds the socket free writes for all. One goroutine reads.
type conn struct {
	client *Client
	server *server

	mu       sync.Mutex // of what follows
	socket   net.Conn
	state    connState
	writing  bool
	checking bool
	announce bool // it was up once
	answered bool
	denied   bool // the token was refused: it must be shown again
	introd   bool // AUTH and INFO are on their way
	nameless bool // the worker did not know its fleet when INFO was answered
	idsCame  bool // IDs came while it was nameless
	waiting  []*attempt
	pending  []*request
	nextID   uint32
	out      []byte
	lastID   uint64 // of the reader alone
}

func (c *Client) connect(s *server) *conn {
	made := &conn{client: c, server: s}
	go made.run()
	return made
}

// run connects and reads until the end.
func (k *conn) run() {
	c := k.client
	ctx, cancel := context.WithTimeout(c.context, c.options.ConnectTimeout)
	network, address := "tcp", k.server.address
	if isUnix(address) {
		network, address = "unix", strings.TrimPrefix(address, unixPrefix)
	}
	socket, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil && c.tls != nil && network == "tcp" {
		config := c.tls.Clone()
		if config.ServerName == "" {
			config.ServerName = k.server.host
		}
		secured := tls.Client(socket, config)
		if err = secured.HandshakeContext(ctx); err != nil {
			socket.Close()
			err = tlsFailure(err)
		}
		socket = secured
	}
	cancel()
	if err != nil {
		k.end(err)
		return
	}
	k.mu.Lock()
	if k.state != connecting {
		k.mu.Unlock()
		socket.Close()
		return
	}
	k.socket, k.state, k.announce = socket, up, true
	k.introduce()
	k.writing = true
	k.mu.Unlock()
	c.stats.connects.Add(1)
	go k.flush(false)
	k.end(k.read())
}

type tlsError struct{ error }

// tlsFailure: a peer that was killed says no farewell; that is a lost connection like any other.
func tlsFailure(err error) error {
	var network *net.OpError
	if errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	if errors.As(err, &network) && network.Op != "remote error" {
		return err
	}
	return tlsError{err}
}

// submit puts the attempt where the next write takes it. False: the connection takes nothing new.
func (k *conn) submit(a *attempt) bool {
	k.mu.Lock()
	if k.state > up {
		k.mu.Unlock()
		return false
	}
	k.waiting = append(k.waiting, a)
	write := k.state == up && !k.writing && len(k.pending) < inFlightMax
	k.writing = k.writing || write
	k.mu.Unlock()
	if write {
		k.flush(k.client.active.Load() > 1)
	}
	return true
}

// flush writes what waits until nothing does; k.writing is the caller's. With `polite` the others that can run may first put theirs beside it.
func (k *conn) flush(polite bool) {
	for {
		if polite {
			runtime.Gosched()
		}
		k.mu.Lock()
		if k.state <= up {
			if k.denied {
				k.introduce()
			} else if k.nameless && !k.introd {
				k.ask(kindInfo, typeInfo, nil)
			}
			k.build()
		}
		if len(k.out) == 0 || k.state > leaving {
			k.writing = false
			k.mu.Unlock()
			return
		}
		data := k.out
		k.out = nil
		k.watch()
		k.mu.Unlock()
		if _, err := k.socket.Write(data); err != nil {
			k.end(err)
		}
		k.mu.Lock()
		if k.out == nil {
			k.out = data[:0]
		}
		k.mu.Unlock()
	}
}

// introduce puts what comes before the first request of a connection.
func (k *conn) introduce() {
	k.denied = false
	if k.client.options.Token != "" {
		k.ask(kindAuth, typeAuth, []byte(k.client.options.Token))
	}
	k.ask(kindInfo, typeInfo, nil)
	k.introd = true
}

func (k *conn) ask(kind requestKind, frame byte, body []byte) {
	k.nextID++
	k.pending = append(k.pending, &request{id: k.nextID, kind: kind, sent: time.Now()})
	k.out = appendFrame(k.out, frame, 0, k.nextID, body)
}

// build makes frames of the attempts that wait: one for all that can share it, the sum of their counts.
func (k *conn) build() {
	taken := 0
	most, known := uint64(k.server.maxBatch.Load()), true
	if most == 0 {
		known = false
	}
	now := time.Now()
	for taken < len(k.waiting) && len(k.pending) < inFlightMax {
		first := k.waiting[taken]
		taken++
		if first.abandoned.Load() {
			first.drop()
			continue
		}
		r := &request{kind: kindCall, count: first.count, sent: now, floor: k.server.lastID.Load(), attempts: []*attempt{first}}
		if first.probe {
			r.kind = kindProbe
		}
		for known && !first.probe && !first.hasAfter && taken < len(k.waiting) {
			next := k.waiting[taken]
			if next.probe || next.hasAfter || uint64(r.count)+uint64(next.count) > most {
				break
			}
			taken++
			if next.abandoned.Load() {
				next.drop()
				continue
			}
			r.count += next.count
			r.attempts = append(r.attempts, next)
		}
		r.hasAfter, r.after = first.hasAfter, first.after
		if causal := k.client.causal.Load(); causal != 0 && !first.probe && (!r.hasAfter || causal > r.after) {
			r.hasAfter, r.after = true, causal
		}
		k.nextID++
		r.id = k.nextID
		k.pending = append(k.pending, r)
		k.out = appendNext(k.out, r.id, r.count, r.hasAfter, r.after)
	}
	left := copy(k.waiting, k.waiting[taken:])
	for i := left; i < len(k.waiting); i++ {
		k.waiting[i] = nil
	}
	k.waiting = k.waiting[:left]
}

// watch has the oldest request looked at when it has had its time. Whoever waits for an answer judges the server himself; this is for the
// others, and for connections that stay silent.
func (k *conn) watch() {
	if !k.checking {
		k.checking = true
		time.AfterFunc(k.client.options.AttemptTimeout, k.check)
	}
}

func (k *conn) check() {
	patience := k.client.options.AttemptTimeout
	most := patience * silenceFactor
	if most < time.Second {
		most = time.Second
	}
	k.mu.Lock()
	if len(k.pending) == 0 || k.state == ended {
		k.checking = false
		k.mu.Unlock()
		return
	}
	age := time.Since(k.pending[0].sent)
	report := age >= patience && !k.pending[0].silent
	k.pending[0].silent = k.pending[0].silent || report
	next := patience - age
	if next <= 0 {
		next = patience
	}
	if age < most {
		time.AfterFunc(next, k.check)
	}
	k.mu.Unlock()
	if report {
		k.client.report(k.server, outcomeSilent, 0)
	}
	if age >= most {
		k.end(fmt.Errorf("silent for %d ms", age.Milliseconds()))
	}
}

// silent: would another request only join a queue that does not move?
func (k *conn) silent(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.pending) > 0 && now.Sub(k.pending[0].sent) >= k.client.options.AttemptTimeout
}

// isUp: has the server been reached?
func (k *conn) isUp() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.announce
}

// brokenError ends a connection because of what came over it.
type brokenError string

func (e brokenError) Error() string { return string(e) }

func (k *conn) read() error {
	reader := bufio.NewReaderSize(k.socket, 1<<14)
	var raw [headerSize]byte
	var body []byte
	for {
		if _, err := io.ReadFull(reader, raw[:]); err != nil {
			return err
		}
		head := parseHeader(raw[:])
		if head.length < lengthMin || head.length > lengthMax {
			return brokenError("what came is no Snowfleet frame (length field)")
		}
		size := int(head.length) - lengthMin
		if size > cap(body) {
			body = make([]byte, size)
		}
		body = body[:size]
		if _, err := io.ReadFull(reader, body); err != nil {
			return err
		}
		if err := k.take(head, body); err != nil {
			return err
		}
		k.mu.Lock()
		done := k.state == ended || (k.state == leaving && len(k.pending) == 0)
		more := k.state == up && len(k.waiting) > 0 && !k.writing
		k.writing = k.writing || more
		k.mu.Unlock()
		if done {
			return io.EOF
		}
		if more {
			k.flush(false)
		}
	}
}

func (k *conn) take(head header, body []byte) error {
	switch {
	case head.version != 1:
		return brokenError("a frame of another protocol version came")
	case head.kind == typeGoaway:
		if len(body) < 4 {
			return brokenError("a malformed GOAWAY came")
		}
		k.leave()
		return nil
	case head.kind > typeGoaway: // a push of a later version
		return nil
	case head.kind == typeError && (head.code == statusBadRequest || head.code == statusUnsupported):
		return brokenError("the server could not read our stream")
	case head.kind == typeError:
		return fmt.Errorf("the server refused the connection: %s", statusName(head.code))
	}
	k.mu.Lock()
	if len(k.pending) == 0 {
		k.mu.Unlock()
		return brokenError("an answer came that nobody asked for")
	}
	r := k.pending[0]
	if head.request != r.id || head.kind != frameOf[r.kind]|typeAnswer {
		k.mu.Unlock()
		return brokenError("an answer came out of order")
	}
	k.pending[0] = nil
	k.pending = k.pending[1:]
	k.answered = true
	k.mu.Unlock()
	return k.answer(r, head.code, body)
}

var frameOf = [...]byte{kindCall: typeNext, kindProbe: typeNext, kindInfo: typeInfo, kindAuth: typeAuth}

// leave: the server wants the connection to end. What was not sent yet goes over another one.
func (k *conn) leave() {
	k.mu.Lock()
	moved := k.waiting
	k.waiting = nil
	if k.state == up {
		k.state = leaving
	}
	k.mu.Unlock()
	c := k.client
	c.stats.goaways.Add(1)
	c.log(false, k.server.address, "the server asked us to leave")
	c.mu.Lock()
	if k.server.conn == k {
		k.server.conn = nil
	}
	c.lookSoon(time.Now())
	c.mu.Unlock()
	for _, each := range moved {
		each.deliver(result{kind: resultMoved})
	}
}

// end closes the connection, judges the server and hands its calls on. Only the first call of it counts.
func (k *conn) end(err error) {
	k.mu.Lock()
	if k.state == ended {
		k.mu.Unlock()
		return
	}
	wasLeaving := k.state == leaving
	k.state = ended
	if k.socket != nil {
		k.socket.Close()
	}
	pending, waiting, announced, answered := k.pending, k.waiting, k.announce, k.answered
	k.pending, k.waiting = nil, nil
	k.mu.Unlock()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the server closed the connection")
	}
	lost := result{kind: resultLost, code: Unreachable, detail: err.Error(), answered: answered}
	what := outcomeLost
	if !announced {
		what = outcomeUnreached
	}
	var broken brokenError
	var untrusted tlsError
	if errors.As(err, &broken) {
		lost.code, what = Protocol, outcomeBroken
	} else if errors.As(err, &untrusted) || (announced && isTLSAlert(err)) {
		lost.code = TLS
	}
	lost.outcome = what
	k.client.buried(k, lost, len(pending)+len(waiting) > 0 && !(wasLeaving && len(pending) == 0))
	for _, r := range pending {
		for _, each := range r.attempts {
			each.deliver(lost)
		}
	}
	for _, each := range waiting {
		each.deliver(lost)
	}
}

// isTLSAlert: with TLS 1.3 a server refuses our certificate after our part of the handshake.
func isTLSAlert(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) && network.Op == "remote error"
}

func parseRefusal(body []byte) (retryAfter time.Duration, reason string, ok bool) {
	if len(body) < 4 {
		return 0, "", false
	}
	reason = string(body[4:])
	if len(reason) > 150 {
		reason = reason[:150]
	}
	return time.Duration(binary.BigEndian.Uint32(body)) * time.Millisecond, reason, true
}
