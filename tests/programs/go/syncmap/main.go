// Counts its own operations on sync.Maps per map, kind and key: every method, keys of
// many types, from eight goroutines at once and without a lock around them.
package main

import (
	"flag"
	"sync"
	"time"

	"programs/internal/gate"
)

const workers = 8

var (
	rounds = flag.Int("rounds", 3000, "operations of each goroutine on each map")
	pause  = flag.Duration("pause", time.Millisecond, "pause of each goroutine after every 64 operations")
)

// Truth is what the program prints.
type Truth struct {
	Maps []MapTruth `json:"maps"`
	// Mismatches counts values that belong to another key than the one asked for.
	Mismatches int `json:"mismatches"`
}

// MapTruth is one map's.
type MapTruth struct {
	Address string     `json:"address"`
	Iterate uint64     `json:"iterate"`
	Clear   uint64     `json:"clear"`
	Keys    []KeyTruth `json:"keys"`
}

// KeyTruth is one key's.
type KeyTruth struct {
	Key    string `json:"key"`
	Lookup uint64 `json:"lookup"`
	Insert uint64 `json:"insert"`
	Delete uint64 `json:"delete"`
}

func main() {
	flag.Parse()
	all := tables() // made before the gate, so that addresses are final
	gate.Open()
	tallies := make([][]*tally, workers)
	var group sync.WaitGroup
	for worker := range tallies {
		for _, t := range all {
			tallies[worker] = append(tallies[worker], newTally(len(t.keys)))
		}
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			work(worker, all, tallies[worker])
		}(worker)
	}
	group.Wait()

	truth := Truth{}
	for i, t := range all {
		sum := newTally(len(t.keys))
		for _, each := range tallies {
			sum.add(each[i])
		}
		truth.Maps = append(truth.Maps, t.truth(sum))
		truth.Mismatches += sum.mismatches
	}
	gate.Close(truth)
}

// work performs one goroutine's share, mostly reads.
func work(worker int, all []*table, tallies []*tally) {
	random := uint64(worker)*0x9e3779b97f4a7c15 + 1
	next := func(n int) int {
		random ^= random << 13
		random ^= random >> 7
		random ^= random << 17
		return int((random >> 33) % uint64(n))
	}
	done := 0
	for round := 0; round < *rounds; round++ {
		for i, t := range all {
			t.perform(tallies[i], next(1000), next(1+next(len(t.keys))), next(versions))
			if done++; done%64 == 0 && *pause > 0 {
				time.Sleep(*pause)
			}
		}
	}
}
