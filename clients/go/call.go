package snowfleet

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// Requests of one call that may wait for an answer at a time.
	attemptsMax = 8
	// The part of the attempt timeout that a worker has alone once another one was silent or lost.
	afterLoss = 4
)

// attempt is a call's request to one server. It may share its frame with others.
type attempt struct {
	call      *call
	server    *server
	conn      *conn
	count     uint32
	hasAfter  bool
	after     uint64
	probe     bool
	sent      time.Time
	abandoned atomic.Bool // the call has ended, or has been answered by another server
}

// deliver never blocks: the channel has room for every attempt of the call.
func (a *attempt) deliver(what result) {
	if a.probe {
		return
	}
	a.server.load.Add(-1)
	if a.abandoned.Load() {
		return
	}
	what.attempt = a
	select {
	case a.call.results <- what:
	default: // so many were abandoned on their way that this one is not missed: the call's own timers go on
	}
}

// drop: it is not sent any more.
func (a *attempt) drop() {
	if !a.probe {
		a.server.load.Add(-1)
	}
}

// call is one call of the program, or a part of it that one request can ask for.
type call struct {
	results chan result
	timer   *time.Timer
	armed   time.Time // when it ticks; zero: not set

	inFlight  []*attempt
	sent      int
	tried     []*server
	round     int
	silenced  bool // a server was silent
	hasty     bool
	bereft    bool // a connection broke under it
	hedged    bool
	shared    bool // an abandoned attempt may still know it
	lastError Code
	detail    string
	server    string
	retry     time.Duration
	hedge     time.Duration
	deadline  time.Time
}

func newCall() *call {
	timer := time.NewTimer(time.Hour)
	if !timer.Stop() {
		<-timer.C
	}
	return &call{results: make(chan result, 4*attemptsMax), timer: timer}
}

func (k *call) reset() {
	*k = call{results: k.results, timer: k.timer, armed: k.armed, tried: k.tried[:0], inFlight: k.inFlight[:0]}
}

func (c *Client) ask(ctx context.Context, request Request) (Reply, error) {
	timeout := request.Timeout
	if timeout == 0 {
		timeout = c.options.Timeout
	}
	now := time.Now()
	deadline := now.Add(timeout)
	if at, ok := ctx.Deadline(); ok && at.Before(deadline) {
		deadline = at
	}
	c.mu.Lock()
	c.policy.callBegins()
	c.mu.Unlock()
	c.active.Add(1)
	defer c.active.Add(-1)
	k := c.calls.Get().(*call)
	var reply Reply
	err := c.parts(ctx, k, request, now, deadline, &reply)
	reply.Attempts, reply.Server = k.sent, k.server
	code := OK
	if err != nil {
		code = err.Code
		err.Attempts, err.Server = k.sent, k.server
	} else {
		c.handOut(reply.Runs)
	}
	c.stats.ended(code, request.Count)
	k.abandon()
	if !k.shared { // nobody else knows it any more
		c.calls.Put(k)
	}
	if err != nil {
		return Reply{}, err
	}
	return reply, nil
}

// parts asks until the request's count is there: what is more than a worker gives at a time in several requests.
func (c *Client) parts(ctx context.Context, k *call, request Request, now, deadline time.Time, reply *Reply) *Error {
	k.reset()
	k.deadline = deadline
	for left := uint32(request.Count); left > 0; {
		runs, err := c.part(ctx, k, left, request.After, now)
		if err != nil {
			return err
		}
		for _, run := range runs {
			left -= run.Count
		}
		if reply.Runs == nil {
			reply.Runs = runs
		} else {
			reply.Runs = append(reply.Runs, runs...)
		}
		if left > 0 {
			k.abandon() // an answer to a repeated request would be counted twice
			k.tried = k.tried[:0]
			now = time.Now()
		}
	}
	return nil
}

// handOut remembers the largest ID that the program has.
func (c *Client) handOut(runs []Run) {
	if !c.options.Causal {
		return
	}
	for _, run := range runs {
		last := uint64(run.First) + uint64(run.Count-1)
		for before := c.causal.Load(); before < last && !c.causal.CompareAndSwap(before, last); before = c.causal.Load() {
		}
	}
}

// abandon: no answer that is still to come counts any more.
func (k *call) abandon() {
	for _, each := range k.inFlight {
		each.abandoned.Store(true)
		k.shared = true
	}
	k.inFlight = k.inFlight[:0]
}

func (k *call) landed(a *attempt) bool {
	for i, each := range k.inFlight {
		if each == a {
			k.inFlight = append(k.inFlight[:i], k.inFlight[i+1:]...)
			return true
		}
	}
	return false
}

