// Package tap is Test Anything Protocol for the programs of Go's drivers; see ../../python/tap.py for the rules.
package tap

import (
	"fmt"
	"os"
	"strings"
)

type testCase struct {
	name string
	run  func() error
}

var cases []testCase

// Case registers a case, `capability: name`.
func Case(name string, run func() error) {
	cases = append(cases, testCase{name, run})
}

// EachStatement registers run for each statement of the file.
func EachStatement(file string, run func(sql string) error) {
	text, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	capability := ""
	for _, line := range strings.Split(string(text), "\n") {
		sql := strings.TrimRight(line, " \r")
		switch {
		case strings.HasPrefix(sql, "["):
			capability = strings.Trim(sql, "[]")
		case sql != "" && !strings.HasPrefix(sql, "#"):
			Case(capability+": "+sql, func() error { return run(sql) })
		}
	}
}

// Show prints what has to be the same on both servers.
func Show(values ...any) {
	for _, value := range values {
		for _, line := range strings.Split(fmt.Sprint(value), "\n") {
			fmt.Println("# = " + strings.TrimRight(line, " "))
		}
	}
}

// Main runs all cases and ends the program.
func Main(client string) {
	fmt.Println("# client: " + client)
	fmt.Printf("1..%d\n", len(cases))
	failed := 0
	for number, one := range cases {
		if err := guarded(one.run); err != nil {
			failed++
			fmt.Printf("not ok %d - %s\n", number+1, one.name)
			for _, line := range strings.Split(err.Error(), "\n") {
				fmt.Println("# | " + line)
			}
		} else {
			fmt.Printf("ok %d - %s\n", number+1, one.name)
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
	os.Exit(0)
}

func guarded(run func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v", reason)
		}
	}()
	return run()
}
