package snowfleet

import (
	"encoding/binary"
	"errors"
)

// Frames of the protocol (docs/protocol.md).
const (
	headerSize = 12
	lengthMin  = 8
	lengthMax  = 65536

	typeNext   = 0x01
	typeInfo   = 0x03
	typeAuth   = 0x05
	typeAnswer = 0x80
	typeError  = 0xBF
	typeGoaway = 0xC0
	flagAfter  = 0x0001
)

// Statuses of answers.
const (
	statusOK = iota
	statusBadRequest
	statusUnsupported
	statusTooLarge
	statusNotReady
	statusClock
	statusOverloaded
	statusRateLimited
	statusDraining
	statusDenied
	statusCausality
	statusInternal
)

type header struct {
	length  uint32
	version byte
	kind    byte
	code    uint16
	request uint32
}

func parseHeader(raw []byte) header {
	return header{binary.BigEndian.Uint32(raw), raw[4], raw[5], binary.BigEndian.Uint16(raw[6:]), binary.BigEndian.Uint32(raw[8:])}
}

func appendFrame(to []byte, kind byte, code uint16, request uint32, body []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(lengthMin+len(body)))
	to = append(to, 1, kind)
	to = binary.BigEndian.AppendUint16(to, code)
	to = binary.BigEndian.AppendUint32(to, request)
	return append(to, body...)
}

func appendNext(to []byte, request uint32, count uint32, hasAfter bool, after uint64) []byte {
	var body [12]byte
	binary.BigEndian.PutUint32(body[:], count)
	if !hasAfter {
		return appendFrame(to, typeNext, 0, request, body[:4])
	}
	binary.BigEndian.PutUint64(body[4:], after)
	return appendFrame(to, typeNext, flagAfter, request, body[:])
}

// Run stands for the IDs First, First+1, ... First+Count-1.
type Run struct {
	First ID
	Count uint32
}

var errRuns = errors.New("an answer to NEXT is malformed")

// parseRuns checks everything that docs/protocol.md has a client check. The slice is appended to `to`.
func parseRuns(to []Run, body []byte, count uint32) ([]Run, error) {
	if len(body) == 0 || len(body)%12 != 0 {
		return nil, errRuns
	}
	total, last := uint64(0), uint64(0)
	for i := 0; i < len(body); i += 12 {
		first, n := binary.BigEndian.Uint64(body[i:]), binary.BigEndian.Uint32(body[i+8:])
		if n == 0 || first > uint64(MaxID) || uint64(n-1) > uint64(MaxID)-first || (i > 0 && first <= last) {
			return nil, errRuns
		}
		last = first + uint64(n-1)
		total += uint64(n)
		to = append(to, Run{First: ID(first), Count: n})
	}
	if total != uint64(count) {
		return nil, errRuns
	}
	return to, nil
}
