package main

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// held is how long the mutex is held after somebody came for it: several times as
// long as sync.Mutex lets a goroutine spin, and short enough for that to count.
const held = 40 * time.Microsecond

// brief waits for a mutex that is held for microseconds.
func brief() Truth {
	var (
		mu                 sync.Mutex
		taken, wanted, had atomic.Int64
	)
	waits := &Waits{Function: "main.wantBriefly", Kind: "sync.Mutex", certain: held / 2}
	go func() {
		for round := int64(1); round <= int64(*rounds); round++ {
			reach(&taken, round)
			wanted.Store(round)
			waits.note(wantBriefly(&mu))
			had.Store(round)
		}
	}()
	for round := int64(1); round <= int64(*rounds); round++ {
		mu.Lock()
		taken.Store(round)
		reach(&wanted, round)
		for begin := time.Now(); time.Since(begin) < held; {
		}
		mu.Unlock()
		reach(&had, round)
	}
	return Truth{Waits: []*Waits{waits}}
}

// wantBriefly takes the mutex, and says how long that took.
//
//go:noinline
func wantBriefly(mu *sync.Mutex) time.Duration {
	begin := time.Now()
	mu.Lock()
	wait := time.Since(begin)
	mu.Unlock()
	return wait
}

// reach goes on once the count is reached. It does not sleep, since whoever wants
// the mutex and whoever has it must run at the same time.
func reach(count *atomic.Int64, round int64) {
	for count.Load() < round {
		runtime.Gosched()
	}
}
