package main

import (
	"sync/atomic"
	"time"
)

// entry says how many operations there had been at a moment.
type entry struct {
	unixNs int64
	all    uint64
	keys   [followed]uint64
}

// diary is written by one goroutine and may be read by others meanwhile.
type diary struct {
	entries []entry
	written atomic.Int64
}

func newDiary(span time.Duration) *diary {
	return &diary{entries: make([]entry, 2*int(span/every)+2)}
}

// note adds an entry; false where there is no room left.
func (d *diary) note(now time.Time, all uint64, counts *[keys]uint64) bool {
	at := d.written.Load()
	if at >= int64(len(d.entries)) {
		return false
	}
	e := &d.entries[at]
	e.unixNs, e.all = now.UnixNano(), all
	copy(e.keys[:], counts[:followed])
	d.written.Store(at + 1)
	return true
}

// last is the moment of the newest entry.
func (d *diary) last() int64 {
	if written := d.written.Load(); written > 0 {
		return d.entries[written-1].unixNs
	}
	return 0
}

// counts at a moment, which may lie between two entries.
type counts struct {
	all  float64
	keys [followed]float64
}

// at is a straight line between the two entries around a moment. It waits for the second of
// them, and panics where the diary is full before that.
func (d *diary) at(unixNs int64) counts {
	for d.last() < unixNs {
		if d.written.Load() == int64(len(d.entries)) {
			panic("nothing is known of that moment")
		}
		time.Sleep(every)
	}
	entries := d.entries[:d.written.Load()]
	low, high := 0, len(entries)-1
	if unixNs <= entries[low].unixNs {
		// Nothing had happened yet.
		return counts{}
	}
	for high-low > 1 {
		if middle := (low + high) / 2; entries[middle].unixNs <= unixNs {
			low = middle
		} else {
			high = middle
		}
	}
	a, b := &entries[low], &entries[high]
	part := float64(unixNs-a.unixNs) / float64(b.unixNs-a.unixNs)
	between := func(a, b uint64) float64 { return float64(a) + part*float64(b-a) }
	c := counts{all: between(a.all, b.all)}
	for i := range c.keys {
		c.keys[i] = between(a.keys[i], b.keys[i])
	}
	return c
}
