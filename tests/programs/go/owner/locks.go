package main

import (
	"fmt"
	"sync"
	"time"
)

// The map operation comes right after the lock and in the same function: that is
// how a wait's key is known.

// table is a map, which its owner guards.
type table map[string]int

func newTable() table { return table{"X": 0, "Y": 1, "Z": 2} }

// mutexed is a table under a mutex: all wait for X's writer.
type mutexed struct {
	mu sync.Mutex
	table
}

func newMutexed() *mutexed { return &mutexed{table: newTable()} }

func (m *mutexed) own(x *diary) {
	want := now()
	m.mu.Lock()
	got := now()
	m.table["X"]++
	time.Sleep(*hold)
	m.mu.Unlock()
	x.note(want, got, now())
}

func (m *mutexed) use(d *diary) {
	want := now()
	m.mu.Lock()
	got := now()
	_ = m.table[d.key]
	m.mu.Unlock()
	d.note(want, got, now())
}

// readWaits is a table whose readers of Y and Z wait for X's writer.
type readWaits struct {
	rw sync.RWMutex
	table
}

func newReadWaits() *readWaits { return &readWaits{table: newTable()} }

func (r *readWaits) own(x *diary) {
	want := now()
	r.rw.Lock()
	got := now()
	r.table["X"]++
	time.Sleep(*hold)
	r.rw.Unlock()
	x.note(want, got, now())
}

func (r *readWaits) use(d *diary) {
	want := now()
	r.rw.RLock()
	got := now()
	_ = r.table[d.key]
	r.rw.RUnlock()
	d.note(want, got, now())
}

// writeWaits is a table whose writers of Y and Z wait for X's reader. They come
// alternately: a second writer would wait for the first, who has the writers'
// mutex while he waits for the reader, so that the owner would not be X alone.
type writeWaits struct {
	rw sync.RWMutex
	table
}

func newWriteWaits() *writeWaits { return &writeWaits{table: newTable()} }

func (*writeWaits) alternate() {}

func (w *writeWaits) own(x *diary) {
	want := now()
	w.rw.RLock()
	got := now()
	_ = w.table["X"]
	time.Sleep(*hold)
	w.rw.RUnlock()
	x.note(want, got, now())
}

func (w *writeWaits) use(d *diary) {
	want := now()
	w.rw.Lock()
	got := now()
	w.table[d.key]++
	w.rw.Unlock()
	d.note(want, got, now())
}

// sharded is many tables with a mutex each. X, Y and Z lie in the first; the
// others are as busy, but nobody is slow there.
type sharded struct {
	shards [32]struct {
		mu sync.Mutex
		table
	}
}

func newSharded() *sharded {
	s := &sharded{}
	s.shards[0].table = newTable()
	for i := 1; i < len(s.shards); i++ {
		s.shards[i].table = table{fmt.Sprint("K", i): i}
	}
	return s
}

func (s *sharded) own(x *diary) {
	shard := &s.shards[0]
	want := now()
	shard.mu.Lock()
	got := now()
	shard.table["X"]++
	time.Sleep(*hold)
	shard.mu.Unlock()
	x.note(want, got, now())
}

func (s *sharded) use(d *diary) {
	for i := 1; i < len(s.shards); i++ {
		s.pass(i)
	}
	shard := &s.shards[0]
	want := now()
	shard.mu.Lock()
	got := now()
	_ = shard.table[d.key]
	shard.mu.Unlock()
	d.note(want, got, now())
}

// pass uses every key of one of the shards where nobody is slow.
func (s *sharded) pass(i int) {
	shard := &s.shards[i]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for key := range shard.table {
		shard.table[key]++
	}
}
