package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// late is how long each wait for an event is.
const late = 4 * time.Millisecond

// unlocked is a Cond's lock that is none: a Cond takes it again after the wait,
// and that is not to be waited for.
type unlocked struct{}

func (unlocked) Lock()   {}
func (unlocked) Unlock() {}

var (
	group    sync.WaitGroup
	cond     = sync.NewCond(unlocked{})
	sent     = make(chan int)
	received = make(chan int)
	either   = make(chan int)
	never    = make(chan int)
)

//go:noinline
func waitForGroup() { group.Wait() }

//go:noinline
func waitForCond() { cond.Wait() }

//go:noinline
func send() { sent <- 1 }

//go:noinline
func receive() { <-received }

//go:noinline
func selectOne() {
	select {
	case <-either:
	case <-never:
	}
}

// events waits for a WaitGroup, a Cond, a channel to send to and to receive from,
// and in a select. One goroutine waits, and another lets it go on some milliseconds
// later. They meet by nothing else than what is waited for, so that no other wait
// of these kinds is there.
func events() Truth {
	nothing := func() {}
	return Truth{Waits: []*Waits{
		play("main.waitForGroup", "sync.WaitGroup", func() { group.Add(1) }, waitForGroup, func() { group.Done() }),
		play("main.waitForCond", "sync.Cond", nothing, waitForCond, func() { cond.Signal() }),
		play("main.send", "chan", nothing, send, func() { <-sent }),
		play("main.receive", "chan", nothing, receive, func() { received <- 1 }),
		play("main.selectOne", "select", nothing, selectOne, func() { either <- 1 }),
	}}
}

// play plays all rounds of one way to wait: what comes before it, the wait, and
// what ends it.
func play(function, kind string, before, wait, end func()) *Waits {
	waits := &Waits{Function: function, Kind: kind, certain: late / 20}
	var waiting, done atomic.Int64
	go func() {
		for round := 1; round <= *rounds; round++ {
			before()
			waiting.Store(int64(round))
			begin := time.Now()
			wait()
			waits.note(time.Since(begin))
			done.Store(int64(round))
		}
	}()
	for round := 1; round <= *rounds; round++ {
		await(&waiting, round)
		time.Sleep(late)
		end()
		await(&done, round)
	}
	return waits
}

// await sleeps until the count is reached; sleeping is a wait of another kind.
func await(count *atomic.Int64, round int) {
	for count.Load() < int64(round) {
		time.Sleep(100 * time.Microsecond)
	}
}
