// Uses maps of one kind as fast as it can: what watching such operations costs, and
// whether each of them is counted. Each goroutine has a map of its own, but for zipf,
// where all read the same one.
package main

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"programs/internal/cpu"
	"programs/internal/gate"
)

// Operations between two looks at the clock, which cost far less than one probe hit.
const batch = 4096

var (
	which      = flag.String("kind", "string", "string, long, composite, mixed, sync, zipf, distinct or distinct-string")
	goroutines = flag.Int("goroutines", 1, "how many use maps")
	span       = flag.Duration("span", time.Second, "for how long")
	most       = flag.Int("ops", 1<<62, "end after so many operations of each goroutine")
	keys       = flag.Int("keys", 1024, "how many keys there are")
)

// verb is what is done to a key.
type verb int

const (
	lookup verb = iota
	insert
	remove
)

// step is one operation: a verb, and the number of a key.
type step struct {
	key  int
	verb verb
}

// table is a map and the operations on it, which repeat after a while.
type table interface {
	// do performs the operations from one number to another.
	do(from, to int)
	// cycle is how many operations there are before they repeat; 0 if the program
	// does not count them by key.
	cycle() int
	// at is what the operation of this number does.
	at(number int) step
	// name is how a key is shown.
	name(key int) string
	address() string
	// typ is the map's type as Go writes it, empty if it has none of its own.
	typ() string
	// wrong is how many results were not the expected ones.
	wrong() int
}

// Truth is what the program prints.
type Truth struct {
	Ops        uint64     `json:"ops"`
	ElapsedNs  int64      `json:"elapsed_ns"`
	CPUNs      int64      `json:"cpu_ns"`
	Maps       []MapTruth `json:"maps"`
	Mismatches int        `json:"mismatches"`
}

// MapTruth is one map's.
type MapTruth struct {
	Address string     `json:"address"`
	Type    string     `json:"type,omitempty"`
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
	maker, known := makers[*which]
	if !known {
		fmt.Fprintf(os.Stderr, "no such kind: %s\n", *which)
		os.Exit(2)
	}
	tables, done := []table{}, []int{}
	for i := 0; i < *goroutines; i++ {
		tables, done = append(tables, maker(i)), append(done, 0)
	}
	gate.Open()
	var group sync.WaitGroup
	begin, before := time.Now(), cpu.Time()
	deadline := begin.Add(*span)
	for i := range tables {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			for done[i] < *most && time.Now().Before(deadline) {
				next := min(done[i]+batch, *most)
				tables[i].do(done[i], next)
				done[i] = next
			}
		}(i)
	}
	group.Wait()

	truth := Truth{ElapsedNs: int64(time.Since(begin)), CPUNs: int64(cpu.Time() - before)}
	for i, t := range tables {
		truth.Ops += uint64(done[i])
		truth.Mismatches += t.wrong()
		truth.add(t, done[i])
	}
	gate.Close(truth)
}

// add counts what was done to a map, whether or not it was seen before.
func (truth *Truth) add(t table, done int) {
	at := 0
	for at < len(truth.Maps) && truth.Maps[at].Address != t.address() {
		at++
	}
	if at == len(truth.Maps) {
		truth.Maps = append(truth.Maps, MapTruth{Address: t.address(), Type: t.typ(), Keys: []KeyTruth{}})
	}
	into := &truth.Maps[at]
	for number := 0; number < t.cycle() && number < done; number++ {
		step := t.at(number)
		for len(into.Keys) <= step.key {
			into.Keys = append(into.Keys, KeyTruth{Key: t.name(len(into.Keys))})
		}
		times := uint64((done - number + t.cycle() - 1) / t.cycle())
		switch key := &into.Keys[step.key]; step.verb {
		case lookup:
			key.Lookup += times
		case insert:
			key.Insert += times
		case remove:
			key.Delete += times
		}
	}
}
