// One map, one kind of operation, three call sites: one makes thousands of inserts at a
// time, one a few all the time, and one begins each burst. Whoever looks at the first
// operations of a moment only takes the few for many.
package main

import (
	"flag"
	"time"

	"programs/internal/gate"
)

var (
	span  = flag.Duration("span", 2*time.Second, "how long it goes on")
	burst = flag.Int("burst", 15000, "inserts of a burst")
	every = flag.Duration("every", 200*time.Millisecond, "from burst to burst")
)

// Truth is what the program prints.
type Truth struct {
	Sites []Site `json:"sites"`
}

// Site is how often a function inserted.
type Site struct {
	Function string `json:"function"`
	Insert   uint64 `json:"insert"`
}

var counts = map[int]int{}
var bursts, trickles, preludes uint64

//go:noinline
func flood() {
	for i := 0; i < *burst; i++ {
		counts[i&255] = i
		bursts++
	}
}

//go:noinline
func drip(i int) {
	counts[i&255] = i
	trickles++
}

//go:noinline
func prelude() {
	for i := 0; i < 100; i++ {
		counts[i] = i
		preludes++
	}
}

func main() {
	flag.Parse()
	gate.Open()
	begin := time.Now()
	next := begin
	for i := 0; time.Since(begin) < *span; i++ {
		if now := time.Now(); now.After(next) {
			prelude()
			flood()
			next = now.Add(*every)
		}
		drip(i)
		time.Sleep(500 * time.Microsecond)
	}
	gate.Close(Truth{[]Site{
		{"main.flood", bursts}, {"main.drip", trickles}, {"main.prelude", preludes},
	}})
}
