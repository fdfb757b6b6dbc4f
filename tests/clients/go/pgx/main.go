// pgx v5: binary by default, statement caches, batches, COPY, pools.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"tarn/clients/tap"
)

var (
	ctx    = context.Background()
	source string
)

const slow = "select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b"

func connected(run func(*pgx.Conn) error) func() error {
	return connectedWith("", run)
}

func connectedWith(options string, run func(*pgx.Conn) error) func() error {
	return func() error {
		limited, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		conn, err := pgx.Connect(limited, source+options)
		if err != nil {
			return err
		}
		defer conn.Close(limited)
		return run(conn)
	}
}

func state(err error) string {
	var failure *pgconn.PgError
	if errors.As(err, &failure) {
		return failure.Code
	}
	return fmt.Sprint(err)
}

func printed(value any) string {
	switch value := value.(type) {
	case pgtype.Numeric:
		text, _ := value.Value()
		return fmt.Sprintf("numeric %v", text)
	case time.Time:
		return value.UTC().Format(time.RFC3339Nano)
	case []any:
		parts := make([]string, len(value))
		for i, element := range value {
			parts[i] = printed(element)
		}
		return "[" + strings.Join(parts, " ") + "]"
	case *big.Int:
		return value.String()
	}
	return fmt.Sprintf("%T %v", value, value)
}

func show(conn *pgx.Conn, sql string, arguments ...any) error {
	rows, err := conn.Query(ctx, sql, arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns := []string{}
	for _, field := range rows.FieldDescriptions() {
		columns = append(columns, fmt.Sprintf("%s:%d:%d:%d:%d", field.Name, field.DataTypeOID, field.DataTypeSize, field.TypeModifier, field.Format))
	}
	tap.Show("columns " + strings.Join(columns, ", "))
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		parts := make([]string, len(values))
		for i, value := range values {
			parts[i] = printed(value)
		}
		tap.Show("row " + strings.Join(parts, ", "))
	}
	tap.Show(rows.CommandTag().String())
	return rows.Err()
}

func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return strings.TrimPrefix(dependency.Version, "v")
			}
		}
	}
	return "?"
}

func execAll(conn *pgx.Conn, statements ...string) error {
	for _, sql := range statements {
		tag, err := conn.Exec(ctx, sql)
		if err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
		tap.Show(tag.String())
	}
	return nil
}

func main() {
	if len(os.Args) != 7 {
		fmt.Fprintln(os.Stderr, "usage: pgx host port user password database STATEMENTS")
		os.Exit(2)
	}
	a := os.Args
	source = fmt.Sprintf("postgres://%s:%s@%s:%s/%s?sslmode=disable", a[3], a[4], a[1], a[2], a[5])
	connections()
	statements()
	cursors()
	copies()
	transactions()
	tap.EachStatement(a[6], func(sql string) error {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeSimpleProtocol} {
			if err := connected(func(conn *pgx.Conn) error { return show(conn, sql, mode) })(); err != nil {
				return err
			}
		}
		return nil
	})
	tap.Main("pgx " + version("github.com/jackc/pgx/v5"))
}

func connections() {
	tap.Case("connect: connects with runtime parameters", connectedWith("&application_name=pgx&statement_timeout=30000&search_path=pg_catalog", func(conn *pgx.Conn) error {
		tap.Show(conn.PgConn().ParameterStatus("application_name"), conn.PgConn().ParameterStatus("standard_conforming_strings"))
		for _, name := range []string{"statement_timeout", "search_path"} {
			if err := show(conn, "show "+name); err != nil {
				return err
			}
		}
		return conn.Ping(ctx)
	}))
	tap.Case("connect: a pool answers in parallel", func() error {
		pool, err := pgxpool.New(ctx, source+"&pool_max_conns=4")
		if err != nil {
			return err
		}
		defer pool.Close()
		answers := make(chan error, 40)
		for n := range 40 {
			go func() {
				var found int
				err := pool.QueryRow(ctx, "select $1::int4", n).Scan(&found)
				if err == nil && found != n {
					err = fmt.Errorf("found %d, expected %d", found, n)
				}
				answers <- err
			}()
		}
		for range 40 {
			if err := <-answers; err != nil {
				return err
			}
		}
		return nil
	})
}

