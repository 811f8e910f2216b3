package snowfleet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// worker is a small server: what the common suite (tests/clients) plays is not played again here, but what only Go has.
type worker struct {
	net.Listener
	mu     sync.Mutex
	last   uint64
	asked  atomic.Int64
	silent atomic.Bool
	slow   time.Duration
}

func newWorker(t *testing.T) *worker {
	t.Helper()
	return newWorkerAt(t, "tcp", "127.0.0.1:0")
}

func newWorkerAt(t *testing.T, network, address string) *worker {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{Listener: listener}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			socket, err := listener.Accept()
			if err != nil {
				return
			}
			go w.serve(socket)
		}
	}()
	return w
}

func (w *worker) serve(socket net.Conn) {
	defer socket.Close()
	raw := make([]byte, headerSize)
	for {
		if _, err := io.ReadFull(socket, raw); err != nil {
			return
		}
		head := parseHeader(raw)
		body := make([]byte, head.length-lengthMin)
		if _, err := io.ReadFull(socket, body); err != nil {
			return
		}
		answer := []byte(`{"fleet_id":"f","epoch_ms":0,"max_batch":65536,"layout":{"timestamp":41,"datacenter":5,"worker":5,"sequence":12}}`)
		if head.kind == typeNext {
			w.asked.Add(1)
			if w.silent.Load() {
				continue
			}
			time.Sleep(w.slow)
			count := binary.BigEndian.Uint32(body)
			w.mu.Lock()
			first := w.last + 1
			w.last += uint64(count)
			w.mu.Unlock()
			answer = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, first), count)
		}
		if _, err := socket.Write(appendFrame(nil, head.kind|typeAnswer, 0, head.request, answer)); err != nil {
			return
		}
	}
}

func newClient(t *testing.T, options Options) *Client {
	t.Helper()
	client, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestManyCallersShareRequests(t *testing.T) {
	w := newWorker(t)
	w.slow = time.Millisecond
	client := newClient(t, Options{Servers: w.Addr().String()})
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[ID]bool{}
	for caller := 0; caller < 64; caller++ {
		group.Add(1)
		go func(n int) {
			defer group.Done()
			for i := 0; i < 50; i++ {
				ids, err := client.NextN(context.Background(), n)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for k, id := range ids {
					if seen[id] || (k > 0 && id <= ids[k-1]) {
						t.Errorf("ID %v came twice, or not in order", id)
					}
					seen[id] = true
				}
				mu.Unlock()
			}
		}(1 + caller%3)
	}
	group.Wait()
	if calls, frames := int64(64*50), w.asked.Load(); frames*4 > calls {
		t.Errorf("%d requests for %d calls", frames, calls)
	}
	if stats := client.Stats(); stats.Calls != 64*50 || stats.IDs != uint64(len(seen)) {
		t.Errorf("%+v", stats)
	}
}

func TestContext(t *testing.T) {
	w := newWorker(t)
	w.silent.Store(true)
	client := newClient(t, Options{Servers: w.Addr().String(), Timeout: 10 * time.Second})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	begin := time.Now()
	_, err := client.Next(ctx)
	if !errors.Is(err, Cancelled) || !errors.Is(err, context.Canceled) || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	ctx, cancel = context.WithTimeout(context.Background(), 80*time.Millisecond)
	defer cancel()
	begin = time.Now()
	_, err = client.Next(ctx)
	var told *Error
	if !errors.Is(err, Timeout) || !errors.As(err, &told) || told.Attempts == 0 || time.Since(begin) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	if errors.Is(err, Order) || told.Code.String() != "TIMEOUT" {
		t.Errorf("%v", err)
	}
}

func TestClose(t *testing.T) {
	w := newWorker(t)
	w.silent.Store(true)
	client := newClient(t, Options{Servers: w.Addr().String(), Timeout: 20 * time.Second})
	time.AfterFunc(50*time.Millisecond, func() { client.Close() })
	if _, err := client.Next(context.Background()); !errors.Is(err, Cancelled) {
		t.Error(err)
	}
	if _, err := client.Next(context.Background()); !errors.Is(err, Cancelled) {
		t.Error(err)
	}
}

func TestPrefetchedOnce(t *testing.T) {
	w := newWorker(t)
	client := newClient(t, Options{Servers: w.Addr().String(), Prefetch: 100, PrefetchMaxAge: time.Minute})
	var group sync.WaitGroup
	var all sync.Map
	for caller := 0; caller < 8; caller++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < 500; i++ {
				id, err := client.Next(context.Background())
				if _, twice := all.LoadOrStore(id, true); err != nil || twice {
					t.Errorf("%v, %v, twice: %v", id, err, twice)
				}
			}
		}()
	}
	group.Wait()
	if w.asked.Load() != 40 {
		t.Errorf("%d requests for 4000 IDs, 100 at a time", w.asked.Load())
	}
}

func TestLog(t *testing.T) {
	var mu sync.Mutex
	var events []Event
	client := newClient(t, Options{Servers: "127.0.0.1:1", Timeout: 100 * time.Millisecond, Log: func(event Event) {
		mu.Lock()
		events = append(events, event)
		mu.Unlock()
	}})
	if _, err := client.Next(context.Background()); !errors.Is(err, Unreachable) {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(events) == 0 || !events[0].Warning || events[0].Server != "127.0.0.1:1" {
		t.Errorf("%+v", events)
	}
}

func TestUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.sock")
	abstract := fmt.Sprintf("@snowfleet-test-%d", os.Getpid())
	for _, address := range []string{path, abstract} {
		newWorkerAt(t, "unix", address)
		for _, secure := range []bool{false, true} { // never inside TLS
			client, err := New(Options{Servers: "unix:" + address, TLS: secure})
			if err != nil {
				t.Fatal(err)
			}
			ids, err := client.NextN(context.Background(), 100)
			if err != nil || len(ids) != 100 {
				t.Errorf("%s: %d IDs, %v", address, len(ids), err)
			}
			client.Close()
		}
	}
	for _, text := range []string{"unix:", "unix:relative", "unix:/data", "unix:/run/", "unix:@", "unix:/run/" + strings.Repeat("x", 103)} {
		if _, err := New(Options{Servers: text}); err == nil || !strings.Contains(err.Error(), "unix:/PATH") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
