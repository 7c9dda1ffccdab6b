// Has one slow owner of key X make the users of keys Y and Z wait, and times
// both: the ground truth of wait and blame per key.
//
// Every scenario runs in rounds. In each, X's owner takes the lock and stays in
// for milliseconds, and those who want Y and Z come while it is inside. So who is
// to blame is known beforehand, and the program's clock says for how long.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"programs/internal/gate"
)

// late is how long after the owner the others come.
const late = time.Millisecond

var (
	name   = flag.String("scenario", "mutex", "mutex, rwmutex-writer, rwmutex-reader, syncmap or shards")
	rounds = flag.Int("rounds", 200, "how often X's owner takes the lock")
	hold   = flag.Duration("hold", 5*time.Millisecond, "how long X's owner stays inside where it can choose")
)

// scenario is something shared and what its users do with it. Each notes its
// waits and holds by the program's clock.
type scenario interface {
	// own uses X and is slow about it.
	own(x *diary)
	// use uses the diary's key and is quick.
	use(key *diary)
}

// alternating is a scenario in which one user of Y and one of Z take turns, a
// round each, instead of several of both coming together.
type alternating interface{ alternate() }

// users is how many goroutines want each of Y and Z.
func users(inTurn bool) int {
	if inTurn {
		return 1
	}
	return 2
}

func main() {
	flag.Parse()
	// The users must come while the owner computes, however few CPUs there are.
	if runtime.GOMAXPROCS(0) < 4 {
		runtime.GOMAXPROCS(4)
	}
	var s scenario
	switch *name {
	case "mutex":
		s = newMutexed()
	case "rwmutex-writer":
		s = newReadWaits()
	case "rwmutex-reader":
		s = newWriteWaits()
	case "syncmap":
		s = newConcurrent()
	case "shards":
		s = newSharded()
	default:
		fmt.Fprintln(os.Stderr, "no such scenario:", *name)
		os.Exit(2)
	}
	gate.Open()
	gate.Close(run(s))
}

// run plays all rounds and returns what the program's clock says of them.
func run(s scenario) Truth {
	_, inTurn := s.(alternating)
	x := &diary{key: "X"}
	diaries := []*diary{x}
	var starts [2][]chan struct{}
	done := make(chan struct{})
	for i := 0; i < users(inTurn); i++ {
		for side, body := range []func(scenario, *diary){useY, useZ} {
			own := &diary{key: []string{"Y", "Z"}[side]}
			diaries = append(diaries, own)
			start := make(chan struct{})
			starts[side] = append(starts[side], start)
			go func(body func(scenario, *diary)) {
				for range start {
					time.Sleep(late)
					body(s, own)
					done <- struct{}{}
				}
			}(body)
		}
	}
	for round := 0; round < *rounds; round++ {
		started := 0
		for side := range starts {
			if inTurn && round%2 != side {
				continue
			}
			for _, start := range starts[side] {
				start <- struct{}{}
				started++
			}
		}
		// They are asleep before an owner that computes keeps this CPU to itself.
		runtime.Gosched()
		ownX(s, x)
		for ; started > 0; started-- {
			<-done
		}
	}
	return truth(diaries)
}

// The three callers, so that each key has a stack of its own.

//go:noinline
func ownX(s scenario, x *diary) { s.own(x) }

//go:noinline
func useY(s scenario, y *diary) { s.use(y) }

//go:noinline
func useZ(s scenario, z *diary) { s.use(z) }
