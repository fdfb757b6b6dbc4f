// Go's ADBC driver for Flight SQL against tarn.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/apache/arrow-adbc/go/adbc"
	"github.com/apache/arrow-adbc/go/adbc/driver/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"tarn/clients/tap"
)

var (
	ctx = context.Background()
	uri string
)

func connected(run func(adbc.Connection) error) func() error {
	return func() error {
		database, err := flightsql.NewDriver(memory.DefaultAllocator).NewDatabase(map[string]string{adbc.OptionKeyURI: uri})
		if err != nil {
			return err
		}
		defer database.Close()
		connection, err := database.Open(ctx)
		if err != nil {
			return err
		}
		defer connection.Close()
		return run(connection)
	}
}

// query returns the rows as text, a line for each.
func query(connection adbc.Connection, sql string) (string, error) {
	statement, err := connection.NewStatement()
	if err != nil {
		return "", err
	}
	defer statement.Close()
	if err := statement.SetSqlQuery(sql); err != nil {
		return "", err
	}
	reader, _, err := statement.ExecuteQuery(ctx)
	if err != nil {
		return "", err
	}
	defer reader.Release()
	lines := []string{}
	for reader.Next() {
		batch := reader.Record()
		for row := range int(batch.NumRows()) {
			values := []string{}
			for _, column := range batch.Columns() {
				values = append(values, column.ValueStr(row))
			}
			lines = append(lines, strings.Join(values, ","))
		}
	}
	return strings.Join(lines, "\n"), reader.Err()
}

func expect(connection adbc.Connection, sql, expected string) error {
	found, err := query(connection, sql)
	if err == nil && found != expected {
		err = fmt.Errorf("%s: found %q, expected %q", sql, found, expected)
	}
	return err
}

func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return strings.TrimPrefix(dependency.Version, "v")
		}
	}
	return "?"
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: flightsql URI")
		os.Exit(2)
	}
	uri = os.Args[1]
	tap.Case("connect: connects and reads what the server says of itself", connected(func(connection adbc.Connection) error {
		reader, err := connection.GetInfo(ctx, []adbc.InfoCode{adbc.InfoVendorName})
		if err != nil {
			return err
		}
		defer reader.Release()
		if !reader.Next() {
			return fmt.Errorf("no information")
		}
		if text := fmt.Sprint(reader.Record()); !strings.Contains(text, "tarn") {
			return fmt.Errorf("no vendor in %s", text)
		}
		return nil
	}))
	tap.Case("simple: reads rows", connected(func(connection adbc.Connection) error {
		if err := expect(connection, "select 1 as a, 'x' as b, null::integer as c", "1,x,(null)"); err != nil {
			return err
		}
		return expect(connection, "select n_nationkey, n_name from nation order by 1 limit 2", "0,ALGERIA\n1,ARGENTINA")
	}))
	tap.Case("types: reads types", connected(func(connection adbc.Connection) error {
		return expect(connection, "select true, 7::smallint, 1.5::double precision, 1.50::numeric(5,2), date '2024-02-29'", "true,7,1.5,1.5,2024-02-29")
	}))
	tap.Case("cursors: reads many batches", connected(func(connection adbc.Connection) error {
		return expect(connection, "select count(*), sum(l_linenumber) from (select * from lineitem) t", "60175,"+mustSum(connection))
	}))
	tap.Case("simple: errors carry SQLSTATE and the connection goes on", connected(func(connection adbc.Connection) error {
		for sql, code := range map[string]string{"select * from missing": "42P01", "selec 1": "42601"} {
			if _, err := query(connection, sql); err == nil || !strings.Contains(err.Error(), code) {
				return fmt.Errorf("%s: %v", sql, err)
			}
		}
		return expect(connection, "select 'alive'", "alive")
	}))
	tap.Case("prepared: prepares and describes", connected(func(connection adbc.Connection) error {
		statement, err := connection.NewStatement()
		if err != nil {
			return err
		}
		defer statement.Close()
		if err := statement.SetSqlQuery("select n_name from nation where n_nationkey = $1::bigint"); err != nil {
			return err
		}
		if err := statement.Prepare(ctx); err != nil {
			return err
		}
		schema, err := statement.GetParameterSchema()
		if err == nil && schema.NumFields() != 1 {
			err = fmt.Errorf("parameters: %v", schema)
		}
		return err
	}))
	tap.Case("metadata: lists tables and their columns", connected(func(connection adbc.Connection) error {
		schema := "public"
		table := "nation"
		reader, err := connection.GetObjects(ctx, adbc.ObjectDepthAll, nil, &schema, &table, nil, nil)
		if err != nil {
			return err
		}
		defer reader.Release()
		text := ""
		for reader.Next() {
			text += fmt.Sprint(reader.Record())
		}
		if !strings.Contains(text, "n_regionkey") {
			return fmt.Errorf("no column in %s", text)
		}
		found, err := connection.GetTableSchema(ctx, nil, &schema, "orders")
		if err == nil && found.Field(0).Name != "o_orderkey" {
			err = fmt.Errorf("columns: %v", found)
		}
		return err
	}))
	tap.Case("transactions: commits and rolls back", connected(func(connection adbc.Connection) error {
		if err := connection.(adbc.PostInitOptions).SetOption(adbc.OptionKeyAutoCommit, adbc.OptionValueDisabled); err != nil {
			return err
		}
		if err := expect(connection, "select 1", "1"); err != nil {
			return err
		}
		if err := connection.Commit(ctx); err != nil {
			return err
		}
		return connection.Rollback(ctx)
	}))
	tap.Main("Go ADBC Flight SQL " + version("github.com/apache/arrow-adbc/go/adbc"))
}

func mustSum(connection adbc.Connection) string {
	text, err := query(connection, "select l_linenumber from lineitem")
	if err != nil {
		return err.Error()
	}
	sum := 0
	for _, line := range strings.Split(text, "\n") {
		n := 0
		fmt.Sscan(line, &n)
		sum += n
	}
	return fmt.Sprint(sum)
}
