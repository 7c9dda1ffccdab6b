// Package gate lets a test hold a program until probes are in place, and again
// once it is done, so that probes can be taken away while it still runs.
package gate

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

var (
	held   = flag.Bool("wait", false, "say ready and wait for a line on stdin before beginning; wait for its end before exiting")
	status = flag.Int("exit", 0, "exit status")
	stdin  = bufio.NewReader(os.Stdin)
)

// Open waits for the word to begin, if asked to. The flags are parsed by then.
func Open() {
	if *held {
		fmt.Println("ready")
		stdin.ReadString('\n')
	}
}

// Close prints the program's own truth as one line of JSON, waits for the word
// to exit, if asked to, and exits.
func Close(truth any) {
	Tell(truth)
	os.Exit(*status)
}

// Tell prints the program's own truth as one line of JSON, and waits for the word to
// go on, if asked to.
func Tell(truth any) {
	line, err := json.Marshal(truth)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
	if *held {
		stdin.ReadString('\n')
	}
}

// Next is the next line of stdin, for programs that answer questions; false at its end.
func Next() (string, bool) {
	line, err := stdin.ReadString('\n')
	return line, err == nil
}
