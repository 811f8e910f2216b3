package snowfleet

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// What becomes of each answer: IDs are checked and handed to those who wait, a refusal says when to ask again, INFO tells who the server is.

type resultKind int

const (
	resultIDs     resultKind = iota
	resultRefused            // a status
	resultLost               // the connection ended
	resultBad                // nonsense came
	resultOrder              // IDs repeated or went back
	resultEarly              // IDs came from a worker whose fleet is not known yet
	resultMoved              // it was never sent: GOAWAY came first
)

type result struct {
	kind       resultKind
	runs       []Run
	status     uint16
	retryAfter time.Duration
	code       Code
	detail     string
	outcome    outcome
	answered   bool // the connection had worked
	attempt    *attempt
}

var statusNames = [...]string{"OK", "BAD_REQUEST", "UNSUPPORTED", "TOO_LARGE", "NOT_READY", "CLOCK", "OVERLOADED", "RATE_LIMITED", "DRAINING",
	"DENIED", "CAUSALITY", "INTERNAL"}

func statusName(status uint16) string {
	if int(status) < len(statusNames) {
		return statusNames[status]
	}
	return fmt.Sprintf("status %d", status)
}

type verdict struct {
	outcome outcome
	code    Code
	another bool // another worker may do better
}

var verdicts = [...]verdict{
	statusOK:          {outcomeOK, OK, false},
	statusBadRequest:  {outcomeOK, Refused, false},
	statusUnsupported: {outcomeOK, Refused, false},
	statusTooLarge:    {outcomeOK, Refused, false},
	statusNotReady:    {outcomeUnusable, NotReady, true},
	statusClock:       {outcomeUnusable, Clock, true},
	statusOverloaded:  {outcomeOverloaded, Overloaded, true},
	statusRateLimited: {outcomeOK, RateLimited, false},
	statusDraining:    {outcomeUnusable, Draining, true},
	statusDenied:      {outcomeOK, Denied, false},
	statusCausality:   {outcomeOK, Causality, false},
	statusInternal:    {outcomeFault, Internal, true},
}

func verdictOf(status uint16) verdict {
	if int(status) < len(verdicts) {
		return verdicts[status]
	}
	return verdicts[statusInternal]
}

func (k *conn) answer(r *request, status uint16, body []byte) error {
	switch r.kind {
	case kindAuth:
		return nil
	case kindInfo:
		return k.onInfo(status, body)
	}
	c := k.client
	late := true
	for _, each := range r.attempts {
		late = late && each.abandoned.Load()
	}
	if r.kind == kindCall && late {
		c.stats.lateAnswers.Add(1)
	}
	c.mu.Lock()
	if status == statusOK {
		if r.kind == kindCall && c.options.HedgePercentile > 0 {
			c.policy.answered(time.Since(r.sent))
		}
		if k.server.state != closed || k.server.failures != 0 {
			c.policy.report(k.server, outcomeOK, 0, time.Now())
		}
	}
	c.mu.Unlock()
	if status == statusOK {
		return k.onIDs(r, body)
	}
	return k.onRefusal(r, status, body)
}

func deliverAll(r *request, what result) {
	for _, each := range r.attempts {
		each.deliver(what)
	}
}

func (k *conn) onIDs(r *request, body []byte) error {
	runs, err := parseRuns(make([]Run, 0, len(body)/12), body, r.count)
	if err != nil {
		deliverAll(r, result{kind: resultBad, code: Protocol, detail: err.Error()})
		return brokenError(err.Error())
	}
	k.mu.Lock()
	nameless := k.nameless
	k.idsCame = k.idsCame || nameless
	k.mu.Unlock()
	if nameless {
		deliverAll(r, result{kind: resultEarly})
		return nil
	}
	first, end := runs[0].First, runs[len(runs)-1]
	before := maxOf(k.lastID, r.floor)
	if !k.inOrder(r, uint64(first), uint64(end.First)+uint64(end.Count-1)) {
		k.client.stats.orderErrors.Add(1)
		detail := fmt.Sprintf("ID %d came after ID %d", uint64(first), before)
		if r.hasAfter && uint64(first) <= r.after {
			detail = fmt.Sprintf("ID %d is not above ID %d, as was asked for", uint64(first), r.after)
		}
		k.client.log(true, k.server.address, "IDs repeated or went back: "+detail)
		deliverAll(r, result{kind: resultOrder, code: Order, detail: detail})
		return brokenError("IDs repeated or went back")
	}
	k.split(r, runs)
	return nil
}