func statements() {
	tap.Case("simple: tags and several statements", connected(func(conn *pgx.Conn) error {
		if err := execAll(conn, "create table go_tags (a int)", "insert into go_tags values (1), (2)", "update go_tags set a = 3", "delete from go_tags", "drop table go_tags", "set work_mem = '8MB'"); err != nil {
			return err
		}
		results, err := conn.PgConn().Exec(ctx, "select 1; select 2, 'x'; select 3 where false").ReadAll()
		for _, result := range results {
			tap.Show(result.CommandTag, len(result.Rows))
		}
		return err
	}))
	tap.Case("simple: errors", connected(func(conn *pgx.Conn) error {
		for _, sql := range []string{"select * from missing", "selec 1", "select missing from nation", "select 1/0", "select 'x'::int4"} {
			_, err := conn.Exec(ctx, sql)
			var failure *pgconn.PgError
			if !errors.As(err, &failure) {
				return fmt.Errorf("%s: %v", sql, err)
			}
			tap.Show(fmt.Sprint(sql, failure.Code, failure.Severity, failure.Position))
		}
		return show(conn, "select 'alive' as a")
	}))
	tap.Case("prepared: parameters of every type", connected(func(conn *pgx.Conn) error {
		moment := time.Date(2024, 2, 29, 1, 2, 3, 456789000, time.UTC)
		for _, one := range []struct {
			kind  string
			value any
		}{
			{"bool", true}, {"int2", int16(-7)}, {"int4", 70000}, {"int8", int64(1) << 40}, {"float4", float32(0.5)}, {"float8", -1e300},
			{"numeric", pgtype.Numeric{Int: big.NewInt(12345), Exp: -3, Valid: true}}, {"numeric", "1.50"}, {"text", "ä€"}, {"varchar", "v"}, {"bytea", []byte{0, 255}},
			{"date", moment}, {"timestamp", moment}, {"timestamptz", moment}, {"interval", 36 * time.Hour}, {"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
			{"json", map[string]any{"a": []int{1}}}, {"jsonb", map[string]any{"a": nil}}, {"int4[]", []int32{1, 2}}, {"text[]", []string{"a", `q"`}}, {"text", nil},
			{"float8[]", []float64{0.5}}, {"timestamptz[]", []time.Time{moment}}, {"time", pgtype.Time{Microseconds: 3723000000, Valid: true}},
		} {
			if err := show(conn, "select $1::"+one.kind+" as v", one.value); err != nil {
				return fmt.Errorf("%s: %w", one.kind, err)
			}
		}
		return nil
	}))
	tap.Case("prepared: parameters without casts", connected(func(conn *pgx.Conn) error {
		for n := range 4 {
			if err := show(conn, "select n_name from nation where n_nationkey = $1 and n_name <> $2", n, "CANADA"); err != nil {
				return err
			}
		}
		if err := show(conn, "select n_name from nation where n_nationkey = any($1) order by 1", []int64{1, 2}); err != nil {
			return err
		}
		description, err := conn.Prepare(ctx, "named", "select o_orderkey, o_totalprice * $1 as p from orders where o_orderdate < $2 and o_comment like $3 order by 1 limit $4")
		if err == nil {
			tap.Show(description.ParamOIDs)
			err = show(conn, "named", 2, time.Date(1992, 1, 3, 0, 0, 0, 0, time.UTC), "%a%", 1)
		}
		return err
	}))
	tap.Case("prepared: every execution mode", connected(func(conn *pgx.Conn) error {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			for n := range 3 {
				if err := show(conn, "select $1::int4 + 1 as n, $2::text as t", mode, n, "it's"); err != nil {
					return fmt.Errorf("%v: %w", mode, err)
				}
			}
		}
		return nil
	}))
	tap.Case("batch: a batch of statements", connected(func(conn *pgx.Conn) error {
		batch := &pgx.Batch{}
		for n := range 5 {
			batch.Queue("select $1::int4 * 2", n)
		}
		batch.Queue("select count(*) from nation")
		results := conn.SendBatch(ctx, batch)
		for range 6 {
			var n int
			if err := results.QueryRow().Scan(&n); err != nil {
				return err
			}
			tap.Show(n)
		}
		if err := results.Close(); err != nil {
			return err
		}
		failing := &pgx.Batch{}
		failing.Queue("select 1")
		failing.Queue("select * from missing")
		tap.Show(state(conn.SendBatch(ctx, failing).Close()))
		return show(conn, "select 'alive' as a")
	}))
	tap.Case("metadata: LISTEN and NOTIFY", connected(func(conn *pgx.Conn) error {
		if err := execAll(conn, "listen channel_of_go", "notify channel_of_go, 'hi'"); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		heard, err := conn.WaitForNotification(limited)
		if err == nil {
			tap.Show(heard.Channel, heard.Payload)
		}
		return err
	}))
}

