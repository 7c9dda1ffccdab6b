// Goroutines that do nothing but take one lock, hold it for a moment and want it again, and
// that clock each call to take it: no wait can be longer than the call that it is in.
// A mutex and an RWMutex with several writers, each held for 2, 20 and 200 microseconds.
package main

import (
	"flag"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"programs/internal/gate"
)

const (
	workers = 8
	// Of these, so many write an RWMutex.
	writers = 4
)

var span = flag.Duration("span", time.Second, "how long each lock is fought for")

// Truth is what the program prints.
type Truth struct {
	Locks []LockTruth `json:"locks"`
	// Violations counts moments at which a lock did not exclude.
	Violations int `json:"violations"`
}

// LockTruth is one lock's.
type LockTruth struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
	HoldNs  int64  `json:"hold_ns"`
	// Calls to take it, whether they waited or not, how long they took in all, and the longest.
	Calls     uint64 `json:"calls"`
	SumNs     int64  `json:"sum_ns"`
	LongestNs int64  `json:"longest_ns"`
	// ElapsedNs is how long it was fought for.
	ElapsedNs int64 `json:"elapsed_ns"`
}

// guarded is what each lock protects.
type guarded struct {
	inside int
	mu     sync.Mutex
	rw     sync.RWMutex
}

func main() {
	flag.Parse()
	var mutexes, shared [3]guarded
	gate.Open()
	var truth Truth
	for i, hold := range []time.Duration{2 * time.Microsecond, 20 * time.Microsecond, 200 * time.Microsecond} {
		g := &mutexes[i]
		truth.fight(g, unsafe.Pointer(&g.mu), "sync.Mutex", hold, func(int) (bool, func(), func()) {
			return true, g.mu.Lock, g.mu.Unlock
		})
	}
	for i, hold := range []time.Duration{2 * time.Microsecond, 20 * time.Microsecond, 200 * time.Microsecond} {
		g := &shared[i]
		truth.fight(g, unsafe.Pointer(&g.rw), "sync.RWMutex", hold, func(worker int) (bool, func(), func()) {
			if worker < writers {
				return true, g.rw.Lock, g.rw.Unlock
			}
			return false, g.rw.RLock, g.rw.RUnlock
		})
	}
	gate.Close(truth)
}

// fight lets all workers fight for one lock and adds what they measured.
func (t *Truth) fight(g *guarded, lock unsafe.Pointer, kind string, hold time.Duration, roleOf func(int) (bool, func(), func())) {
	var (
		group      sync.WaitGroup
		own        [workers]LockTruth
		violations [workers]int
		begin      = time.Now()
	)
	for worker := 0; worker < workers; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			writes, lock, unlock := roleOf(worker)
			own := &own[worker]
			for time.Since(begin) < *span {
				before := time.Now()
				lock()
				took := int64(time.Since(before))
				own.Calls++
				own.SumNs += took
				own.LongestNs = max(own.LongestNs, took)
				violations[worker] += g.use(writes, hold)
				unlock()
			}
		}(worker)
	}
	group.Wait()
	all := LockTruth{
		Address: fmt.Sprintf("0x%x", uintptr(lock)), Kind: kind, HoldNs: int64(hold),
		ElapsedNs: int64(time.Since(begin)),
	}
	for worker := range own {
		all.Calls += own[worker].Calls
		all.SumNs += own[worker].SumNs
		all.LongestNs = max(all.LongestNs, own[worker].LongestNs)
		t.Violations += violations[worker]
	}
	t.Locks = append(t.Locks, all)
}

// use holds the lock for a while and returns 1 if a writer was not alone.
func (g *guarded) use(writes bool, hold time.Duration) int {
	before := g.inside
	if writes {
		g.inside++
	}
	for begin := time.Now(); time.Since(begin) < hold; {
	}
	if (writes && g.inside != before+1) || (!writes && g.inside != before) {
		return 1
	}
	return 0
}

func max(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}
