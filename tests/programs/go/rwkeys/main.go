// Writers and readers of an RWMutex, each with a key of its own: a writer waits for the other
// writers and then for the readers, and does its one operation as soon as it has the lock.
package main

import (
	"flag"
	"fmt"
	"sync"
	"time"

	"programs/internal/gate"
)

const (
	writers = 4
	readers = 4
)

var span = flag.Duration("span", 2*time.Second, "how long it goes on")

// Truth is what the program prints.
type Truth struct {
	Address string     `json:"address"`
	Keys    []KeyTruth `json:"keys"`
}

// KeyTruth is what the goroutine with this key clocked.
type KeyTruth struct {
	Key   string `json:"key"`
	Calls uint64 `json:"calls"`
	// Waits are the calls that surely waited.
	Waits     uint64 `json:"waits"`
	SumNs     int64  `json:"sum_ns"`
	LongestNs int64  `json:"longest_ns"`
}

var (
	mu sync.RWMutex
	m  = map[string]int{}
)

// Longer than it takes to have a lock that is free.
const certain = 200 * time.Microsecond

func (k *KeyTruth) note(took time.Duration) {
	k.Calls++
	k.SumNs += int64(took)
	if took >= certain {
		k.Waits++
	}
	if int64(took) > k.LongestNs {
		k.LongestNs = int64(took)
	}
}

//go:noinline
func write(k *KeyTruth) {
	before := time.Now()
	mu.Lock()
	k.note(time.Since(before))
	m[k.Key]++
	time.Sleep(time.Millisecond)
	mu.Unlock()
}

//go:noinline
func read(k *KeyTruth) {
	before := time.Now()
	mu.RLock()
	k.note(time.Since(before))
	_ = m[k.Key]
	time.Sleep(100 * time.Microsecond)
	mu.RUnlock()
}

func main() {
	flag.Parse()
	truth := Truth{Address: fmt.Sprintf("%p", &mu), Keys: make([]KeyTruth, writers+readers)}
	gate.Open()
	var group sync.WaitGroup
	begin := time.Now()
	for i := range truth.Keys {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			k, act := &truth.Keys[i], read
			k.Key = fmt.Sprint("r", i-writers)
			if i < writers {
				k.Key, act = fmt.Sprint("w", i), write
			}
			for time.Since(begin) < *span {
				act(k)
			}
		}(i)
	}
	group.Wait()
	gate.Close(truth)
}