// part gets at most `count` IDs with one answer.
func (c *Client) part(ctx context.Context, k *call, count uint32, after *ID, now time.Time) ([]Run, *Error) {
	ask := true
	wake := c.attempt(k, count, after, now)
	for first := true; ; first = false {
		if ask && !first {
			wake = c.attempt(k, count, after, time.Now())
		}
		if wake.IsZero() || wake.After(k.deadline) {
			wake = k.deadline
		}
		what, fired, err := c.wait(ctx, k, wake)
		switch {
		case err != nil:
			return nil, err
		case fired && !time.Now().Before(k.deadline):
			return nil, c.expire(k)
		case fired && time.Now().Before(wake): // the tick was for an earlier wait
			ask = false
			continue
		case fired && len(k.inFlight) == 0:
			ask = true
			continue
		case fired:
			ask, wake = c.growImpatient(k)
			continue
		}
		if !k.landed(what.attempt) {
			ask = false
			continue
		}
		if what.kind == resultIDs {
			k.server = what.attempt.server.address
			return what.runs, nil
		}
		if ask, wake, err = c.failed(k, what, wake); err != nil {
			return nil, err
		}
	}
}

// wait until an answer comes, the time is there, or nobody wants it any more.
func (c *Client) wait(ctx context.Context, k *call, until time.Time) (what result, fired bool, err *Error) {
	select { // often it is there already
	case what = <-k.results:
		return what, false, nil
	default:
	}
	// The timer stays armed from call to call, and ticks too early rather than being set anew each time: that would cost a system call.
	if k.armed.IsZero() || until.Before(k.armed) {
		k.timer.Reset(time.Until(until))
		k.armed = until
	}
	select {
	case what = <-k.results:
	case <-k.timer.C:
		k.armed = time.Time{}
		return what, true, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			k.deadline = time.Time{}
			err = c.expire(k)
		} else {
			err = &Error{Code: Cancelled, Detail: "the context ended: " + ctx.Err().Error()}
		}
		err.cause = ctx.Err()
	case <-c.context.Done():
		err = &Error{Code: Cancelled, Detail: "the client was closed"}
	}
	return what, false, err
}

// attempt asks a server. It returns when to look again: when the attempt has had its time, or when asking makes sense if nobody could be asked.
func (c *Client) attempt(k *call, count uint32, after *ID, now time.Time) time.Time {
	c.mu.Lock()
	s := c.policy.choose(now, k.tried)
	var probe *server
	if s != nil || len(k.tried) > 0 || c.policy.opens > 0 {
		probe = c.policy.probe(now)
	}
	var target, probed *conn
	look := false
	if probe != nil {
		probed = c.connTo(probe)
	}
	shaky := false
	if s != nil {
		target = c.connTo(s)
		s.load.Add(1)
		shaky = s.failures > 0
		k.hedge = c.policy.hedge()
		look = c.lookDue(now)
	}
	nothing := len(c.policy.servers) == 0
	wake := time.Time{}
	if s == nil {
		wake = c.policy.wake(now)
	}
	c.mu.Unlock()
	if probe != nil {
		c.sendProbe(probe, probed, now)
	}
	if s != nil {
		if look {
			target.lookAround()
		}
		if c.send(k, s, target, count, after, now, shaky) {
			return k.attemptEnds(c, now)
		}
		wake = now.Add(time.Millisecond)
	} else if k.lastError == OK {
		k.lastError = Unreachable
		if nothing {
			k.lastError, k.detail = Name, "no server name has an address"
		}
	}
	if len(k.inFlight) > 0 { // nobody else to ask: go on waiting for the answers that are due
		return k.attemptEnds(c, now)
	}
	k.tried = k.tried[:0]
	return wake
}

func (c *Client) send(k *call, s *server, target *conn, count uint32, after *ID, now time.Time, shaky bool) bool {
	if most := s.maxBatch.Load(); most > 0 && count > most {
		count = most
	}
	if count > 65536 {
		count = 65536
	}
	a := &attempt{call: k, server: s, conn: target, count: count, sent: now}
	if after != nil {
		a.hasAfter, a.after = true, uint64(*after)
	}
	k.inFlight = append(k.inFlight, a)
	if !target.submit(a) {
		k.landed(a)
		a.drop()
		return false
	}
	k.sent++
	c.stats.attempts.Add(1)
	if k.lastError != OK {
		c.stats.retries.Add(1)
	}
	k.hasty = k.bereft || shaky
	return true
}

func (k *call) mayHedge(c *Client) bool { return !k.hedged && k.hedge < c.options.AttemptTimeout }

