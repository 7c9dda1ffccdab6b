// Loads a plugin while it runs, and has it use maps of its own and one of this
// program's.
package main

import (
	"flag"
	"plugin"

	"programs/internal/gate"
)

var rounds = flag.Int("rounds", 1000, "operations of each kind on each key")

func main() {
	flag.Parse()
	shared := make(map[string]int)
	gate.Open()
	loaded, err := plugin.Open(flag.Arg(0))
	if err != nil {
		panic(err)
	}
	use, err := loaded.Lookup("Use")
	if err != nil {
		panic(err)
	}
	gate.Open()
	inserts := 0
	for ; inserts < *rounds; inserts++ {
		shared["host"]++
	}
	gate.Close(use.(func(map[string]int, int, int) any)(shared, inserts, *rounds))
}
