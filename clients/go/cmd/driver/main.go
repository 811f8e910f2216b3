// The driver of the common suite (docs/clients.md): one JSON object a line on stdin, one a line on stdout.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	snowfleet "github.com/snowfleet/snowfleet/clients/go"
)

type object = map[string]json.RawMessage

func fail(code snowfleet.Code, format string, args ...any) map[string]any {
	return map[string]any{"ok": false, "error": code.String(), "detail": fmt.Sprintf(format, args...)}
}

func failed(err error) map[string]any {
	var told *snowfleet.Error
	if errors.As(err, &told) {
		return fail(told.Code, "%s", told.Detail)
	}
	return fail(snowfleet.Internal, "%v", err)
}

// setters are where the options go, by their names in C: times are milliseconds there.
func setters(o *snowfleet.Options, prefetch, pool *uint32) map[string]any {
	return map[string]any{
		"servers": &o.Servers, "timeout_ms": &o.Timeout, "deadline_ms": &o.Timeout, "attempt_timeout_ms": &o.AttemptTimeout,
		"connect_timeout_ms": &o.ConnectTimeout, "hedge_ms": &o.Hedge, "hedge_percentile": &o.HedgePercentile,
		"pool": pool, "resolve_ms": &o.Resolve, "discover": &o.Discover, "discover_ms": &o.DiscoverEvery,
		"retry_budget_percent": &o.RetryBudgetPercent, "retry_budget_max": &o.RetryBudgetMax, "backoff_min_ms": &o.BackoffMin,
		"backoff_max_ms": &o.BackoffMax, "breaker_failures": &o.BreakerFailures, "breaker_open_min_ms": &o.BreakerOpenMin,
		"breaker_open_max_ms": &o.BreakerOpenMax, "breaker_idle_ms": &o.BreakerIdle, "prefetch": prefetch,
		"prefetch_max_age_ms": &o.PrefetchMaxAge, "causal": &o.Causal, "tls": &o.TLS, "tls_ca": &o.TLSCA, "tls_cert": &o.TLSCert,
		"tls_key": &o.TLSKey, "tls_server_name": &o.TLSServerName, "token": &o.Token,
	}
}

func open(request object) (*snowfleet.Client, map[string]any) {
	var options snowfleet.Options
	var prefetch, pool uint32 // pool: of the C library alone; here callers share connections
	known := setters(&options, &prefetch, &pool)
	for name, value := range request {
		if name == "n" || name == "op" {
			continue
		}
		to, ok := known[name]
		if !ok {
			return nil, fail(snowfleet.Invalid, "%s: there is no such option", name)
		}
		var err error
		if at, isTime := to.(*time.Duration); isTime {
			var value32 uint32
			err = json.Unmarshal(value, &value32)
			*at = time.Duration(value32) * time.Millisecond
		} else {
			err = json.Unmarshal(value, to)
		}
		if err != nil {
			return nil, fail(snowfleet.Invalid, "%s: %v", name, err)
		}
		if name == "token" && options.Token == "" {
			return nil, fail(snowfleet.Invalid, "token: must have 1 to 256 bytes")
		}
	}
	options.Prefetch = int(prefetch)
	client, err := snowfleet.New(options)
	if err != nil {
		return nil, failed(err)
	}
	return client, map[string]any{"ok": true}
}

func count(request object) (int, bool) {
	value, n := request["count"], 1
	if value == nil {
		return n, true
	}
	err := json.Unmarshal(value, &n)
	return n, err == nil && n >= 1 && n <= snowfleet.CountMax
}

func readID(value json.RawMessage) (snowfleet.ID, bool) {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return 0, false
	}
	id, err := snowfleet.Parse(text)
	return id, err == nil
}

// call makes it as a program would: the short form where nothing but one ID is asked for, so that prefetch is used.
func call(client *snowfleet.Client, n int, after *snowfleet.ID) ([]snowfleet.ID, error) {
	ctx := context.Background()
	if n == 1 && after == nil {
		id, err := client.Next(ctx)
		return []snowfleet.ID{id}, err
	}
	reply, err := client.Ask(ctx, snowfleet.Request{Count: n, After: after})
	if err != nil {
		return nil, err
	}
	return reply.IDs(), nil
}

func next(client *snowfleet.Client, request object) map[string]any {
	n, ok := count(request)
	if !ok {
		return fail(snowfleet.Invalid, "count: 1 to %d are allowed", snowfleet.CountMax)
	}
	var after *snowfleet.ID
	if value := request["after"]; value != nil {
		id, ok := readID(value)
		if !ok {
			return fail(snowfleet.Invalid, "after: an ID as a decimal string is wanted")
		}
		after = &id
	}
	ids, err := call(client, n, after)
	if err != nil {
		return failed(err)
	}
	return map[string]any{"ok": true, "ids": ids}
}

type load struct {
	mu                 sync.Mutex
	left               int64
	calls, ids, failed int64
	longest            time.Duration
	file               *bufio.Writer
	detail             string
	end                time.Time
}

func (l *load) may() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left <= 0 || !time.Now().Before(l.end) {
		return false
	}
	l.left--
	return true
}

