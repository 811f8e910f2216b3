package snowfleet

import (
	"context"
	"net"
	"time"
)

// name is an entry of Options.Servers, or a worker that another worker told of. Under the client's mutex.
type name struct {
	at         hostPort
	discovered bool
	numeric    bool
	resolved   bool
	listed     time.Time // when a worker told of it last
}

const (
	resolveMin   = time.Second // between two look-ups, however many connections are lost
	resolveRetry = time.Second // while a name has no address
	lookMin      = time.Second
)

// addNames takes the entries of Options.Servers. True: some are names, which are to be looked up.
func (c *Client) addNames(entries []hostPort) bool {
	lookUp := false
	for _, at := range entries {
		each := &name{at: at, numeric: isNumeric(at.host)}
		c.names = append(c.names, each)
		if each.numeric {
			c.take(each, []string{at.host}, time.Time{})
		}
		lookUp = lookUp || !each.numeric
	}
	return lookUp
}

// take makes servers of a name's addresses, and forgets those that the name no longer has. Under c.mu (but for the first names).
func (c *Client) take(n *name, addresses []string, now time.Time) {
	n.resolved = true
	wanted := map[string]bool{}
	for _, each := range addresses {
		wanted[hostPort{each, n.at.port}.String()] = true
	}
	for _, each := range append([]*server(nil), c.policy.servers...) {
		if wanted[each.address] {
			delete(wanted, each.address)
		} else if each.name == n {
			c.remove(each)
		}
	}
	for address := range wanted {
		if len(c.policy.servers) == serversMax {
			return
		}
		made := &server{address: address, host: n.at.host, name: n}
		made.openFor = c.options.BreakerOpenMin
		if n.discovered {
			c.policy.doubt(made, now)
		}
		c.policy.servers = append(c.policy.servers, made)
	}
}

func (c *Client) remove(s *server) {
	s.gone = true
	for i, each := range c.policy.servers {
		if each == s {
			c.policy.servers = append(c.policy.servers[:i:i], c.policy.servers[i+1:]...)
			break
		}
	}
	if k := s.conn; k != nil {
		s.conn = nil
		go k.retire()
	}
}

// retire: the server is no longer in use; what was asked is still answered.
func (k *conn) retire() {
	k.mu.Lock()
	moved := k.waiting
	k.waiting = nil
	if k.state == up {
		k.state = leaving
	}
	idle := len(k.pending) == 0
	k.mu.Unlock()
	for _, each := range moved {
		each.deliver(result{kind: resultMoved})
	}
	if idle {
		k.end(net.ErrClosed)
	}
}

// resolver looks names up again and again, until the client is closed.
func (c *Client) resolver() {
	for {
		complete := c.resolveAll()
		wait := resolveRetry
		if complete {
			c.mu.Lock()
			wait = c.options.Resolve*4/5 + c.policy.below(c.options.Resolve*2/5+1)
			c.mu.Unlock()
		}
		begun := time.Now()
		select {
		case <-c.context.Done():
			return
		case <-c.resolveNow:
			if left := resolveMin - time.Since(begun); left > 0 {
				select {
				case <-c.context.Done():
					return
				case <-time.After(left):
				}
			}
		case <-time.After(wait):
		}
	}
}

// resolveAll looks every name up. False: a name of Options.Servers has no address yet.
func (c *Client) resolveAll() bool {
	c.mu.Lock()
	names := append([]*name(nil), c.names...)
	c.mu.Unlock()
	complete := true
	for _, each := range names {
		if each.numeric {
			continue
		}
		ctx, cancel := context.WithTimeout(c.context, 10*time.Second)
		addresses, err := net.DefaultResolver.LookupHost(ctx, each.at.host)
		cancel()
		if err != nil {
			c.stats.resolveFailures.Add(1)
			c.log(true, each.at.String(), "the name has no address: "+err.Error())
		} else {
			c.stats.resolves.Add(1)
		}
		c.mu.Lock()
		if err == nil && c.has(each) {
			c.take(each, addresses, time.Now())
		}
		complete = complete && (each.discovered || each.resolved)
		c.mu.Unlock()
	}
	return complete
}

func (c *Client) has(n *name) bool {
	for _, each := range c.names {
		if each == n {
			return true
		}
	}
	return false
}

// lookDue: is it time to ask a worker who is there? Under c.mu.
func (c *Client) lookDue(now time.Time) bool {
	if !c.options.Discover || now.Before(c.lookAt) {
		return false
	}
	period := c.options.DiscoverEvery
	c.looked = now
	c.lookAt = now.Add(period*4/5 + c.policy.below(period*2/5+1))
	return true
}

// lookSoon: the fleet may have changed. Under c.mu.
func (c *Client) lookSoon(now time.Time) {
	first := c.looked.Add(lookMin)
	if first.Before(now) {
		first = now
	}
	if at := first.Add(c.policy.below(lookMin)); at.Before(c.lookAt) {
		c.lookAt = at
	}
}

// lookAround asks for INFO beside the next request.
func (k *conn) lookAround() {
	k.mu.Lock()
	if k.state == up && !k.introd {
		k.introd = true
		k.ask(kindInfo, typeInfo, nil)
	}
	k.mu.Unlock()
}

// discovered takes what a worker tells of its fellows. It adds servers, which are probed before they are used, and takes away only those that
// nobody has told of for a while and that do not answer. Under c.mu.
func (c *Client) discovered(workers []string, now time.Time) {
	if !c.options.Discover {
		return
	}
	c.stats.discoveries.Add(1)
	for _, text := range workers {
		if at, ok := parseHostPort(text, ""); ok {
			c.listed(at, now)
		}
	}
	kept := c.names[:0:0]
	for _, each := range c.names {
		if each.discovered && now.Sub(each.listed) >= c.options.DiscoverEvery && !c.answers(each) {
			for _, s := range append([]*server(nil), c.policy.servers...) {
				if s.name == each {
					c.remove(s)
				}
			}
			continue
		}
		kept = append(kept, each)
	}
	c.names = kept
}

func (c *Client) listed(at hostPort, now time.Time) {
	count := 0
	for _, each := range c.names {
		if each.at == at {
			each.listed = now
			return
		}
		if each.discovered {
			count++
		}
	}
	if count == discoverMax {
		return
	}
	made := &name{at: at, discovered: true, numeric: isNumeric(at.host), listed: now}
	c.names = append(c.names, made)
	if made.numeric {
		c.take(made, []string{at.host}, now)
		return
	}
	select {
	case c.resolveNow <- struct{}{}:
	default:
	}
}

func (c *Client) answers(n *name) bool {
	for _, each := range c.policy.servers {
		if each.name == n && each.state == closed {
			return true
		}
	}
	return false
}