// inOrder: do these IDs go on from what the connection and the server gave before, and are they above what was asked for?
func (k *conn) inOrder(r *request, first, last uint64) bool {
	c := k.client
	if k.lastID != 0 && first <= k.lastID {
		return false
	}
	if r.hasAfter && first <= r.after {
		return false
	}
	layout := c.layout.Load()
	if r.floor != 0 && layout != nil && first <= r.floor && layout.sameSlot(first, r.floor) {
		return false
	}
	k.lastID = last
	for { // another connection of the same server may be there for a moment
		before := k.server.lastID.Load()
		if before >= last && layout != nil && layout.sameSlot(before, last) {
			return true
		}
		if k.server.lastID.CompareAndSwap(before, last) {
			return true
		}
	}
}

// split gives each of those that shared the request its part, in the order in which they came.
func (k *conn) split(r *request, runs []Run) {
	if len(r.attempts) == 1 {
		r.attempts[0].deliver(result{kind: resultIDs, runs: runs})
		return
	}
	at, used := 0, uint32(0)
	for _, each := range r.attempts {
		part := make([]Run, 0, 1)
		for need := each.count; need > 0; {
			n := minOf(runs[at].Count-used, need)
			part = append(part, Run{First: runs[at].First + ID(used), Count: n})
			need -= n
			if used += n; used == runs[at].Count {
				at, used = at+1, 0
			}
		}
		each.deliver(result{kind: resultIDs, runs: part})
	}
}

func (k *conn) onRefusal(r *request, status uint16, body []byte) error {
	retryAfter, reason, ok := parseRefusal(body)
	if !ok {
		const why = "an error answer is malformed"
		deliverAll(r, result{kind: resultBad, code: Protocol, detail: why})
		return brokenError(why)
	}
	v := verdictOf(status)
	k.client.report(k.server, v.outcome, retryAfter)
	if status == statusDenied {
		k.mu.Lock()
		k.denied = true
		k.mu.Unlock()
	}
	detail := k.server.address + " says " + statusName(status)
	if reason != "" {
		detail += ": " + reason
	}
	shared := len(r.attempts) > 1 && status == statusTooLarge // each alone may not be
	for _, each := range r.attempts {
		if shared {
			each.deliver(result{kind: resultMoved})
		} else {
			each.deliver(result{kind: resultRefused, status: status, code: v.code, retryAfter: retryAfter, detail: detail})
		}
	}
	return nil
}

type info struct {
	FleetID  *string `json:"fleet_id"`
	EpochMs  *int64  `json:"epoch_ms"`
	MaxBatch uint32  `json:"max_batch"`
	Layout   *struct {
		Timestamp  *uint8 `json:"timestamp"`
		Datacenter *uint8 `json:"datacenter"`
		Worker     *uint8 `json:"worker"`
		Sequence   *uint8 `json:"sequence"`
	} `json:"layout"`
	Workers []string `json:"workers"`
}

func (i *info) layout() (Layout, bool) {
	l := i.Layout
	if l == nil || l.Timestamp == nil || l.Datacenter == nil || l.Worker == nil || l.Sequence == nil || i.EpochMs == nil {
		return Layout{}, false
	}
	made := Layout{*l.Timestamp, *l.Datacenter, *l.Worker, *l.Sequence, *i.EpochMs}
	return made, made.valid()
}

func (k *conn) onInfo(status uint16, body []byte) error {
	k.mu.Lock()
	k.introd = false
	idsCame := k.idsCame
	k.mu.Unlock()
	if status != statusOK {
		return nil // an AUTH that failed shows in NEXT too
	}
	const malformed = brokenError("an answer to INFO is malformed")
	var told info
	if json.Unmarshal(body, &told) != nil {
		return malformed
	}
	c := k.client
	nameless := told.FleetID == nil || *told.FleetID == ""
	layout, ok := told.layout()
	if !nameless && !ok {
		return malformed
	}
	k.mu.Lock()
	k.nameless, k.idsCame = nameless, false
	k.mu.Unlock()
	if nameless && idsCame {
		return brokenError("IDs came from a worker whose fleet is not known")
	}
	if told.MaxBatch > 0 {
		k.server.maxBatch.Store(minOf(told.MaxBatch, math.MaxInt32))
	}
	if nameless {
		return nil
	}
	c.mu.Lock()
	if c.layout.Load() == nil {
		c.fleetID = *told.FleetID
		c.layout.Store(&layout)
	}
	same := c.fleetID == *told.FleetID
	if same && told.Workers != nil {
		c.discovered(told.Workers, time.Now())
	}
	c.mu.Unlock()
	if same {
		return nil
	}
	c.stats.wrongFleet.Add(1)
	return brokenError("the worker belongs to another fleet than the first one that answered")
}

func maxOf(a, b uint64) uint64 {
	if a > b {
		return a
	}
	return b
}

func minOf(a, b uint32) uint32 {
	if a < b {
		return a
	}
	return b
}
