// Counts its own map operations per map, kind and key: the ground truth of the
// exactness tests. Every operation goes through one map's mutex from eight
// goroutines, in an order that differs from run to run; what each goroutine
// does is the same in every run.
//
// Counts lie in slices, never in maps, since maps are what is being watched.
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
	// Mismatches counts reads that did not return what was last written: a
	// program that is probed must still compute the right result.
	Mismatches int `json:"mismatches"`
}

// MapTruth is one map's.
type MapTruth struct {
	Address string     `json:"address"`
	Type    string     `json:"type,omitempty"`
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
	var group sync.WaitGroup
	for worker := 0; worker < workers; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			work(worker, all)
		}(worker)
	}
	group.Wait()

	truth := Truth{}
	for _, t := range all {
		m, mismatches := t.truth()
		truth.Maps = append(truth.Maps, m)
		truth.Mismatches += mismatches
	}
	gate.Close(truth)
}

// work performs one goroutine's share: mostly reads, on keys of which the first
// few are far hotter than the rest.
func work(worker int, all []table) {
	random := uint64(worker)*0x9e3779b97f4a7c15 + 1
	next := func(n int) int {
		random ^= random << 13
		random ^= random >> 7
		random ^= random << 17
		return int((random >> 33) % uint64(n))
	}
	done := 0
	for round := 0; round < *rounds; round++ {
		for _, t := range all {
			key := next(1 + next(t.len()))
			switch op := next(1000); {
			case op < 350:
				t.read(key)
			case op < 600:
				t.readOk(key)
			case op < 800:
				t.write(key, next(1<<20))
			case op < 900:
				t.add(key)
			case op < 985:
				t.remove(key)
			case op < 998:
				t.walk()
			default:
				t.clear()
			}
			if done++; done%64 == 0 && *pause > 0 {
				time.Sleep(*pause)
			}
		}
	}
}
