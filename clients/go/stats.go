package snowfleet

import (
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what happened so far. The names are those of the C library's struct sf_client_stats.
type Stats struct {
	Calls        uint64            // ended
	CallsByError map[string]uint64 // "OK": succeeded
	IDs          uint64            // handed out
	Attempts, Retries, Hedges,
	Silences, LateAnswers, BudgetWaits,
	Connects, ConnectFailures, Disconnects, Goaways,
	BreakerOpens, Probes,
	OrderErrors, // IDs that repeated or went back
	ProtocolErrors, WrongFleet,
	PrefetchHits, PrefetchFills, PrefetchExpired,
	Resolves, ResolveFailures, Discoveries uint64
	LastProtocolError                         string
	Servers, ServersUsable, ServersDiscovered int // now
}

type counters struct {
	endedOK, ids atomic.Uint64
	failed       [codes]atomic.Uint64
	attempts, retries, hedges, silences, lateAnswers, budgetWaits,
	connects, connectFailures, disconnects, goaways, probes,
	orderErrors, protocolErrors, wrongFleet,
	prefetchHits, prefetchFills, prefetchExpired,
	resolves, resolveFailures, discoveries atomic.Uint64
	mu   sync.Mutex
	last string
}

// ended counts a call of the program, or one that fetched ahead for it.
func (s *counters) ended(code Code, ids int) {
	if code != OK {
		s.failed[code].Add(1)
		return
	}
	s.endedOK.Add(1)
	s.ids.Add(uint64(ids))
}

func (s *counters) setLastProtocolError(text string) {
	s.mu.Lock()
	s.last = text
	s.mu.Unlock()
}

// Stats reads the counters.
func (c *Client) Stats() Stats {
	s := &c.stats
	told := Stats{CallsByError: map[string]uint64{}, IDs: s.ids.Load(), Attempts: s.attempts.Load(), Retries: s.retries.Load(),
		Hedges: s.hedges.Load(), Silences: s.silences.Load(), LateAnswers: s.lateAnswers.Load(), BudgetWaits: s.budgetWaits.Load(),
		Connects: s.connects.Load(), ConnectFailures: s.connectFailures.Load(), Disconnects: s.disconnects.Load(),
		Goaways: s.goaways.Load(), Probes: s.probes.Load(), OrderErrors: s.orderErrors.Load(), ProtocolErrors: s.protocolErrors.Load(),
		WrongFleet: s.wrongFleet.Load(), PrefetchHits: s.prefetchHits.Load(), PrefetchFills: s.prefetchFills.Load(),
		PrefetchExpired: s.prefetchExpired.Load(), Resolves: s.resolves.Load(), ResolveFailures: s.resolveFailures.Load(),
		Discoveries: s.discoveries.Load()}
	if n := s.endedOK.Load(); n > 0 {
		told.CallsByError["OK"], told.Calls = n, n
	}
	for code := range s.failed {
		if n := s.failed[code].Load(); n > 0 {
			told.CallsByError[Code(code).String()] = n
			told.Calls += n
		}
	}
	s.mu.Lock()
	told.LastProtocolError = s.last
	s.mu.Unlock()
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	told.BreakerOpens = c.policy.opens
	told.Servers = len(c.policy.servers)
	told.ServersUsable = c.policy.countUsable(now, nil)
	for _, each := range c.policy.servers {
		if each.name.discovered {
			told.ServersDiscovered++
		}
	}
	return told
}
