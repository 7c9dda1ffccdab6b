// Many goroutines queue for one lock all the time, and another lock is free but for a
// janitor that keeps it for long now and then.
package main

import (
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"programs/internal/gate"
)

var (
	tasks = flag.Int("tasks", 40, "how many queue")
	hold  = flag.Duration("hold", 2*time.Millisecond, "how long each keeps the lock")
	sweep = flag.Duration("sweep", 60*time.Millisecond, "how long the janitor keeps the other")
	every = flag.Duration("every", 1500*time.Millisecond, "from sweep to sweep")
	span  = flag.Duration("span", 3200*time.Millisecond, "how long it goes on")
)

// Truth is what the program prints.
type Truth struct {
	// Goroutines that there are at a time, with the program's first and the janitor.
	Goroutines uint64 `json:"goroutines"`
	Queue      string `json:"queue"`
	Swept      string `json:"swept"`
	// LongestNs is the longest wait for the lock that is swept, by the waiters' clock.
	LongestNs int64 `json:"longest_ns"`
}

func main() {
	flag.Parse()
	queue, swept := new(sync.Mutex), new(sync.Mutex)
	var over atomic.Bool
	var longest atomic.Int64
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := 0; i < *tasks; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			<-begin
			for !over.Load() {
				queue.Lock()
				time.Sleep(*hold)
				queue.Unlock()
			}
		}()
	}
	const requests = 2
	for i := 0; i < requests; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			<-begin
			for !over.Load() {
				asked := time.Now()
				swept.Lock()
				waited := int64(time.Since(asked))
				swept.Unlock()
				for old := longest.Load(); waited > old && !longest.CompareAndSwap(old, waited); {
					old = longest.Load()
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
	all.Add(1)
	go func() {
		defer all.Done()
		<-begin
		for !over.Load() {
			time.Sleep(*every - *sweep)
			janitor(swept)
		}
	}()
	gate.Open()
	close(begin)
	time.Sleep(*span)
	over.Store(true)
	all.Wait()
	gate.Close(Truth{
		uint64(*tasks + requests + 2),
		fmt.Sprintf("%p", queue),
		fmt.Sprintf("%p", swept),
		longest.Load(),
	})
}

//go:noinline
func janitor(swept *sync.Mutex) {
	swept.Lock()
	time.Sleep(*sweep)
	swept.Unlock()
}
