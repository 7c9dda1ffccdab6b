// Uses very many distinct keys: what remembering them costs the profiler.
package main

import (
	"flag"
	"fmt"
	"time"

	"programs/internal/gate"
)

var (
	distinct = flag.Int("keys", 100_000, "distinct keys")
	passes   = flag.Int("passes", 5, "how often each is used")
	pause    = flag.Duration("pause", time.Millisecond, "pause after every 256 operations")
)

// Truth is what the program prints.
type Truth struct {
	Ops  int `json:"ops"`
	Keys int `json:"keys"`
}

func main() {
	flag.Parse()
	gate.Open()
	m := make(map[string]int)
	ops := 0
	for pass := 0; pass < *passes; pass++ {
		for i := 0; i < *distinct; i++ {
			m[fmt.Sprintf("session:%09d", i)]++
			if ops++; ops%256 == 0 && *pause > 0 {
				time.Sleep(*pause)
			}
		}
	}
	gate.Close(Truth{Ops: ops, Keys: len(m)})
}
