// Uses a map, tells what it did, executes a program in its own place, which is this
// one again or another build of it, and does the same there with other keys.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"programs/internal/gate"
)

var (
	rounds = flag.Int("rounds", 1000, "operations of each kind on each key")
	then   = flag.String("then", "", "file to execute at the end; none: exit")
	thread = flag.Bool("thread", false, "execute it from another thread than the first")
	prefix = flag.String("prefix", "before", "how keys begin")
)

// Truth is what the program prints, twice.
type Truth struct {
	Maps       []MapTruth `json:"maps"`
	Mismatches int        `json:"mismatches"`
}

// MapTruth is the map's.
type MapTruth struct {
	Address string     `json:"address"`
	Type    string     `json:"type"`
	Keys    []KeyTruth `json:"keys"`
}

// KeyTruth is one key's.
type KeyTruth struct {
	Key    string `json:"key"`
	Lookup int    `json:"lookup"`
	Insert int    `json:"insert"`
}

// The thread that begins stays with this goroutine, so that every other goroutine
// runs on another one.
func init() { runtime.LockOSThread() }

func main() {
	flag.Parse()
	m := make(map[string]int)
	gate.Open()
	truth := use(m)
	if *then == "" {
		gate.Close(truth)
	}
	gate.Tell(truth)
	execute := func() {
		args := []string{*then, "-wait", "-rounds", strconv.Itoa(*rounds), "-prefix", "after"}
		panic(syscall.Exec(*then, args, os.Environ()))
	}
	if *thread {
		go execute()
		select {}
	}
	execute()
}

func use(m map[string]int) Truth {
	of := MapTruth{Address: fmt.Sprintf("0x%x", *(*uintptr)(unsafe.Pointer(&m))), Type: fmt.Sprintf("%T", m)}
	truth := Truth{}
	for i := 0; i < 10; i++ {
		key := fmt.Sprintf("%s:%d", *prefix, i)
		ops := KeyTruth{Key: strconv.Quote(key)}
		for n := 0; n < *rounds; n++ {
			m[key] = n
			ops.Insert++
			if m[key] != n {
				truth.Mismatches++
			}
			ops.Lookup++
		}
		of.Keys = append(of.Keys, ops)
	}
	truth.Maps = []MapTruth{of}
	return truth
}
