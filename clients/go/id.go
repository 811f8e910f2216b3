package snowfleet

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// ID is one identifier: positive, at most 2^63-1, unique in its fleet, and ascending with time.
type ID uint64

// MaxID is the largest ID that there can be.
const MaxID = ID(math.MaxInt64)

// String is the decimal form.
func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

const base32Digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Base32 is the ID in Crockford's base 32: always 13 digits, which sort as the IDs do.
func (id ID) Base32() string {
	var text [13]byte
	for i, rest := len(text)-1, uint64(id); i >= 0; i, rest = i-1, rest>>5 {
		text[i] = base32Digits[rest&31]
	}
	return string(text[:])
}

// Parse reads the decimal form.
func Parse(text string) (ID, error) {
	value, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("snowfleet: %q is not an ID; 0 to 9223372036854775807 are", text)
	}
	return ID(value), nil
}

func base32Value(c byte) int {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	switch c {
	case 'O':
		return 0
	case 'I', 'L':
		return 1
	}
	for i := 0; i < len(base32Digits); i++ {
		if base32Digits[i] == c {
			return i
		}
	}
	return -1
}

// ParseBase32 reads the 13 digits that Base32 writes, in either case; I, L and O are read as 1, 1 and 0.
func ParseBase32(text string) (ID, error) {
	id := uint64(0)
	for i := 0; i < len(text); i++ {
		value := base32Value(text[i])
		if value < 0 || len(text) != 13 || (i == 0 && value > 7) {
			return 0, fmt.Errorf("snowfleet: %q is not an ID in base 32; 0000000000000 to 7ZZZZZZZZZZZZ are", text)
		}
		id = id<<5 | uint64(value)
	}
	if len(text) != 13 {
		return 0, fmt.Errorf("snowfleet: %q is not an ID in base 32; 13 digits are", text)
	}
	return ID(id), nil
}

// MarshalJSON writes a string: readers that know doubles only would lose digits of a number.
func (id ID) MarshalJSON() ([]byte, error) { return []byte(`"` + id.String() + `"`), nil }

// UnmarshalJSON reads a string or a number.
func (id *ID) UnmarshalJSON(data []byte) error {
	text := string(data)
	if len(data) > 0 && data[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	value, err := Parse(text)
	if err == nil {
		*id = value
	}
	return err
}

// MarshalText is the decimal form, for map keys and flags.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the decimal form.
func (id *ID) UnmarshalText(text []byte) error {
	value, err := Parse(string(text))
	if err == nil {
		*id = value
	}
	return err
}

// Value stores the ID as a signed 64-bit integer (BIGINT).
func (id ID) Value() (driver.Value, error) {
	if id > MaxID {
		return nil, fmt.Errorf("snowfleet: %d is no ID: above 2^63-1", uint64(id))
	}
	return int64(id), nil
}

// Scan reads what a database has: an integer, or its decimal form.
func (id *ID) Scan(from any) error {
	switch value := from.(type) {
	case int64:
		if value < 0 {
			return fmt.Errorf("snowfleet: %d is no ID: negative", value)
		}
		*id = ID(value)
		return nil
	case []byte:
		return id.UnmarshalText(value)
	case string:
		return id.UnmarshalText([]byte(value))
	}
	return fmt.Errorf("snowfleet: an ID cannot be read from %T", from)
}

// Layout says which bits of an ID mean what, and when its timestamps begin. It belongs to a fleet and never changes.
type Layout struct {
	TimestampBits, DatacenterBits, WorkerBits, SequenceBits uint8
	EpochMs                                                 int64 // Unix milliseconds of timestamp 0
}

// DefaultLayout is that of a fleet for which nothing else was said: 41, 5, 5, 12 from 2024-01-01 on.
var DefaultLayout = Layout{41, 5, 5, 12, 1704067200000}

// Parts are the fields of an ID.
type Parts struct {
	UnixMs                       int64
	Datacenter, Worker, Sequence uint64
}

func (l Layout) valid() bool {
	sum := int(l.TimestampBits) + int(l.DatacenterBits) + int(l.WorkerBits) + int(l.SequenceBits)
	return l.TimestampBits >= 1 && sum == 63
}

func mask(bits uint8) uint64 { return 1<<bits - 1 }

// Decode takes an ID apart.
func (l Layout) Decode(id ID) (Parts, error) {
	if !l.valid() || id > MaxID {
		return Parts{}, fmt.Errorf("snowfleet: %d cannot be decoded with the layout %+v", uint64(id), l)
	}
	shift := l.DatacenterBits + l.WorkerBits + l.SequenceBits
	return Parts{
		UnixMs:     l.EpochMs + int64(uint64(id)>>shift),
		Datacenter: uint64(id) >> (l.WorkerBits + l.SequenceBits) & mask(l.DatacenterBits),
		Worker:     uint64(id) >> l.SequenceBits & mask(l.WorkerBits),
		Sequence:   uint64(id) & mask(l.SequenceBits),
	}, nil
}

// Encode makes an ID of its parts. With the other fields 0 it is the smallest ID of that millisecond: a bound for queries by time.
func (l Layout) Encode(parts Parts) (ID, error) {
	timestamp := uint64(parts.UnixMs - l.EpochMs)
	if !l.valid() || parts.UnixMs < l.EpochMs || timestamp > mask(l.TimestampBits) || parts.Datacenter > mask(l.DatacenterBits) ||
		parts.Worker > mask(l.WorkerBits) || parts.Sequence > mask(l.SequenceBits) {
		return 0, fmt.Errorf("snowfleet: %+v does not fit the layout %+v", parts, l)
	}
	return ID(((timestamp<<l.DatacenterBits|parts.Datacenter)<<l.WorkerBits|parts.Worker)<<l.SequenceBits | parts.Sequence), nil
}

// Time is when the ID was minted, by the layout of its fleet (Client.Layout tells it).
func (id ID) Time(layout Layout) time.Time {
	parts, err := layout.Decode(id)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(parts.UnixMs).UTC()
}

func (l Layout) sameSlot(a, b uint64) bool {
	return (a^b)&(mask(l.DatacenterBits+l.WorkerBits)<<l.SequenceBits) == 0
}
