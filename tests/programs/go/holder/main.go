// Has one goroutine hold a lock while others wait for it, in ways that differ in what
// that one does with maps before and meanwhile: the ground truth of which key, if any, a
// lock was held for, and of which function held it.
package main

import (
	"flag"
	"fmt"
	"sync"
	"time"

	"programs/internal/gate"
)

var (
	rounds = flag.Int("rounds", 30, "how often each holder takes its lock")
	hold   = flag.Duration("hold", 3*time.Millisecond, "how long it stays inside")
)

// Truth is what the program prints.
type Truth struct {
	Holders []Holder `json:"holders"`
}

// Holder is one goroutine that holds a lock of its own.
type Holder struct {
	// Function is where the lock is held.
	Function string `json:"function"`
	// Key is what it is held for; none where it is held for no key.
	Key string `json:"key"`
	// Lock is its address.
	Lock string `json:"lock"`
	// Waiter is the function that waits.
	Waiter string `json:"waiter"`
	// BlameNs is how much others waited meanwhile, by the program's clock.
	BlameNs int64 `json:"blame_ns"`
}

// shared is what a lock guards, and what it does not.
type shared struct {
	sync.Mutex
	wrapped wrapper
	second  sync.Mutex
	table   map[string]int
	other   map[string]int
}

// wrapper passes a lock on, as libraries do that may be told to use none.
type wrapper struct {
	mu  sync.Mutex
	off bool
}

//go:noinline
func (w *wrapper) Lock() {
	if !w.off {
		w.mu.Lock()
	}
}

//go:noinline
func (w *wrapper) Unlock() {
	if !w.off {
		w.mu.Unlock()
	}
}

// inside uses the table under the lock.
//
//go:noinline
func inside(s *shared) {
	s.Lock()
	s.table["inside"]++
	time.Sleep(*hold)
	s.Unlock()
}

// deferred does so too, and releases the lock as it returns.
//
//go:noinline
func deferred(s *shared) {
	s.Lock()
	defer s.Unlock()
	s.table["deferred"]++
	time.Sleep(*hold)
}

// helped has another function use the table.
//
//go:noinline
func helped(s *shared) {
	s.Lock()
	put(s, "helped")
	time.Sleep(*hold)
	s.Unlock()
}

//go:noinline
func put(s *shared, key string) { s.table[key]++ }

// through takes the lock through a wrapper.
//
//go:noinline
func through(s *shared) {
	s.wrapped.Lock()
	s.table["through"]++
	time.Sleep(*hold)
	s.wrapped.Unlock()
}

// walk goes over all keys, after it has used one of another map in the same function.
//
//go:noinline
func walk(s *shared) {
	s.other["before walk"]++
	s.Lock()
	defer s.Unlock()
	for range s.table {
	}
	time.Sleep(*hold)
}

// before uses a key in the same function before it takes the lock.
//
//go:noinline
func before(s *shared) {
	s.other["before"]++
	s.Lock()
	time.Sleep(*hold)
	s.Unlock()
}

// earlier uses a key in a function that has returned.
//
//go:noinline
func earlier(s *shared) {
	put(s, "earlier")
	s.Lock()
	time.Sleep(*hold)
	s.Unlock()
}

// another uses a key under another lock.
//
//go:noinline
func another(s *shared) {
	s.second.Lock()
	s.other["another"]++
	s.second.Unlock()
	s.Lock()
	time.Sleep(*hold)
	s.Unlock()
}

//go:noinline
func use(s *shared) {
	s.Lock()
	s.table["used"]++
	s.Unlock()
}

//go:noinline
func useThrough(s *shared) {
	s.wrapped.Lock()
	s.table["used"]++
	s.wrapped.Unlock()
}

func main() {
	flag.Parse()
	scenes := []struct {
		name string
		key  string
		hold func(*shared)
	}{
		{"inside", `"inside"`, inside},
		{"deferred", `"deferred"`, deferred},
		{"helped", `"helped"`, helped},
		{"through", `"through"`, through},
		{"walk", "", walk},
		{"before", "", before},
		{"earlier", "", earlier},
		{"another", "", another},
	}
	all := make([]*shared, len(scenes))
	for i := range all {
		all[i] = &shared{table: map[string]int{"used": 0}, other: map[string]int{}}
	}
	gate.Open()
	truth := Truth{}
	for i, scene := range scenes {
		waiter, lock, wait := "main.use", fmt.Sprintf("%p", all[i]), use
		if scene.name == "through" {
			waiter, lock, wait = "main.useThrough", fmt.Sprintf("%p", &all[i].wrapped), useThrough
		}
		truth.Holders = append(truth.Holders, Holder{
			"main." + scene.name, scene.key, lock, waiter, int64(play(all[i], scene.hold, wait)),
		})
	}
	gate.Close(truth)
}

// play has the lock held so often, each time with two others that come meanwhile, and
// returns how long they waited in all.
func play(s *shared, hold, use func(*shared)) time.Duration {
	waits := make(chan time.Duration)
	var sum time.Duration
	for round := 0; round < *rounds; round++ {
		for i := 0; i < 2; i++ {
			go func() {
				time.Sleep(time.Millisecond)
				want := time.Now()
				use(s)
				waits <- time.Since(want)
			}()
		}
		hold(s)
		for i := 0; i < 2; i++ {
			sum += <-waits
		}
	}
	return sum
}
