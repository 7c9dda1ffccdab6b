// Times its own waits for locks that are held for milliseconds: the ground
// truth of the wait tests. Three locks, one after the other: a mutex, an
// RWMutex with one writer, an RWMutex with several.
package main

import (
	"flag"
	"fmt"
	"sort"
	"sync"
	"time"
	"unsafe"

	"programs/internal/gate"
)

const (
	workers = 8
	hold    = 4 * time.Millisecond
	// A wait this long was certainly a park: the runtime spins for less.
	certain = 200 * time.Microsecond
)

var span = flag.Duration("span", 1500*time.Millisecond, "how long each lock is fought for")

// Truth is what the program prints.
type Truth struct {
	Locks []LockTruth `json:"locks"`
	// Violations counts moments at which a lock did not exclude: a program that
	// is probed must still be correct.
	Violations int `json:"violations"`
}

// LockTruth is one lock's.
type LockTruth struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
	Write   Waits  `json:"write"`
	Read    Waits  `json:"read"`
	// Split says that one wait may consist of two: for the other writers first,
	// then for the readers.
	Split bool `json:"split"`
	// HoldP50Ns is the median of how long writers had it.
	HoldP50Ns int64 `json:"hold_p50_ns"`
}

// Waits sums up waits by the program's own clock.
type Waits struct {
	Waits  uint64 `json:"waits"`
	WaitNs int64  `json:"wait_ns"`
	// Doubtful waits may have ended while spinning, without a park, or before
	// they began.
	Doubtful   uint64 `json:"doubtful"`
	DoubtfulNs int64  `json:"doubtful_ns"`
}

func (w *Waits) note(wait time.Duration) {
	if wait >= certain {
		w.Waits++
		w.WaitNs += int64(wait)
	} else {
		w.Doubtful++
		w.DoubtfulNs += int64(wait)
	}
}

func (w *Waits) add(other Waits) {
	w.Waits += other.Waits
	w.WaitNs += other.WaitNs
	w.Doubtful += other.Doubtful
	w.DoubtfulNs += other.DoubtfulNs
}

// guarded is what each lock protects. The lock is not its first field, so that
// its address is not the object's.
type guarded struct {
	inside int
	mu     sync.Mutex
	rw     sync.RWMutex
}

func main() {
	flag.Parse()
	mutex, oneWriter, writers := &guarded{}, &guarded{}, &guarded{}
	gate.Open()
	var truth Truth
	lockMutex := func(g *guarded) role {
		return role{true, g.mu.TryLock, g.mu.Lock, g.mu.Unlock}
	}
	lockWrite := func(g *guarded) role {
		return role{true, g.rw.TryLock, g.rw.Lock, g.rw.Unlock}
	}
	lockRead := func(g *guarded) role {
		return role{false, g.rw.TryRLock, g.rw.RLock, g.rw.RUnlock}
	}
	truth.fight(mutex, unsafe.Pointer(&mutex.mu), "sync.Mutex", func(int) role { return lockMutex(mutex) })
	truth.fight(oneWriter, unsafe.Pointer(&oneWriter.rw), "sync.RWMutex", func(worker int) role {
		if worker == 0 {
			return lockWrite(oneWriter)
		}
		return lockRead(oneWriter)
	})
	truth.fight(writers, unsafe.Pointer(&writers.rw), "sync.RWMutex", func(worker int) role {
		if worker < workers/2 {
			return lockWrite(writers)
		}
		return lockRead(writers)
	})
	truth.Locks[2].Split = true
	gate.Close(truth)
}

// role is how a worker takes and releases the lock.
type role struct {
	write        bool
	try          func() bool
	lock, unlock func()
}

// acquire takes the lock and notes the wait if there was one to do. Trying first
// keeps a worker that merely lost its CPU from taking that for a wait.
func (r role) acquire(own *Waits) {
	if r.try() {
		return
	}
	begin := time.Now()
	r.lock()
	own.note(time.Since(begin))
}

// fight lets all workers fight for one lock and adds what they measured.
func (t *Truth) fight(g *guarded, lock unsafe.Pointer, kind string, roleOf func(worker int) role) {
	var (
		group      sync.WaitGroup
		own        [workers]Waits
		holds      [workers][]time.Duration
		violations [workers]int
		end        = time.Now().Add(*span)
	)
	for worker := 0; worker < workers; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			role := roleOf(worker)
			for time.Now().Before(end) {
				role.acquire(&own[worker])
				had := time.Now()
				violations[worker] += g.use(role.write)
				if role.write {
					holds[worker] = append(holds[worker], time.Since(had))
				}
				role.unlock()
				time.Sleep(hold / 2)
			}
		}(worker)
	}
	group.Wait()
	truth := LockTruth{Address: fmt.Sprintf("0x%x", uintptr(lock)), Kind: kind}
	var all []time.Duration
	for worker := range own {
		all = append(all, holds[worker]...)
		if roleOf(worker).write {
			truth.Write.add(own[worker])
		} else {
			truth.Read.add(own[worker])
		}
		t.Violations += violations[worker]
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	truth.HoldP50Ns = int64(all[len(all)/2])
	t.Locks = append(t.Locks, truth)
}

// use holds the lock for a while and returns 1 if a writer was not alone.
func (g *guarded) use(write bool) int {
	before := g.inside
	if write {
		g.inside++
	}
	time.Sleep(hold)
	if (write && g.inside != before+1) || (!write && g.inside != before) {
		return 1
	}
	return 0
}
