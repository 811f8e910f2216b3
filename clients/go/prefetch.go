package snowfleet

import (
	"context"
	"sync"
	"time"
)

type keptRun struct {
	Run
	fetched time.Time
}

// prefetch hands out IDs that one request fetched for many calls.
type prefetch struct {
	client  *Client
	filling chan struct{} // held by whoever fetches; the others wait

	mu   sync.Mutex
	kept []keptRun
	head int
}

func (p *prefetch) take(now time.Time) (id ID, ok bool) {
	most := p.client.options.PrefetchMaxAge
	expired := uint64(0)
	p.mu.Lock()
	for p.head < len(p.kept) && !ok {
		run := &p.kept[p.head]
		if now.Sub(run.fetched) <= most {
			id, ok = run.First, true
			run.First++
			run.Count--
		} else {
			expired += uint64(run.Count)
			run.Count = 0
		}
		if run.Count == 0 {
			p.head++
		}
	}
	p.mu.Unlock()
	if expired > 0 {
		p.client.stats.prefetchExpired.Add(expired)
	}
	return id, ok
}

func (p *prefetch) next(ctx context.Context) (ID, error) {
	c := p.client
	if err := ctx.Err(); err != nil {
		c.stats.ended(Cancelled, 0)
		return 0, &Error{Code: Cancelled, Detail: "the context ended: " + err.Error(), cause: err}
	}
	if id, ok := p.take(time.Now()); ok {
		c.stats.prefetchHits.Add(1)
		c.stats.endedOK.Add(1)
		return id, nil
	}
	timer := time.NewTimer(c.options.Timeout)
	defer timer.Stop()
	select {
	case p.filling <- struct{}{}:
	case <-ctx.Done():
		c.stats.ended(Cancelled, 0)
		return 0, &Error{Code: Cancelled, Detail: "the context ended: " + ctx.Err().Error(), cause: ctx.Err()}
	case <-timer.C:
		c.stats.ended(Timeout, 0)
		return 0, &Error{Code: Timeout, Detail: "others were still fetching at the deadline"}
	}
	defer func() { <-p.filling }()
	if id, ok := p.take(time.Now()); ok { // somebody else has fetched meanwhile
		c.stats.prefetchHits.Add(1)
		c.stats.endedOK.Add(1)
		return id, nil
	}
	return p.fill(ctx)
}

func (p *prefetch) fill(ctx context.Context) (ID, error) {
	c := p.client
	asked := time.Now()
	reply, err := c.ask(ctx, Request{Count: c.options.Prefetch})
	if err != nil {
		return 0, err
	}
	c.stats.prefetchFills.Add(1)
	id := reply.Runs[0].First
	reply.Runs[0].First++
	reply.Runs[0].Count--
	p.mu.Lock()
	p.kept, p.head = p.kept[:0], 0
	for _, run := range reply.Runs {
		if run.Count > 0 {
			p.kept = append(p.kept, keptRun{run, asked})
		}
	}
	p.mu.Unlock()
	return id, nil
}
