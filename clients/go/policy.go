package snowfleet

import (
	"math/rand"
	"sync/atomic"
	"time"
)

// Whom to ask, when to ask again, and whom to leave alone: the arithmetic of circuit breakers, retry budget and hedging, as in the C library
// (src/client/policy.c). It knows no clock and sends nothing. The client holds its mutex around it.

type breaker int

const (
	closed breaker = iota
	open
	probing
)

// outcome is what an attempt, a probe or a connection came to.
type outcome int

const (
	outcomeOK         outcome = iota // it answers and mints, or refused for a reason that is the caller's
	outcomeUnusable                  // it says itself that others may do
	outcomeOverloaded                // full: leave it alone for retryAfter
	outcomeFault                     // INTERNAL
	outcomeUnreached                 // connecting failed
	outcomeLost                      // the connection broke
	outcomeSilent                    // no answer in time
	outcomeBroken                    // answered nonsense, IDs out of order, another fleet
)

// For each server, while none works: 200 tries a second in all at most.
const trySpacing = 5 * time.Millisecond

const forever = time.Duration(1<<63 - 1)

// health is the policy's part of a server.
type health struct {
	gone         bool
	state        breaker
	failures     uint32
	load         atomic.Int32
	openFor      time.Duration
	opened       time.Time
	probeAt      time.Time
	probingSince time.Time
	busyUntil    time.Time
}

type policy struct {
	options     *Options
	servers     []*server
	random      *rand.Rand
	budgetMilli int64
	latency     time.Duration // about HedgePercentile of the answers come within this; 0: none came yet
	opens       uint64
}

func newPolicy(options *Options, seed int64) policy {
	return policy{options: options, random: rand.New(rand.NewSource(seed)), budgetMilli: int64(options.RetryBudgetMax) * 1000}
}

func (p *policy) below(d time.Duration) time.Duration {
	return time.Duration(p.random.Int63n(int64(d)))
}

func (h *health) usable(now time.Time) bool {
	return !h.gone && h.state == closed && !now.Before(h.busyUntil)
}

// idle is the time between two tries of one server while none works; forever while one does.
func (p *policy) idle() time.Duration {
	spacing := time.Duration(0)
	for _, each := range p.servers {
		if each.state == closed {
			return forever
		}
		spacing += trySpacing
	}
	if spacing < p.options.BreakerIdle {
		spacing = p.options.BreakerIdle
	}
	return spacing
}

func (p *policy) probeDue(h *health, idle time.Duration) time.Time {
	if h.state == probing { // one that nobody looked after lapses
		return h.probingSince.Add(p.options.BreakerOpenMax)
	}
	if idle != forever {
		if at := h.opened.Add(idle); at.Before(h.probeAt) {
			return at
		}
	}
	return h.probeAt
}

// doubt: a server just added that nobody has heard yet is probed before calls are sent to it.
func (p *policy) doubt(s *server, now time.Time) {
	s.state, s.opened, s.probeAt = open, now, now
}

func (p *policy) callBegins() {
	p.budgetMilli += int64(p.options.RetryBudgetPercent) * 10
	if most := int64(p.options.RetryBudgetMax) * 1000; p.budgetMilli > most {
		p.budgetMilli = most
	}
}

func isTried(tried []*server, s *server) bool {
	for _, each := range tried {
		if each == s {
			return true
		}
	}
	return false
}

func (p *policy) countUsable(now time.Time, tried []*server) int {
	count := 0
	for _, each := range p.servers {
		if each.usable(now) && !isTried(tried, each) {
			count++
		}
	}
	return count
}

func (p *policy) nthUsable(now time.Time, tried []*server, n int) *server {
	for _, each := range p.servers {
		if each.usable(now) && !isTried(tried, each) {
			if n == 0 {
				return each
			}
			n--
		}
	}
	return nil
}

func (h *health) lookedAt() time.Time {
	if h.state == probing {
		return h.probingSince
	}
	return h.opened
}

// choose picks of two random usable servers the less loaded. When none at all is usable, one that is due for a probe. nil: nobody now.
func (p *policy) choose(now time.Time, tried []*server) *server {
	if count := p.countUsable(now, tried); count > 0 {
		a := p.random.Intn(count)
		first := p.nthUsable(now, tried, a)
		if count == 1 {
			return first
		}
		second := p.nthUsable(now, tried, (a+1+p.random.Intn(count-1))%count)
		if second.load.Load() < first.load.Load() {
			return second
		}
		return first
	}
	idle := p.idle()
	if idle == forever || len(p.servers) == 0 {
		return nil
	}
	var found *server
	start := p.random.Intn(len(p.servers))
	for i := range p.servers { // the one that nobody has looked at for longest
		each := p.servers[(start+i)%len(p.servers)]
		if !now.Before(p.probeDue(&each.health, idle)) && (found == nil || each.lookedAt().Before(found.lookedAt())) {
			found = each
		}
	}
	if found != nil {
		found.state, found.probingSince = probing, now
	}
	return found
}