func cursors() {
	tap.Case("cursors: rows closed early", connected(func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "select l_orderkey from lineitem")
		if err != nil {
			return err
		}
		for range 3 {
			rows.Next()
		}
		rows.Close()
		return show(conn, "select 'alive' as a")
	}))
	tap.Case("cursors: DECLARE and FETCH", connected(func(conn *pgx.Conn) error {
		transaction, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer transaction.Rollback(ctx)
		if err := execAll(conn, "declare c cursor for select n_nationkey, n_name from nation order by 1"); err != nil {
			return err
		}
		for _, sql := range []string{"fetch 2 from c", "fetch forward 1 from c", "fetch all from c"} {
			if err := show(conn, sql); err != nil {
				return err
			}
		}
		return transaction.Commit(ctx)
	}))
}

func copies() {
	tap.Case("copy out: CopyTo", connected(func(conn *pgx.Conn) error {
		for _, sql := range []string{"copy region to stdout", "copy (select * from nation order by 1 limit 3) to stdout csv header"} {
			var buffer bytes.Buffer
			tag, err := conn.PgConn().CopyTo(ctx, &buffer, sql)
			if err != nil {
				return err
			}
			tap.Show(tag.String(), buffer.String())
		}
		return nil
	}))
	tap.Case("copy in: CopyFrom in binary", connected(func(conn *pgx.Conn) error {
		if err := execAll(conn, "create table go_copied (a int, b text, c timestamptz, d numeric(6,2))"); err != nil {
			return err
		}
		rows := [][]any{{1, "x", time.Date(2024, 2, 29, 1, 2, 3, 0, time.UTC), "1.5"}, {2, nil, nil, nil}}
		n, err := conn.CopyFrom(ctx, pgx.Identifier{"go_copied"}, []string{"a", "b", "c", "d"}, pgx.CopyFromRows(rows))
		if err != nil {
			return err
		}
		tap.Show(n)
		tag, err := conn.PgConn().CopyFrom(ctx, strings.NewReader("3\ty\t\\N\t\\N\n"), "copy go_copied from stdin")
		if err != nil {
			return err
		}
		tap.Show(tag.String())
		if err := show(conn, "select * from go_copied order by a"); err != nil {
			return err
		}
		return execAll(conn, "drop table go_copied")
	}))
}

func transactions() {
	tap.Case("transactions: nested transactions are savepoints", connected(func(conn *pgx.Conn) error {
		if err := execAll(conn, "create table go_saved (a int)"); err != nil {
			return err
		}
		err := pgx.BeginFunc(ctx, conn, func(outer pgx.Tx) error {
			if _, err := outer.Exec(ctx, "insert into go_saved values (1)"); err != nil {
				return err
			}
			inner := pgx.BeginFunc(ctx, outer, func(inner pgx.Tx) error {
				if _, err := inner.Exec(ctx, "insert into go_saved values (2)"); err != nil {
					return err
				}
				_, err := inner.Exec(ctx, "select * from missing")
				return err
			})
			tap.Show(state(inner))
			return nil
		})
		if err != nil {
			return err
		}
		if err := show(conn, "select * from go_saved"); err != nil {
			return err
		}
		return execAll(conn, "drop table go_saved")
	}))
	tap.Case("transactions: isolation and access modes", connected(func(conn *pgx.Conn) error {
		transaction, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable})
		if err != nil {
			return err
		}
		if err := show(conn, "show transaction_isolation"); err != nil {
			return err
		}
		_, err = transaction.Exec(ctx, "create table refused (a int)")
		tap.Show(state(err))
		return transaction.Rollback(ctx)
	}))
	tap.Case("cancel: a cancel request and a deadline", connected(func(conn *pgx.Conn) error {
		timer := time.AfterFunc(300*time.Millisecond, func() { conn.PgConn().CancelRequest(ctx) })
		defer timer.Stop()
		_, err := conn.Exec(ctx, slow)
		tap.Show(state(err))
		if err := show(conn, "select 'alive' as a"); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		_, err = conn.Exec(limited, slow)
		tap.Show(errors.Is(err, context.DeadlineExceeded))
		return nil
	}))
}
