// Takes and releases one mutex around a short section: what watching locks
// costs where they are not contended, and where they are.
package main

import (
	"flag"
	"sync"
	"time"

	"programs/internal/gate"
)

var (
	goroutines = flag.Int("goroutines", 1, "how many take the lock")
	locks      = flag.Int("locks", 160_000, "how often in all")
	section    = flag.Duration("section", 300*time.Nanosecond, "how long it is held each time")
)

// Truth is what the program prints.
type Truth struct {
	Locks     int   `json:"locks"`
	ElapsedNs int64 `json:"elapsed_ns"`
	// Mismatches is how far the count kept under the lock is off.
	Mismatches int `json:"mismatches"`
}

var (
	mu    sync.Mutex
	count int
	state uint64
)

func main() {
	flag.Parse()
	turns := calibrate()
	gate.Open()
	turns = int(float64(turns) * float64(*section) / float64(time.Millisecond))
	share := *locks / *goroutines
	begin := time.Now()
	if *goroutines == 1 {
		fight(share, turns) // waiting for a goroutine would be a wait, too
	} else {
		var group sync.WaitGroup
		for i := 0; i < *goroutines; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				fight(share, turns)
			}()
		}
		group.Wait()
	}
	elapsed := time.Since(begin)
	gate.Close(Truth{Locks: count, ElapsedNs: int64(elapsed), Mismatches: share**goroutines - count})
}

// fight takes the lock so many times and holds it for so many turns of spin.
func fight(locks, turns int) {
	for n := 0; n < locks; n++ {
		mu.Lock()
		spin(turns)
		count++
		mu.Unlock()
	}
}

// calibrate returns how many turns of spin take a millisecond: the most of
// several tries, since whatever disturbs a try only slows it down.
func calibrate() int {
	const turns = 1 << 20
	best := time.Duration(1 << 62)
	for try := 0; try < 20; try++ {
		begin := time.Now()
		spin(turns)
		best = min(best, time.Since(begin))
	}
	return int(turns * time.Millisecond / best)
}

//go:noinline
func spin(turns int) {
	for i := 0; i < turns; i++ {
		state = state*6364136223846793005 + 1442695040888963407
	}
}
