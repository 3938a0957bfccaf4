package clients

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/apache/arrow-go/v18/arrow/flight/flightsql/driver"
)

// docs: begin
func open(host, port, token string) (*sql.DB, error) {
	return sql.Open("flightsql", "flightsql://"+host+":"+port+"?token="+token+"&timeout=30s")
}

func customersOf(db *sql.DB, country string) (names []string, err error) {
	rows, err := db.Query("SELECT name FROM shop.customers WHERE country = ? ORDER BY id", country)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// docs: end

func database(t *testing.T) *sql.DB {
	db, err := open(os.Getenv("PONDPILOT_HOST"), os.Getenv("PONDPILOT_PORT"), os.Getenv("PONDPILOT_TOKEN"))
	if err != nil {
		t.Fatal(err)
	}
	// Sessions belong to connections.
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, text string, values ...any) int64 {
	t.Helper()
	result, err := db.Exec(text, values...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	changed, err := result.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestDatabaseQuickStart(t *testing.T) {
	db := database(t)
	var country string
	if err := db.QueryRow("SELECT country FROM shop.customers ORDER BY id LIMIT 1").Scan(&country); err != nil {
		t.Fatal(err)
	}
	names, err := customersOf(db, country)
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
}

func TestDatabaseParameters(t *testing.T) {
	db := database(t)
	var number int64
	var text string
	var ok bool
	row := db.QueryRow("SELECT ?::BIGINT, ?::VARCHAR, ?::BOOLEAN", int64(7), "o'hara", true)
	if err := row.Scan(&number, &text, &ok); err != nil {
		t.Fatal(err)
	}
	if number != 7 || text != "o'hara" || !ok {
		t.Fatal(number, text, ok)
	}
}

func TestDatabaseChangesAreCounted(t *testing.T) {
	db := database(t)
	exec(t, db, "CREATE OR REPLACE TABLE go_counts (a BIGINT, t VARCHAR)")
	if n := exec(t, db, "INSERT INTO go_counts VALUES (?, ?)", int64(1), "one"); n != 1 {
		t.Fatal(n)
	}
	if n := exec(t, db, "INSERT INTO go_counts SELECT range, 'x' FROM range(9)"); n != 9 {
		t.Fatal(n)
	}
	if n := exec(t, db, "DELETE FROM go_counts WHERE t = ?", "x"); n != 9 {
		t.Fatal(n)
	}
	exec(t, db, "DROP TABLE go_counts")
}

func TestDatabaseTransactions(t *testing.T) {
	db := database(t)
	exec(t, db, "CREATE OR REPLACE TABLE go_ledger (a BIGINT)")
	for _, commit := range []bool{false, true} {
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("INSERT INTO go_ledger VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		end := tx.Rollback
		expected := int64(0)
		if commit {
			end, expected = tx.Commit, 1
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		var count int64
		if err := db.QueryRow("SELECT count(*) FROM go_ledger").Scan(&count); err != nil || count != expected {
			t.Fatal(count, err)
		}
	}
	exec(t, db, "DROP TABLE go_ledger")
}

func TestDatabasePreparedAgain(t *testing.T) {
	db := database(t)
	statement, err := db.Prepare("SELECT ?::BIGINT * 2")
	if err != nil {
		t.Fatal(err)
	}
	defer statement.Close()
	for i := int64(0); i < 20; i++ {
		var twice int64
		if err := statement.QueryRow(i).Scan(&twice); err != nil || twice != 2*i {
			t.Fatal(twice, err)
		}
	}
}

func TestDatabaseErrors(t *testing.T) {
	db := database(t)
	_, err := db.Query("SELECT * FROM no_such_table")
	if err == nil || !strings.Contains(err.Error(), "no_such_table") {
		t.Fatal(err)
	}
	wrong, err := open(os.Getenv("PONDPILOT_HOST"), os.Getenv("PONDPILOT_PORT"), "nonsense")
	if err == nil {
		defer wrong.Close()
		err = wrong.Ping()
		if err == nil {
			_, err = wrong.Query("SELECT 1")
		}
	}
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "token") {
		t.Fatal(err)
	}
}

func TestDatabaseContextEndsAStatement(t *testing.T) {
	db := database(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	begin := time.Now()
	var count int64
	err := db.QueryRowContext(ctx, "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3").Scan(&count)
	if err == nil || time.Since(begin) > 15*time.Second {
		t.Fatal(err, time.Since(begin))
	}
	if err := db.QueryRow("SELECT 42").Scan(&count); err != nil || count != 42 {
		t.Fatal(count, err)
	}
}