// probe is a server to be probed beside the calls, or nil. Only while some server is closed: else calls are the probes.
func (p *policy) probe(now time.Time) *server {
	var due *server
	at, works := now, false
	for _, each := range p.servers {
		if each.state == closed {
			works = true
			continue
		}
		if each := each; !p.probeDue(&each.health, forever).After(at) && (due == nil || p.probeDue(&each.health, forever).Before(at)) {
			due, at = each, p.probeDue(&each.health, forever)
		}
	}
	if due == nil || !works {
		return nil
	}
	due.state, due.probingSince = probing, now
	return due
}

// wake is when asking again makes sense if choose found nobody.
func (p *policy) wake(now time.Time) time.Time {
	idle, wake := p.idle(), now.Add(p.options.BreakerIdle)
	for _, each := range p.servers {
		at := each.busyUntil
		if each.state != closed {
			at = p.probeDue(&each.health, idle)
		}
		if at.After(now) && at.Before(wake) {
			wake = at
		}
	}
	return wake
}

// move is the only way into and out of open, but for doubt and the start of a probe.
func (p *policy) move(h *health, to breaker, now time.Time) {
	from := h.state
	h.state = to
	if to == closed {
		h.failures, h.openFor = 0, p.options.BreakerOpenMin
		return
	}
	if from == closed {
		p.opens++
		h.openFor = p.options.BreakerOpenMin
	} else if h.openFor *= 2; h.openFor > p.options.BreakerOpenMax {
		h.openFor = p.options.BreakerOpenMax
	}
	if h.openFor < p.options.BreakerOpenMin {
		h.openFor = p.options.BreakerOpenMin
	}
	h.opened = now
	half := h.openFor / 2
	h.probeAt = now.Add(half + p.below(half+1))
}

func (p *policy) report(s *server, what outcome, retryAfter time.Duration, now time.Time) {
	h := &s.health
	if h.gone {
		return
	}
	if what == outcomeOK || what == outcomeOverloaded {
		if h.state != closed {
			p.move(h, closed, now)
		}
		h.failures = 0
		if what == outcomeOverloaded { // a little more than asked for, so that not all come back in the same instant
			until := now.Add(retryAfter + p.below(retryAfter/4+p.options.BackoffMin+1))
			if until.After(h.busyUntil) {
				h.busyUntil = until
			}
		}
		return
	}
	if h.state == open {
		return // old news
	}
	h.failures++
	counted := what == outcomeLost || what == outcomeFault
	if h.state == probing || !counted || h.failures >= p.options.BreakerFailures {
		p.move(h, open, now)
	}
}

// backoff: exponential with full jitter, uniform in (0, min(max, min << round)].
func (p *policy) backoff(round int) time.Duration {
	top := p.options.BackoffMin
	for i := 0; i < round && top < p.options.BackoffMax; i++ {
		top *= 2
	}
	if top > p.options.BackoffMax {
		top = p.options.BackoffMax
	}
	return 1 + p.below(top)
}

// retryWait is how long a call waits before it tries again after its round-th fruitless round. 0: another server can be asked at once, and the
// budget allows it (a token is taken).
func (p *policy) retryWait(now time.Time, tried []*server, round int) (wait time.Duration, noBudget bool) {
	if idle := p.idle(); idle != forever { // no server works: the next one as soon as it is due
		for _, each := range p.servers {
			if !p.probeDue(&each.health, idle).After(now) {
				return 1, false
			}
		}
		return p.wake(now).Sub(now), false
	}
	if p.countUsable(now, tried) == 0 {
		return p.backoff(round), false
	}
	if p.budgetMilli >= 1000 {
		p.budgetMilli -= 1000
		return 0, false
	}
	return 1 + p.below(p.options.BackoffMax), true
}

// answered: an answer came after this time. Stochastic approximation of a quantile, in steps that are parts of the estimate.
func (p *policy) answered(latency time.Duration) {
	percentile := time.Duration(p.options.HedgePercentile)
	if percentile == 0 {
		return
	}
	if p.latency == 0 {
		p.latency = latency * 8
	}
	step := p.latency/16 + 1
	if latency > p.latency {
		p.latency += step*percentile/100 + 1
	} else {
		p.latency -= step * (100 - percentile) / 100
	}
}

// hedge is how long to wait for an answer before another server is asked beside; forever: never.
func (p *policy) hedge() time.Duration {
	switch {
	case p.options.HedgePercentile == 0 && p.options.Hedge > 0:
		return p.options.Hedge
	case p.options.HedgePercentile == 0 || p.latency == 0:
		return forever
	case p.latency > p.options.Hedge:
		return p.latency
	}
	return p.options.Hedge
}

func (p *policy) mayHedge() bool {
	if p.budgetMilli < 1000 {
		return false
	}
	p.budgetMilli -= 1000
	return true
}
