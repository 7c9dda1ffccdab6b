// Goroutines that write to one pipe, which is full nearly all the time: one of them waits for
// room in it, and the others wait for the one, in a queue that the file descriptor has.
package main

import (
	"flag"
	"os"
	"sync"
	"time"

	"programs/internal/gate"
)

const workers = 50

var (
	span  = flag.Duration("span", 2*time.Second, "how long they write")
	drain = flag.Duration("drain", 2*time.Millisecond, "how long the pipe is left full before it is read")
)

// Truth is what the program prints.
type Truth struct {
	Writes uint64 `json:"writes"`
	// SumNs is how long all writes took in all: in the queue and in the pipe.
	SumNs     int64 `json:"sum_ns"`
	LongestNs int64 `json:"longest_ns"`
	// ElapsedNs is how long it went on; one at a time was not in the queue.
	ElapsedNs int64 `json:"elapsed_ns"`
	// Lost is how many bytes did not come through.
	Lost int64 `json:"lost"`
}

func main() {
	flag.Parse()
	gate.Open()
	from, to, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	var (
		group sync.WaitGroup
		own   [workers]Truth
		read  = make(chan int64)
		begin = time.Now()
	)
	go func() {
		buffer, all := make([]byte, 1<<16), int64(0)
		for {
			time.Sleep(*drain)
			n, err := from.Read(buffer)
			all += int64(n)
			if err != nil {
				read <- all
				return
			}
		}
	}()
	line := make([]byte, 4096)
	for worker := range own {
		group.Add(1)
		go func(own *Truth) {
			defer group.Done()
			for time.Since(begin) < *span {
				before := time.Now()
				n, err := to.Write(line)
				took := int64(time.Since(before))
				if err != nil {
					panic(err)
				}
				own.Writes++
				own.SumNs += took
				own.Lost += int64(n)
				if took > own.LongestNs {
					own.LongestNs = took
				}
			}
		}(&own[worker])
	}
	group.Wait()
	all := Truth{ElapsedNs: int64(time.Since(begin))}
	to.Close()
	all.Lost = -<-read
	for worker := range own {
		all.Writes += own[worker].Writes
		all.SumNs += own[worker].SumNs
		all.Lost += own[worker].Lost
		if own[worker].LongestNs > all.LongestNs {
			all.LongestNs = own[worker].LongestNs
		}
	}
	gate.Close(all)
}
