package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync"
	"testing"

	snowfleet "github.com/snowfleet/snowfleet/clients/go"
)

// A database of one table, behind the standard library's own database/sql: what it is given and what it gives back are the types that every
// driver has (int64).
type table struct {
	mu   sync.Mutex
	rows [][]driver.Value
}

func (t *table) Open(string) (driver.Conn, error)          { return t, nil }
func (t *table) Prepare(query string) (driver.Stmt, error) { return &statement{t, query}, nil }
func (t *table) Close() error                              { return nil }
func (t *table) Begin() (driver.Tx, error)                 { return nil, errors.New("no transactions here") }

type statement struct {
	*table
	query string
}

func (s *statement) NumInput() int { return -1 }
func (s *statement) Exec(args []driver.Value) (driver.Result, error) {
	s.rows = append(s.rows, args)
	return driver.RowsAffected(1), nil
}
func (s *statement) Query(args []driver.Value) (driver.Rows, error) {
	found := &rows{}
	for _, row := range s.rows {
		if row[0].(int64) >= args[0].(int64) {
			found.left = append(found.left, row)
		}
	}
	return found, nil
}

type rows struct{ left [][]driver.Value }

func (r *rows) Columns() []string { return []string{"id", "what"} }
func (r *rows) Close() error      { return nil }
func (r *rows) Next(to []driver.Value) error {
	if len(r.left) == 0 {
		return io.EOF
	}
	copy(to, r.left[0])
	r.left = r.left[1:]
	return nil
}

func TestThereAndBack(t *testing.T) {
	sql.Register("table", &table{})
	db, err := sql.Open("table", "")
	if err != nil {
		t.Fatal(err)
	}
	ids := []snowfleet.ID{5 << 22, 7<<22 | 3, snowfleet.MaxID}
	for _, id := range ids {
		if _, err := db.Exec("INSERT INTO orders (id, what) VALUES (?, ?)", id, "x"); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Since(context.Background(), db, snowfleet.DefaultLayout, snowfleet.DefaultLayout.EpochMs+6)
	if err != nil || len(found) != 2 || found[0].ID != ids[1] || found[1].ID != ids[2] {
		t.Errorf("%v, %v", found, err)
	}
}
