package main

import (
	"fmt"
	"sync"
)

// versions is how many values each key may have, so that comparing ones succeed at times.
const versions = 4

// store is what sync.Map has had from the beginning.
type store interface {
	Load(key any) (any, bool)
	Store(key, value any)
	LoadOrStore(key, value any) (any, bool)
	LoadAndDelete(key any) (any, bool)
	Delete(key any)
	Range(f func(key, value any) bool)
}

// direct calls the map's methods by name, so that the compiler may inline them;
// without it they are called through the interface.
type direct struct{ m *sync.Map }

func (d direct) Load(key any) (any, bool)               { return d.m.Load(key) }
func (d direct) Store(key, value any)                   { d.m.Store(key, value) }
func (d direct) LoadOrStore(key, value any) (any, bool) { return d.m.LoadOrStore(key, value) }
func (d direct) LoadAndDelete(key any) (any, bool)      { return d.m.LoadAndDelete(key) }
func (d direct) Delete(key any)                         { d.m.Delete(key) }
func (d direct) Range(f func(key, value any) bool)      { d.m.Range(f) }

// table is one watched map.
type table struct {
	m     sync.Map
	store store
	keys  []any
	texts []string
}

// tally is what one goroutine did to it.
type tally struct {
	lookups, inserts, deletes []uint64
	iterates, clears          uint64
	mismatches                int
}

func newTally(keys int) *tally {
	return &tally{lookups: make([]uint64, keys), inserts: make([]uint64, keys), deletes: make([]uint64, keys)}
}

func (t *tally) add(other *tally) {
	for i := range t.lookups {
		t.lookups[i] += other.lookups[i]
		t.inserts[i] += other.inserts[i]
		t.deletes[i] += other.deletes[i]
	}
	t.iterates += other.iterates
	t.clears += other.clears
	t.mismatches += other.mismatches
}

// value is what a key may be set to: its own number is in it.
func (t *table) value(key, version int) any { return version*len(t.keys) + key }

// check notes a value that is another key's.
func (t *table) check(tally *tally, key int, value any, ok bool) {
	if ok && value.(int)%len(t.keys) != key {
		tally.mismatches++
	}
}

// perform does one operation: kind is below 1000, version below versions.
func (t *table) perform(tally *tally, kind, key, version int) {
	k, v := t.keys[key], t.value(key, version)
	switch {
	case kind < 500:
		tally.lookups[key]++
		got, ok := t.store.Load(k)
		t.check(tally, key, got, ok)
	case kind < 600:
		tally.inserts[key]++
		t.store.Store(k, v)
	case kind < 680:
		tally.inserts[key]++
		got, _ := t.store.LoadOrStore(k, v)
		t.check(tally, key, got, true)
	case kind < 740:
		tally.inserts[key]++
		got, ok := t.swap(k, v)
		t.check(tally, key, got, ok)
	case kind < 800:
		tally.inserts[key]++
		t.compareAndSwap(k, t.value(key, 0), v)
	case kind < 860:
		tally.deletes[key]++
		t.store.Delete(k)
	case kind < 920:
		tally.deletes[key]++
		got, ok := t.store.LoadAndDelete(k)
		t.check(tally, key, got, ok)
	case kind < 980:
		tally.deletes[key]++
		t.compareAndDelete(k, v)
	case kind < 996 || !hasClear:
		tally.iterates++
		t.store.Range(func(k, v any) bool {
			t.check(tally, t.indexOf(k), v, true)
			return true
		})
	default:
		tally.clears++
		t.clear()
	}
}

// indexOf looks for a key without a map, since maps are what is being watched.
func (t *table) indexOf(key any) int {
	for i := range t.keys {
		if t.keys[i] == key {
			return i
		}
	}
	return -1
}

func (t *table) truth(sum *tally) MapTruth {
	m := MapTruth{Address: fmt.Sprintf("%p", &t.m), Iterate: sum.iterates, Clear: sum.clears}
	for i, text := range t.texts {
		m.Keys = append(m.Keys, KeyTruth{Key: text, Lookup: sum.lookups[i], Insert: sum.inserts[i], Delete: sum.deletes[i]})
	}
	return m
}
