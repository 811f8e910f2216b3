// IDs as primary keys with database/sql: snowfleet.ID is a driver.Valuer and a sql.Scanner. Give the server's address, and register the driver
// of your database as programs with database/sql do; the statements are the same for all.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"

	snowfleet "github.com/snowfleet/snowfleet/clients/go"
)

// Order is a row whose key is known before it is written: no round trip to the database for it, and children can be written with their parent.
type Order struct {
	ID   snowfleet.ID `json:"id"`
	What string       `json:"what"`
}

// Insert stores an order under a new ID.
func Insert(ctx context.Context, db *sql.DB, ids *snowfleet.Client, what string) (Order, error) {
	id, err := ids.Next(ctx)
	if err != nil {
		return Order{}, err
	}
	_, err = db.ExecContext(ctx, "INSERT INTO orders (id, what) VALUES (?, ?)", id, what)
	return Order{id, what}, err
}

// Since lists the orders of a time and later: an ID is a bound.
func Since(ctx context.Context, db *sql.DB, layout snowfleet.Layout, unixMs int64) ([]Order, error) {
	bound, err := layout.Encode(snowfleet.Parts{UnixMs: unixMs})
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, "SELECT id, what FROM orders WHERE id >= ? ORDER BY id", bound)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []Order
	for rows.Next() {
		var each Order
		if err := rows.Scan(&each.ID, &each.What); err != nil {
			return nil, err
		}
		found = append(found, each)
	}
	return found, rows.Err()
}

func main() {
	if len(os.Args) < 4 {
		fmt.Println("usage: database SERVERS DRIVER DSN")
		return
	}
	ids, err := snowfleet.New(snowfleet.Options{Servers: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	defer ids.Close()
	db, err := sql.Open(os.Args[2], os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	order, err := Insert(context.Background(), db, ids, "a book")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(order.ID, order.ID.Base32())
}
