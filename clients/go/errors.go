package snowfleet

import (
	"fmt"
	"time"
)

// Code says what went wrong with a call. It is an error itself: errors.Is(err, snowfleet.RateLimited).
type Code int

// The names and numbers are those of the C library's enum sf_client_error.
const (
	OK          Code = iota
	Invalid          // an argument or option is not allowed; the detail says which
	Unreachable      // no worker could be connected to by the deadline
	Timeout          // connected and asked, but nothing answered by the deadline
	NotReady         // every worker said that it holds no slot or reservation
	Clock            // every worker said that its clock is not safe
	Overloaded       // queues full until the deadline
	RateLimited      // over quota, and the wait is longer than the call may last
	Draining         // every worker is shutting down
	Denied           // the token is missing or was refused
	Causality        // `after` lies further ahead than the call may wait
	Internal         // a worker reported a defect, or a status unknown to this library
	Refused          // the worker does not accept the request
	Protocol         // what answered does not speak the Snowfleet protocol
	Order            // a worker gave an ID that repeats or goes back: page somebody
	Name             // a server name has no address
	TLS              // certificate, key or handshake
	WrongFleet       // a worker belongs to another fleet than the ones before it
	Memory           // never used here; kept for the numbers
	Busy             // never used here; kept for the numbers
	Cancelled        // the client was closed, or the context ended
	codes
)

var codeNames = [codes]string{"OK", "INVALID", "UNREACHABLE", "TIMEOUT", "NOT_READY", "CLOCK", "OVERLOADED", "RATE_LIMITED", "DRAINING", "DENIED",
	"CAUSALITY", "INTERNAL", "REFUSED", "PROTOCOL", "ORDER", "NAME", "TLS", "WRONG_FLEET", "MEMORY", "BUSY", "CANCELLED"}

func (c Code) String() string {
	if c < 0 || c >= codes {
		return "UNKNOWN"
	}
	return codeNames[c]
}

func (c Code) Error() string { return c.String() }

// Error is what every failed call returns.
type Error struct {
	Code       Code
	Server     string        // who answered last, "address:port"; may be empty
	Detail     string        // for people: what happened, and what to do where something can be done
	RetryAfter time.Duration // RateLimited, Causality, Overloaded: what the worker asked for
	Attempts   int           // requests sent
	cause      error
}

func (e *Error) Error() string { return fmt.Sprintf("snowfleet: %s: %s", e.Code, e.Detail) }

// Is makes errors.Is(err, snowfleet.Timeout) true.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

// Unwrap gives the context's error where that ended the call.
func (e *Error) Unwrap() error { return e.cause }

func invalid(format string, args ...any) *Error {
	return &Error{Code: Invalid, Detail: fmt.Sprintf(format, args...)}
}