// attemptEnds is when the latest attempt has had its time. Where one worker fell silent others may have, and one that broke off may still be
// dying: there the next worker is asked quickly.
func (k *call) attemptEnds(c *Client, now time.Time) time.Time {
	wait := c.options.AttemptTimeout
	if k.silenced || k.hasty {
		wait /= afterLoss
	}
	if k.mayHedge(c) && k.hedge < wait {
		wait = k.hedge
	}
	return now.Add(wait)
}

// growImpatient: the attempt has had its time. Marks the server (unless the time was a short one) and has another one asked beside it.
func (c *Client) growImpatient(k *call) (ask bool, wake time.Time) {
	now := time.Now()
	latest := k.inFlight[len(k.inFlight)-1]
	if k.mayHedge(c) {
		k.hedged = true
		c.mu.Lock()
		may := c.policy.mayHedge()
		c.mu.Unlock()
		if !may {
			return false, k.attemptEnds(c, latest.sent) // the rest of its time
		}
		c.stats.hedges.Add(1)
	} else if k.silenced || k.hasty {
		c.stats.hedges.Add(1)
	} else {
		k.silenced = true
		c.stats.silences.Add(1)
		if k.lastError == OK {
			k.lastError = Timeout
		}
		c.report(latest.server, outcomeSilent, 0)
	}
	k.tried = append(k.tried, latest.server)
	if len(k.inFlight) < attemptsMax {
		return true, time.Time{}
	}
	return false, k.attemptEnds(c, now)
}

// failed: an answer without IDs. Says whether to ask at once, or when to look again.
func (c *Client) failed(k *call, what result, wake time.Time) (ask bool, next time.Time, err *Error) {
	s := what.attempt.server
	k.server = s.address
	if what.kind == resultMoved || what.kind == resultEarly {
		return len(k.inFlight) == 0, wake, nil
	}
	k.lastError, k.detail, k.retry = what.code, what.detail, what.retryAfter
	switch what.kind {
	case resultOrder:
		return false, wake, k.error(Order)
	case resultLost:
		k.detail = s.address + ": " + what.detail
		k.bereft = k.bereft || what.outcome == outcomeLost
		// A worker that closed a connection that had worked may well answer on a new one: it may be asked again.
		if what.answered && what.outcome == outcomeLost && k.round == 0 {
			k.round++
		} else {
			k.tried = append(k.tried, s)
		}
	case resultBad:
		k.tried = append(k.tried, s)
	case resultRefused:
		v := verdictOf(what.status)
		if v.code == RateLimited || v.code == Causality {
			return c.waitAsTold(k, v.code)
		}
		if most := s.maxBatch.Load(); what.status == statusTooLarge && most > 0 && what.attempt.count > most {
			return true, wake, nil // INFO has told us meanwhile how much it gives at a time
		}
		if !v.another {
			return false, wake, k.error(v.code)
		}
		k.tried = append(k.tried, s)
	}
	return c.retry(k, wake)
}

func (k *call) error(code Code) *Error {
	return &Error{Code: code, Detail: k.detail, RetryAfter: k.retry}
}

// waitAsTold: the call waits as long as the worker asked, if it may last that long.
func (c *Client) waitAsTold(k *call, code Code) (ask bool, next time.Time, err *Error) {
	wait := k.retry
	if wait < time.Millisecond {
		wait = time.Millisecond
	}
	at := time.Now().Add(wait)
	if !at.Before(k.deadline) {
		return false, at, k.error(code)
	}
	k.abandon()
	k.tried = k.tried[:0]
	return false, at, nil
}

// retry: the call failed at its last server. It waits, or asks another one at once.
func (c *Client) retry(k *call, wake time.Time) (ask bool, next time.Time, err *Error) {
	if len(k.inFlight) > 0 {
		return false, wake, nil
	}
	now := time.Now()
	c.mu.Lock()
	pause, noBudget := c.policy.retryWait(now, k.tried, k.round)
	c.mu.Unlock()
	if pause == 0 {
		return true, wake, nil
	}
	if noBudget {
		c.stats.budgetWaits.Add(1)
	} else {
		k.round++
		k.tried = k.tried[:0]
	}
	return false, now.Add(pause), nil
}

// expire is the error of a call whose time is over: the last thing heard.
func (c *Client) expire(k *call) *Error {
	code, detail := k.lastError, k.detail
	if code == OK || code == Unreachable || code == Timeout {
		code = Unreachable
		for _, each := range k.inFlight {
			if each.conn.isUp() {
				code = Timeout
			}
		}
		if code == Timeout {
			detail = fmt.Sprintf("no answer by the deadline (%d requests)", k.sent)
		} else if detail == "" {
			detail = "no server could be connected to by the deadline"
		}
	}
	return &Error{Code: code, Detail: detail, RetryAfter: k.retry}
}
