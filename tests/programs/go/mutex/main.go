// Takes and releases one mutex, or one RWMutex, around a short section: what watching
// locks costs where they are not contended, and where they are.
package main

import (
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"programs/internal/gate"
)

var (
	goroutines = flag.Int("goroutines", 1, "how many take the lock")
	locks      = flag.Int("locks", 160_000, "how often in all")
	section    = flag.Duration("section", 300*time.Nanosecond, "how long it is held each time")
	shared     = flag.Bool("rw", false, "take an RWMutex: seven times to read, then once to write")
	measure    = flag.Bool("measure", false, "measure how long taking the lock takes")
	profile    = flag.Bool("mutexprofile", false, "turn on Go's own mutex profile, of every event")
)

// Truth is what the program prints.
type Truth struct {
	Locks     int   `json:"locks"`
	ElapsedNs int64 `json:"elapsed_ns"`
	// WaitNs is how long taking the lock took in all, by the program's own clock; 0 if not measured.
	WaitNs int64 `json:"wait_ns"`
	// Mismatches is how far the count kept under the lock is off.
	Mismatches int `json:"mismatches"`
}

var (
	mu     sync.Mutex
	rw     sync.RWMutex
	count  int
	reads  atomic.Int64
	waited atomic.Int64
	state  uint64
)

func main() {
	flag.Parse()
	if *profile {
		runtime.SetMutexProfileFraction(1)
	}
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
	count += int(reads.Load())
	gate.Close(Truth{
		Locks: count, ElapsedNs: int64(elapsed), WaitNs: waited.Load(),
		Mismatches: share**goroutines - count,
	})
}

// fight takes the lock so many times and holds it for so many turns of spin.
func fight(locks, turns int) {
	switch {
	case *shared:
		fightShared(locks, turns)
	case *measure:
		fightMeasured(locks, turns)
	default:
		for n := 0; n < locks; n++ {
			mu.Lock()
			spin(turns)
			count++
			mu.Unlock()
		}
	}
}

func fightMeasured(locks, turns int) {
	var sum time.Duration
	for n := 0; n < locks; n++ {
		begin := time.Now()
		mu.Lock()
		sum += time.Since(begin)
		spin(turns)
		count++
		mu.Unlock()
	}
	waited.Add(int64(sum))
}

// fightShared measures always: an RWMutex's own counters cost more than that.
func fightShared(locks, turns int) {
	var sum time.Duration
	read := 0
	for n := 0; n < locks; n++ {
		begin := time.Now()
		if n%8 == 7 {
			rw.Lock()
			sum += time.Since(begin)
			spin(turns)
			count++
			rw.Unlock()
		} else {
			rw.RLock()
			sum += time.Since(begin)
			spin(turns)
			read++
			rw.RUnlock()
		}
	}
	reads.Add(int64(read))
	waited.Add(int64(sum))
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

// spin is called by readers at the same time, too.
//
//go:noinline
func spin(turns int) {
	own := atomic.LoadUint64(&state)
	for i := 0; i < turns; i++ {
		own = own*6364136223846793005 + 1442695040888963407
	}
	atomic.StoreUint64(&state, own)
}