func (l *load) note(ids []snowfleet.ID, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if took > l.longest {
		l.longest = took
	}
	if err != nil {
		if l.failed++; l.failed == 1 {
			l.detail = err.Error()
		}
		return
	}
	l.ids += int64(len(ids))
	var raw [8]byte
	for _, id := range ids {
		binary.BigEndian.PutUint64(raw[:], uint64(id))
		if l.file != nil {
			l.file.Write(raw[:]) // an error stays, and Flush tells it
		}
	}
}

func run(client *snowfleet.Client, request object) map[string]any {
	var told struct {
		Callers *int     `json:"callers"`
		Seconds *float64 `json:"seconds"`
		Calls   *int64   `json:"calls"`
		File    string   `json:"file"`
	}
	whole, _ := json.Marshal(request)
	n, ok := count(request)
	callers := 1
	if err := json.Unmarshal(whole, &told); err != nil || !ok {
		return fail(snowfleet.Invalid, "callers, seconds, calls, count, file: %v", err)
	}
	if told.Callers != nil {
		callers = *told.Callers
	}
	if callers < 1 || callers > 1024 || (told.Seconds == nil && told.Calls == nil) {
		return fail(snowfleet.Invalid, "callers: 1 to 1024 are allowed; seconds or calls is wanted")
	}
	l := &load{left: 1 << 62, end: time.Now().Add(24 * time.Hour)}
	if told.Calls != nil {
		l.left = *told.Calls
	}
	if told.Seconds != nil {
		l.end = time.Now().Add(time.Duration(*told.Seconds * 1e9))
	}
	var file *os.File
	if told.File != "" {
		var err error
		if file, err = os.Create(told.File); err != nil {
			return fail(snowfleet.Invalid, "file: %v", err)
		}
		l.file = bufio.NewWriterSize(file, 1<<16)
	}
	before := client.Stats().OrderErrors
	var group sync.WaitGroup
	for i := 0; i < callers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for l.may() {
				begin := time.Now()
				ids, err := call(client, n, nil)
				l.note(ids, err, time.Since(begin))
			}
		}()
	}
	group.Wait()
	if file != nil {
		flushed, closed := l.file.Flush(), file.Close()
		if flushed != nil || closed != nil {
			return fail(snowfleet.Internal, "file: %v, %v", flushed, closed)
		}
	}
	return map[string]any{"ok": true, "calls": l.calls, "ids": l.ids, "failed": l.failed, "longest_ms": float64(l.longest) / 1e6,
		"order_errors": client.Stats().OrderErrors - before, "detail": l.detail}
}

func decode(client *snowfleet.Client, request object) map[string]any {
	id, ok := readID(request["id"])
	if !ok {
		return fail(snowfleet.Invalid, "id: an ID as a decimal string is wanted")
	}
	parts, err := client.Decode(context.Background(), id)
	if err != nil {
		return failed(err)
	}
	return map[string]any{"ok": true, "unix_ms": parts.UnixMs, "datacenter": parts.Datacenter, "worker": parts.Worker,
		"sequence": parts.Sequence, "base32": id.Base32()}
}

func stats(client *snowfleet.Client) map[string]any {
	s := client.Stats()
	return map[string]any{"ok": true, "calls": s.Calls, "calls_by_error": s.CallsByError, "ids": s.IDs, "attempts": s.Attempts, "retries": s.Retries,
		"hedges": s.Hedges, "silences": s.Silences, "late_answers": s.LateAnswers, "budget_waits": s.BudgetWaits, "connects": s.Connects,
		"connect_failures": s.ConnectFailures, "disconnects": s.Disconnects, "goaways": s.Goaways, "breaker_opens": s.BreakerOpens,
		"probes": s.Probes, "order_errors": s.OrderErrors, "protocol_errors": s.ProtocolErrors, "wrong_fleet": s.WrongFleet,
		"last_protocol_error": s.LastProtocolError, "prefetch_hits": s.PrefetchHits, "prefetch_fills": s.PrefetchFills,
		"prefetch_expired": s.PrefetchExpired, "resolves": s.Resolves, "resolve_failures": s.ResolveFailures, "discoveries": s.Discoveries,
		"servers": s.Servers, "servers_usable": s.ServersUsable, "servers_discovered": s.ServersDiscovered}
}

func perform(client **snowfleet.Client, request object) map[string]any {
	var op string
	if json.Unmarshal(request["op"], &op) != nil {
		return fail(snowfleet.Invalid, "no JSON object with an op")
	}
	if op == "open" {
		if *client != nil {
			return fail(snowfleet.Invalid, "a client is open already")
		}
		made, answer := open(request)
		*client = made
		return answer
	}
	if *client == nil {
		return fail(snowfleet.Invalid, "no client is open")
	}
	switch op {
	case "next":
		return next(*client, request)
	case "load":
		return run(*client, request)
	case "decode":
		return decode(*client, request)
	case "stats":
		return stats(*client)
	case "close":
		(*client).Close()
		*client = nil
		return map[string]any{"ok": true}
	}
	return fail(snowfleet.Invalid, "op: open, next, load, decode, stats and close are known")
}

func main() {
	var client *snowfleet.Client
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var request object
			if json.Unmarshal(line, &request) != nil {
				request = nil
			}
			answer := perform(&client, request)
			if n := request["n"]; n != nil {
				answer["n"] = n
			}
			told, _ := json.Marshal(answer)
			os.Stdout.Write(append(told, '\n'))
		}
		if err != nil {
			return
		}
	}
}
