// Map operations by a timetable: how many there are does not depend on what a probe
// costs, as long as the timetable can be kept. It remembers how many there were at each
// moment, and answers for any interval: the truth that an estimate is held against.
//
// A question is a line "FROM TO" on stdin, in ns since the epoch; the answer is a line of
// JSON. It ends with stdin.
package main

import (
	"flag"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"programs/internal/gate"
)

const (
	keys = 1000
	// The most frequent keys, whose operations are remembered one by one.
	followed = 40
	// Time between two entries of the diary.
	every = time.Millisecond
	// Most operations between two looks at the clock.
	batch = 64
)

var (
	load = flag.String("load", "steady", "steady or bursty")
	rate = flag.Float64("rate", 100_000, "map operations a second, on average")
	busy = flag.Bool("busy", true, "keep one CPU busy, as a service at work does; otherwise sleep")
	most = flag.Uint64("ops", 1<<62, "stop after so many operations")
	span = flag.Duration("span", time.Minute, "end by itself after this long")
	seed = flag.Uint64("seed", 1, "of all that is random")
)

func main() {
	flag.Parse()
	sessions := make(map[string]uint64)
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("session:%04d", i)
		sessions[names[i]] = 1
	}
	d := newDiary(*span)
	random := &random{state: *seed*0x9e3779b97f4a7c15 | 1}
	sources := timetable(*load, *rate, random)
	gate.Open()
	w := &worker{sessions: sessions, names: names, sources: sources, random: random, diary: d}
	done := make(chan struct{})
	var stop atomic.Bool
	go func() {
		defer close(done)
		w.run(&stop)
	}()
	for {
		line, ok := gate.Next()
		if !ok {
			break
		}
		var from, to int64
		if _, err := fmt.Sscan(line, &from, &to); err != nil {
			panic(err)
		}
		answer(d, names, w.sessions, from, to)
	}
	stop.Store(true)
	<-done
	if w.wrong > 0 {
		panic(fmt.Sprint(w.wrong, " reads of a value that nobody wrote"))
	}
}

// answer prints how many operations there were. Nothing here uses a map, since that would
// be counted too.
func answer(d *diary, names []string, sessions map[string]uint64, from, to int64) {
	before, after := d.at(from), d.at(to)
	var parts []string
	for i := 0; i < followed; i++ {
		n := after.keys[i] - before.keys[i]
		parts = append(parts, fmt.Sprintf(`{"key":"%s","lookup":%.0f}`, names[i], n))
	}
	fmt.Printf(`{"address":"0x%x","lookup":%.0f,"keys":[%s]}`+"\n",
		*(*uintptr)(unsafe.Pointer(&sessions)), after.all-before.all, strings.Join(parts, ","))
}

type worker struct {
	sessions map[string]uint64
	names    []string
	sources  []*source
	random   *random
	diary    *diary
	counts   [keys]uint64
	all      uint64
	wrong    uint64
}

// run does what is due, again and again, until told to stop or until the diary is full.
func (w *worker) run(stop *atomic.Bool) {
	last := time.Now()
	w.diary.note(last, w.all, &w.counts)
	next := last.Add(every)
	for !stop.Load() {
		now := time.Now()
		// It stood still, and what is owed is not done yet: a line from the last entry to
		// the next would tell otherwise.
		if now.Sub(last) > every/2 && !w.diary.note(now, w.all, &w.counts) {
			return
		}
		behind := false
		for _, source := range w.sources {
			due := source.due(now.Sub(last), w.random)
			for n := 0; n < batch && due >= 1 && w.all < *most; n++ {
				w.read(source)
				due--
			}
			source.owed = due
			behind = behind || due >= 1 && w.all < *most
		}
		last = now
		if !now.Before(next) {
			if !w.diary.note(now, w.all, &w.counts) {
				return
			}
			next = now.Add(every)
		}
		if !*busy && !behind {
			time.Sleep(every)
		}
	}
}

func (w *worker) read(from *source) {
	key := from.keys[w.random.next()%uint64(len(from.keys))]
	if w.sessions[w.names[key]] != 1 {
		w.wrong++
	}
	w.counts[key]++
	w.all++
}
