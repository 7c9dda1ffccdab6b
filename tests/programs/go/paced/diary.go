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
	return &diary{entries: make([]entry, int(span/every)+1)}
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

// counts at a moment, which may lie between two entries.
type counts struct {
	all  float64
	keys [followed]float64
}

// at is a straight line between the two entries around a moment; it panics where the diary
// does not reach that far.
func (d *diary) at(unixNs int64) counts {
	entries := d.entries[:d.written.Load()]
	low, high := 0, len(entries)-1
	if high < 1 || unixNs < entries[low].unixNs || unixNs > entries[high].unixNs {
		panic("nothing is known of that moment")
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
