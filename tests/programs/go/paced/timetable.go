package main

import (
	"math"
	"time"
)

// random is a xorshift generator, which needs no lock and no memory.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state ^= r.state << 13
	r.state ^= r.state >> 7
	r.state ^= r.state << 17
	return r.state >> 11
}

// unit is above 0 and below 1.
func (r *random) unit() float64 { return (float64(r.next()) + 0.5) / (1 << 53) }

// source is a stream of operations that is on and off in turns of random length.
type source struct {
	// perNs is how many operations fall due in each ns while it is on.
	perNs float64
	// on and off are mean lengths; off is 0 for one that is always on.
	on, off time.Duration
	isOn    bool
	left    time.Duration
	// owed is the part of an operation that is due.
	owed float64
	// keys to draw from: a key is in it as often as it is frequent.
	keys []int
}

// due lets time pass and returns how many operations are due.
func (s *source) due(passed time.Duration, r *random) float64 {
	due := s.owed
	for s.off > 0 && passed >= s.left {
		if s.isOn {
			due += float64(s.left) * s.perNs
		}
		passed -= s.left
		s.turn(r)
	}
	s.left -= passed
	if s.isOn {
		due += float64(passed) * s.perNs
	}
	return due
}

func (s *source) turn(r *random) {
	s.isOn = !s.isOn
	mean := s.off
	if s.isOn {
		mean = s.on
	}
	s.left = time.Duration(-math.Log(r.unit()) * float64(mean))
}

// scales of the bursts, and the share of the time in which each of them is on.
var scales = []time.Duration{3 * time.Millisecond, 30 * time.Millisecond, 300 * time.Millisecond}

const share = 0.3

// timetable is one even stream, or bursts of several lengths, each with its own favourites.
func timetable(load string, rate float64, r *random) []*source {
	switch load {
	case "steady":
		return []*source{{perNs: rate / 1e9, isOn: true, keys: zipf(0, r)}}
	case "bursty":
		var sources []*source
		for i, scale := range scales {
			s := &source{
				perNs: rate / float64(len(scales)) / share / 1e9,
				on:    scale,
				off:   time.Duration(float64(scale) * (1 - share) / share),
				isOn:  r.unit() < 1-share, // turned below
				keys:  zipf(i*3, r),
			}
			s.turn(r)
			sources = append(sources, s)
		}
		return sources
	}
	panic("-load is steady or bursty")
}

// zipf is a list in which key number first+n is about 1/(n+1) as often as the first.
func zipf(first int, r *random) []int {
	var sums [keys]float64
	sum := 0.0
	for n := range sums {
		sum += 1 / float64(n+1)
		sums[n] = sum
	}
	list := make([]int, 1<<16)
	for i := range list {
		at, n := r.unit()*sum, 0
		for sums[n] < at {
			n++
		}
		list[i] = (first + n) % keys
	}
	return list
}
