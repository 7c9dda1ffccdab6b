// Waits for what mapprof tells of only when asked to, and says how long by its own
// clock: for what is no lock, for a mutex so briefly that spinning counts, and for
// the runtime's own locks.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"programs/internal/gate"
)

var (
	what   = flag.String("for", "events", "what is waited for: events, a brief lock, or the runtime in a crowd")
	rounds = flag.Int("rounds", 100, "how often each is waited for")
)

// Truth is what the program prints.
type Truth struct {
	Waits []*Waits `json:"waits"`
	// Mismatches is how many values got lost on their way.
	Mismatches int64 `json:"mismatches"`
}

// Waits sums up the waits in one function by the program's own clock.
type Waits struct {
	Function string `json:"function"`
	Kind     string `json:"kind"`
	Waits    uint64 `json:"waits"`
	WaitNs   int64  `json:"wait_ns"`
	// Doubtful waits may have been over before they began.
	Doubtful   uint64 `json:"doubtful"`
	DoubtfulNs int64  `json:"doubtful_ns"`
	// certain is from which length on a wait was certainly a park.
	certain time.Duration
}

func (w *Waits) note(wait time.Duration) {
	if wait >= w.certain {
		w.Waits++
		w.WaitNs += int64(wait)
	} else {
		w.Doubtful++
		w.DoubtfulNs += int64(wait)
	}
}

func main() {
	flag.Parse()
	wait, known := map[string]func() Truth{"events": events, "brief": brief, "crowd": crowd}[*what]
	if !known {
		fmt.Fprintln(os.Stderr, "nobody waits for", *what)
		os.Exit(2)
	}
	gate.Open()
	gate.Close(wait())
}
