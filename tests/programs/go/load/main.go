// A service under load: so many map operations a second on a thousand keys, most of
// them few and some of them hot, behind a lock that writers hold for some time. What
// a recording of it takes is measured.
package main

import (
	"flag"
	"fmt"
	"math/rand"
	"sync"
	"time"

	"programs/internal/gate"
)

const (
	keys = 1000
	// Operations between two looks at the clock, under one lock.
	batch = 50
	// How often a writer comes, and how long it has the lock.
	every = 2 * time.Millisecond
	hold  = 200 * time.Microsecond
)

var (
	rate    = flag.Int("rate", 1_000_000, "map operations a second")
	workers = flag.Int("workers", 4, "how many read")
	span    = flag.Duration("span", time.Minute, "for how long")
)

type session struct{ visits uint64 }

type cache struct {
	mu       sync.RWMutex
	sessions map[string]*session
}

// Truth is what the program prints.
type Truth struct {
	Ops       uint64 `json:"ops"`
	ElapsedNs int64  `json:"elapsed_ns"`
}

func main() {
	flag.Parse()
	c := &cache{sessions: make(map[string]*session)}
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("session:%04d", i)
		c.sessions[names[i]] = &session{}
	}
	gate.Open()
	var group sync.WaitGroup
	begin := time.Now()
	counts := make([]uint64, *workers+1)
	group.Add(*workers + 1)
	for worker := 0; worker < *workers; worker++ {
		go func(worker int) {
			defer group.Done()
			counts[worker] = c.read(names, worker, begin)
		}(worker)
	}
	go func() {
		defer group.Done()
		counts[*workers] = c.write(names, begin)
	}()
	group.Wait()
	truth := Truth{ElapsedNs: int64(time.Since(begin))}
	for _, count := range counts {
		truth.Ops += count
	}
	gate.Close(truth)
}

// read looks keys up, at this worker's share of the rate.
func (c *cache) read(names []string, worker int, begin time.Time) (done uint64) {
	random := rand.New(rand.NewSource(int64(worker)))
	hot := rand.NewZipf(random, 1.1, 4, keys-1)
	share := float64(*rate) / float64(*workers)
	for {
		elapsed := time.Since(begin)
		if elapsed >= *span {
			return done
		}
		due := time.Duration(float64(done) / share * float64(time.Second))
		if due > elapsed+time.Millisecond {
			time.Sleep(due - elapsed)
		}
		done += c.get(names, hot)
	}
}

func (c *cache) get(names []string, hot *rand.Zipf) uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var visits uint64
	for i := 0; i < batch; i++ {
		visits += c.sessions[names[hot.Uint64()]].visits
	}
	if visits != 0 {
		panic("nobody writes that")
	}
	return batch
}

// write replaces a few sessions now and then, and takes its time.
func (c *cache) write(names []string, begin time.Time) (done uint64) {
	random := rand.New(rand.NewSource(99))
	for time.Since(begin) < *span {
		time.Sleep(every)
		c.put(names[random.Intn(keys)])
		done++
	}
	return done
}

func (c *cache) put(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions[name] = &session{}
	for began := time.Now(); time.Since(began) < hold; {
	}
}
