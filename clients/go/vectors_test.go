package snowfleet

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
)

func readJSON(t *testing.T, name string, to any) {
	t.Helper()
	raw, err := os.ReadFile("../../tests/vectors/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, to); err != nil {
		t.Fatal(err)
	}
}

func TestIDVectors(t *testing.T) {
	var vectors struct {
		IDs []struct {
			ID         string           `json:"id"`
			Layout     map[string]uint8 `json:"layout"`
			EpochMs    int64            `json:"epoch_ms"`
			UnixMs     int64            `json:"unix_ms"`
			Datacenter uint64           `json:"datacenter"`
			Worker     uint64           `json:"worker"`
			Sequence   uint64           `json:"sequence"`
			Base32     string           `json:"base32"`
		} `json:"ids"`
		ReadAs []struct {
			Base32 string `json:"base32"`
			ID     string `json:"id"`
		} `json:"read_as"`
		Refused []string `json:"refused"`
	}
	readJSON(t, "ids.json", &vectors)
	for _, row := range vectors.IDs {
		id, err := Parse(row.ID)
		if err != nil {
			t.Fatal(err)
		}
		layout := Layout{row.Layout["timestamp"], row.Layout["datacenter"], row.Layout["worker"], row.Layout["sequence"], row.EpochMs}
		want := Parts{row.UnixMs, row.Datacenter, row.Worker, row.Sequence}
		if parts, err := layout.Decode(id); err != nil || parts != want {
			t.Errorf("%s: %+v, %v; want %+v", row.ID, parts, err, want)
		}
		if back, err := layout.Encode(want); err != nil || back != id {
			t.Errorf("%s: encoded to %v, %v", row.ID, back, err)
		}
		if id.Time(layout).UnixMilli() != row.UnixMs || id.Base32() != row.Base32 || id.String() != row.ID {
			t.Errorf("%s: %v, %s, %s", row.ID, id.Time(layout), id.Base32(), id)
		}
		if back, err := ParseBase32(row.Base32); err != nil || back != id {
			t.Errorf("%s: %v, %v", row.Base32, back, err)
		}
	}
	for _, row := range vectors.ReadAs {
		if id, err := ParseBase32(row.Base32); err != nil || id.String() != row.ID {
			t.Errorf("%s: %v, %v; want %s", row.Base32, id, err, row.ID)
		}
	}
	for _, text := range vectors.Refused {
		if id, err := ParseBase32(text); err == nil {
			t.Errorf("%q was read as %v", text, id)
		}
	}
	sorted := sort.SliceIsSorted(vectors.IDs, func(i, k int) bool { return vectors.IDs[i].Base32 < vectors.IDs[k].Base32 })
	byNumber := sort.SliceIsSorted(vectors.IDs, func(i, k int) bool {
		a, _ := Parse(vectors.IDs[i].ID)
		b, _ := Parse(vectors.IDs[k].ID)
		return a < b
	})
	if sorted != byNumber {
		t.Error("texts do not sort as numbers do")
	}
}

func TestFrameVectors(t *testing.T) {
	var vectors struct {
		Frames []struct {
			Name, Kind, Bytes string
			Values            map[string]string
		}
	}
	readJSON(t, "frames.json", &vectors)
	number := func(text string) uint64 {
		value, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	seen := map[string]int{}
	for _, row := range vectors.Frames {
		raw, err := hex.DecodeString(row.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		seen[row.Kind]++
		switch {
		case row.Kind == "next":
			after, has := row.Values["after"]
			if !has {
				after = "0"
			}
			made := appendNext(nil, uint32(number(row.Values["id"])), uint32(number(row.Values["count"])), has, number(after))
			if !bytes.Equal(made, raw) {
				t.Errorf("%s: %x instead of %x", row.Name, made, raw)
			}
		case row.Kind == "ids":
			count := uint32(0)
			var want []Run
			for _, text := range strings.Split(row.Values["runs"], ",") {
				first, n, _ := strings.Cut(text, "+")
				want = append(want, Run{ID(number(first)), uint32(number(n))})
				count += uint32(number(n))
			}
			runs, err := parseRuns(nil, raw[headerSize:], count)
			if err != nil || len(runs) != len(want) || runs[0] != want[0] {
				t.Errorf("%s: %v, %v", row.Name, runs, err)
			}
		case row.Kind == "broken" && raw[5] == typeNext|typeAnswer && raw[7] == 0:
			for count := uint32(0); count <= 65536; count++ { // no more is ever asked for
				if runs, err := parseRuns(nil, raw[headerSize:], count); err == nil {
					t.Errorf("%s was read as %v", row.Name, runs)
					break
				}
			}
		case row.Kind == "error":
			head := parseHeader(raw)
			retry, reason, ok := parseRefusal(raw[headerSize:])
			if !ok || uint64(retry.Milliseconds()) != number(row.Values["retry"]) || reason != row.Values["reason"] ||
				uint64(head.code) != number(row.Values["status"]) {
				t.Errorf("%s: %v, %q, %v", row.Name, retry, reason, ok)
			}
		case row.Kind == "broken" && raw[7] != 0:
			if _, _, ok := parseRefusal(raw[headerSize:]); ok {
				t.Errorf("%s was read", row.Name)
			}
		}
	}
	if seen["next"] == 0 || seen["ids"] == 0 || seen["broken"] == 0 || seen["error"] == 0 {
		t.Errorf("kinds of vectors: %v", seen)
	}
}

func TestForms(t *testing.T) {
	id := ID(382339661470629891)
	raw, err := json.Marshal(map[string]any{"id": id})
	if err != nil || string(raw) != `{"id":"382339661470629891"}` {
		t.Errorf("%s, %v", raw, err)
	}
	for _, text := range []string{`"382339661470629891"`, `382339661470629891`} {
		var back ID
		if err := json.Unmarshal([]byte(text), &back); err != nil || back != id {
			t.Errorf("%s: %v, %v", text, back, err)
		}
	}
	for _, text := range []string{`-1`, `1.5`, `"x"`, `9223372036854775808`, `{}`, `""`} {
		var back ID
		if err := json.Unmarshal([]byte(text), &back); err == nil {
			t.Errorf("%s was read as %v", text, back)
		}
	}
	value, err := id.Value()
	if err != nil || value != int64(id) {
		t.Errorf("%v, %v", value, err)
	}
	if _, err := ID(1 << 63).Value(); err == nil {
		t.Error("2^63 was stored")
	}
	for _, from := range []any{int64(id), "382339661470629891", []byte("382339661470629891")} {
		var back ID
		if err := back.Scan(from); err != nil || back != id {
			t.Errorf("%v: %v, %v", from, back, err)
		}
	}
	for _, from := range []any{int64(-1), 1.5, nil, "x"} {
		if err := new(ID).Scan(from); err == nil {
			t.Errorf("%v was read", from)
		}
	}
}
