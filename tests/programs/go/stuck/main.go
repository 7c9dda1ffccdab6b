// One goroutine takes a mutex and keeps it while others wait for it in vain:
// waits that have no end while anybody looks.
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
	waiters = flag.Int("waiters", 5, "how many wait")
	span    = flag.Duration("span", 1500*time.Millisecond, "how long they do at least")
)

// Truth is what the program prints while they wait.
type Truth struct {
	Address string `json:"address"`
	Waiters int    `json:"waiters"`
	// WaitedNs is how long all of them have waited by now, at least.
	WaitedNs int64 `json:"waited_ns"`
}

func main() {
	flag.Parse()
	mu := new(sync.Mutex)
	gate.Open()
	mu.Lock()
	var came atomic.Int32
	for i := 0; i < *waiters; i++ {
		go func() {
			came.Add(1)
			mu.Lock()
		}()
	}
	for int(came.Load()) < *waiters {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond) // by now they sleep as well
	begin := time.Now()
	time.Sleep(*span)
	gate.Close(Truth{fmt.Sprintf("%p", mu), *waiters, int64(time.Since(begin))})
}
