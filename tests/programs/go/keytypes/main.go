// Uses maps with keys of every type and prints how each key is to be shown and how
// often it was used. Counts lie in slices, never in maps, since maps are what is
// being watched.
package main

import (
	"flag"
	"fmt"
	"time"
	"unsafe"

	"programs/internal/gate"
)

var rounds = flag.Int("rounds", 20, "how often each key is written, read and removed")

// Truth is what the program prints.
type Truth struct {
	Maps []MapTruth `json:"maps"`
	// Mismatches counts reads that did not return what was last written.
	Mismatches int `json:"mismatches"`
}

// MapTruth is one map's.
type MapTruth struct {
	Address string     `json:"address"`
	Type    string     `json:"type"`
	Keys    []KeyTruth `json:"keys"`
}

// KeyTruth is one key's.
type KeyTruth struct {
	Key    string `json:"key"`
	Lookup uint64 `json:"lookup"`
	Insert uint64 `json:"insert"`
	Delete uint64 `json:"delete"`
}

// key is a key and its text.
type key[K comparable] struct {
	key  K
	text string
}

// table is one watched map.
type table interface {
	use(truth *MapTruth) (mismatches int)
	truth() MapTruth
}

type watched[K comparable] struct {
	m    map[K]int
	keys []key[K]
}

func watch[K comparable](keys ...key[K]) table {
	return &watched[K]{m: make(map[K]int), keys: keys}
}

func (w *watched[K]) truth() MapTruth {
	truth := MapTruth{
		Address: fmt.Sprintf("0x%x", *(*uintptr)(unsafe.Pointer(&w.m))),
		Type:    fmt.Sprintf("%T", w.m),
	}
	for _, key := range w.keys {
		truth.Keys = append(truth.Keys, KeyTruth{Key: key.text})
	}
	return truth
}

// use writes each key once, reads it once more than the key before it, and
// removes it.
func (w *watched[K]) use(truth *MapTruth) (mismatches int) {
	for i, key := range w.keys {
		counts := &truth.Keys[i]
		counts.Insert++
		w.m[key.key] = i + 1
		for n := 0; n <= i; n++ {
			counts.Lookup++
			// What is not equal to itself is never found again.
			if key.key == key.key && w.m[key.key] != i+1 {
				mismatches++
			} else if key.key != key.key && w.m[key.key] != 0 {
				mismatches++
			}
		}
		counts.Delete++
		delete(w.m, key.key)
	}
	return mismatches
}

func main() {
	flag.Parse()
	all := tables()
	truth := Truth{}
	for _, t := range all {
		truth.Maps = append(truth.Maps, t.truth())
	}
	gate.Open()
	for round := 0; round < *rounds; round++ {
		for i, t := range all {
			truth.Mismatches += t.use(&truth.Maps[i])
		}
		time.Sleep(time.Millisecond)
	}
	gate.Close(truth)
}
