package main

import (
	"fmt"
	"sync"
	"unsafe"
)

// table is one watched map with its own bookkeeping.
type table interface {
	len() int
	read(key int)
	readOk(key int)
	write(key, value int)
	add(key int)
	remove(key int)
	walk()
	clear()
	truth() (MapTruth, int)
}

// watched is a map together with what it should hold and what was done to it.
type watched[K comparable, V any] struct {
	mu   sync.Mutex
	m    map[K]V
	keys []K
	text func(K) string
	// pack and unpack turn a number into the map's value and back; a nil
	// increment means that `m[k] += 1` is not defined for the type.
	pack      func(int) V
	unpack    func(V) int
	increment func(map[K]V, K)

	held       []int // value each key should have; -1 where absent
	lookups    []uint64
	inserts    []uint64
	deletes    []uint64
	iterates   uint64
	clears     uint64
	mismatches int
}

func newWatched[K comparable, V any](keys []K, text func(K) string, pack func(int) V, unpack func(V) int) *watched[K, V] {
	w := &watched[K, V]{
		m: make(map[K]V), keys: keys, text: text, pack: pack, unpack: unpack,
		held:    make([]int, len(keys)),
		lookups: make([]uint64, len(keys)), inserts: make([]uint64, len(keys)), deletes: make([]uint64, len(keys)),
	}
	for i := range w.held {
		w.held[i] = -1
	}
	return w
}

// counter is a map whose values are plain numbers.
func counter[K comparable](keys []K, text func(K) string) *watched[K, int] {
	identity := func(v int) int { return v }
	w := newWatched(keys, text, identity, identity)
	w.increment = func(m map[K]int, k K) { m[k] += 1 }
	return w
}

func (w *watched[K, V]) len() int { return len(w.keys) }

func (w *watched[K, V]) read(key int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups[key]++
	value := w.m[w.keys[key]]
	if want := max(w.held[key], 0); w.unpack(value) != want {
		w.mismatches++
	}
}

func (w *watched[K, V]) readOk(key int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups[key]++
	value, ok := w.m[w.keys[key]]
	if ok != (w.held[key] >= 0) || w.unpack(value) != max(w.held[key], 0) {
		w.mismatches++
	}
}

func (w *watched[K, V]) write(key, value int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inserts[key]++
	w.m[w.keys[key]] = w.pack(value)
	w.held[key] = value
}

func (w *watched[K, V]) add(key int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inserts[key]++
	if w.increment == nil {
		w.m[w.keys[key]] = w.pack(1)
		w.held[key] = 1
		return
	}
	w.increment(w.m, w.keys[key])
	w.held[key] = max(w.held[key], 0) + 1
}

func (w *watched[K, V]) remove(key int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deletes[key]++
	delete(w.m, w.keys[key])
	w.held[key] = -1
}

func (w *watched[K, V]) walk() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.iterates++
	seen, want := 0, 0
	for _, value := range w.m {
		seen += w.unpack(value)
	}
	for _, value := range w.held {
		want += max(value, 0)
	}
	if seen != want {
		w.mismatches++
	}
}

func (w *watched[K, V]) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if isOneCall(w.m) {
		w.clears++
	} else {
		w.iterates++
		for i, value := range w.held {
			if value >= 0 {
				w.deletes[i]++
			}
		}
	}
	clear(w.m)
	for i := range w.held {
		w.held[i] = -1
	}
}

func (w *watched[K, V]) truth() (MapTruth, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := MapTruth{
		Address: fmt.Sprintf("0x%x", *(*uintptr)(unsafe.Pointer(&w.m))),
		Iterate: w.iterates,
		Clear:   w.clears,
	}
	if tellsTypes {
		m.Type = fmt.Sprintf("%T", w.m)
	}
	for i, key := range w.keys {
		m.Keys = append(m.Keys, KeyTruth{Key: w.text(key), Lookup: w.lookups[i], Insert: w.inserts[i], Delete: w.deletes[i]})
	}
	return m, w.mismatches
}
