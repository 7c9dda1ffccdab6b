package main

import "time"

// certain is the length from which on a wait was one for a lock: nothing else
// that a user does takes a tenth of that.
const certain = 200 * time.Microsecond

// Truth is what the program prints.
type Truth struct {
	Rounds int `json:"rounds"`
	// Waits says how long each key's users waited.
	Waits map[string]*Waits `json:"waits"`
	// Blame says how much of others' waits lay in the holds of each key's owner, ns.
	Blame map[string]int64 `json:"blame"`
}

// Waits sums up the waits of a key's users.
type Waits struct {
	Count  uint64 `json:"count"`
	WaitNs int64  `json:"wait_ns"`
	// Doubtful ones are too short to be told from none.
	Doubtful   uint64 `json:"doubtful"`
	DoubtfulNs int64  `json:"doubtful_ns"`
}

// diary is what one goroutine notes of its uses of one key.
type diary struct {
	key   string
	waits []interval
	holds []interval
}

// interval is a span of the program's clock: from the first until before the last.
type interval struct{ from, to time.Duration }

var start = time.Now()

// now is the time since the program's start.
func now() time.Duration { return time.Since(start) }

// note adds one use: the lock wanted, had and released.
func (d *diary) note(want, got, released time.Duration) {
	d.waits = append(d.waits, interval{want, got})
	d.holds = append(d.holds, interval{got, released})
}

// truth sums up all diaries.
func truth(diaries []*diary) Truth {
	t := Truth{Rounds: *rounds, Waits: map[string]*Waits{}, Blame: map[string]int64{}}
	for _, d := range diaries {
		if t.Waits[d.key] == nil {
			t.Waits[d.key] = &Waits{}
		}
		waits := t.Waits[d.key]
		for _, wait := range d.waits {
			length := wait.to - wait.from
			if length < certain {
				waits.Doubtful++
				waits.DoubtfulNs += int64(length)
				continue
			}
			waits.Count++
			waits.WaitNs += int64(length)
			for _, holder := range diaries {
				if holder != d {
					t.Blame[holder.key] += int64(holder.within(wait))
				}
			}
		}
	}
	return t
}

// within is how much of the wait lay in the goroutine's holds.
func (d *diary) within(wait interval) time.Duration {
	var sum time.Duration
	for _, hold := range d.holds {
		from, to := hold.from, hold.to
		if from < wait.from {
			from = wait.from
		}
		if to > wait.to {
			to = wait.to
		}
		if to > from {
			sum += to - from
		}
	}
	return sum
}
