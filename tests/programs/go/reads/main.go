// Reads maps as fast as it can: what a probe hit costs, and whether every one
// of them is counted. Each goroutine has its own map.
package main

import (
	"flag"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"programs/internal/cpu"
	"programs/internal/gate"
)

const (
	keys = 1024
	// Reads between two looks at the clock, which cost far less than one probe hit.
	batch = 4096
)

var (
	goroutines = flag.Int("goroutines", 1, "how many read")
	span       = flag.Duration("span", time.Second, "for how long")
)

// Truth is what the program prints.
type Truth struct {
	Ops       uint64     `json:"ops"`
	ElapsedNs int64      `json:"elapsed_ns"`
	CPUNs     int64      `json:"cpu_ns"`
	Maps      []MapTruth `json:"maps"`
	// Mismatches counts goroutines whose sum of the values read is wrong.
	Mismatches int `json:"mismatches"`
}

// MapTruth is one goroutine's map.
type MapTruth struct {
	Address string     `json:"address"`
	Type    string     `json:"type"`
	Keys    []KeyTruth `json:"keys"`
}

// KeyTruth is one key's.
type KeyTruth struct {
	Key    string `json:"key"`
	Lookup uint64 `json:"lookup"`
}

func main() {
	flag.Parse()
	maps := make([]map[uint64]uint64, *goroutines)
	for i := range maps {
		maps[i] = filled()
	}
	reads := make([]uint64, *goroutines)
	wrong := make([]int, *goroutines)
	gate.Open()
	var group sync.WaitGroup
	begin, before := time.Now(), cpu.Time()
	for i := range maps {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			reads[i], wrong[i] = read(maps[i], begin.Add(*span))
		}(i)
	}
	group.Wait()

	truth := Truth{ElapsedNs: int64(time.Since(begin)), CPUNs: int64(cpu.Time() - before)}
	for i, m := range maps {
		truth.Ops += reads[i]
		truth.Mismatches += wrong[i]
		t := MapTruth{Address: fmt.Sprintf("0x%x", *(*uintptr)(unsafe.Pointer(&m))), Type: fmt.Sprintf("%T", m)}
		for key := uint64(0); key < keys; key++ {
			n := reads[i] / keys
			if key < reads[i]%keys {
				n++
			}
			t.Keys = append(t.Keys, KeyTruth{Key: fmt.Sprint(key), Lookup: n})
		}
		truth.Maps = append(truth.Maps, t)
	}
	gate.Close(truth)
}

func filled() map[uint64]uint64 {
	m := make(map[uint64]uint64)
	for key := uint64(0); key < keys; key++ {
		m[key] = key
	}
	return m
}

// read reads all keys in turn until the deadline and returns how often, and 1
// if what it read does not add up.
func read(m map[uint64]uint64, deadline time.Time) (reads uint64, wrong int) {
	var sum uint64
	for time.Now().Before(deadline) {
		for end := reads + batch; reads < end; reads++ {
			sum += m[reads%keys]
		}
	}
	if sum != reads/keys*(keys*(keys-1)/2) {
		wrong = 1
	}
	return reads, wrong
}
