package main

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// crowd lets many goroutines on more threads than there are CPUs send to and
// receive from one channel, whose lock is one of the runtime's own.
func crowd() Truth {
	const pairs, values = 16, 2_000
	runtime.GOMAXPROCS(8)
	var (
		group sync.WaitGroup
		sum   atomic.Int64
		many  = make(chan int64, 4)
	)
	for i := 0; i < pairs; i++ {
		group.Add(2)
		go func() {
			defer group.Done()
			for value := 0; value < values**rounds/100; value++ {
				sum.Add(int64(value))
				many <- int64(value)
			}
		}()
		go func() {
			defer group.Done()
			for value := 0; value < values**rounds/100; value++ {
				sum.Add(-<-many)
			}
		}()
	}
	group.Wait()
	return Truth{Waits: []*Waits{}, Mismatches: sum.Load()}
}
