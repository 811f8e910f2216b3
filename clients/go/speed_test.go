package snowfleet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func bareLoop(t *testing.T, address string, n int) []time.Duration {
	socket, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	frame, answer := appendNext(nil, 1, 1, false, 0), make([]byte, 24)
	var took []time.Duration
	for i := 0; i < n; i++ {
		begin := time.Now()
		if _, err := socket.Write(frame); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(socket, answer); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	return took
}

func median(all []time.Duration) time.Duration {
	sort.Slice(all, func(i, k int) bool { return all[i] < all[k] })
	return all[len(all)/2]
}

func perSecond(t *testing.T, client *Client, callers int) float64 {
	var done atomic.Int64
	var group sync.WaitGroup
	end := time.Now().Add(time.Second)
	for i := 0; i < callers; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; ; n++ {
				if n%16 == 0 && !time.Now().Before(end) {
					return
				}
				if _, err := client.Next(context.Background()); err != nil {
					t.Error(err)
					return
				}
				done.Add(1)
			}
		}()
	}
	group.Wait()
	return float64(done.Load())
}

// TestSpeed is for tests/bench/clients.py, which names a worker: one caller against a bare socket loop, in turns; many; prefetch.
func TestSpeed(t *testing.T) {
	address := os.Getenv("SF_SERVER")
	if address == "" {
		t.Skip("SF_SERVER names no worker")
	}
	client, err := New(Options{Servers: address})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var bare, own []time.Duration
	for round := 0; round < 20; round++ {
		bare = append(bare, bareLoop(t, address, 500)...)
		for i := 0; i < 500; i++ {
			begin := time.Now()
			if _, err := client.Next(context.Background()); err != nil {
				t.Fatal(err)
			}
			own = append(own, time.Since(begin))
		}
	}
	ahead, err := New(Options{Servers: address, Prefetch: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer ahead.Close()
	told, err := json.Marshal(map[string]float64{"bare_us": float64(median(bare)) / 1e3, "client_us": float64(median(own)) / 1e3,
		"one_per_s": perSecond(t, client, 1), "many_per_s": perSecond(t, client, 64), "prefetch_per_s": perSecond(t, ahead, 1)})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(told))
}
