// An HTTP server whose every request does a thousand map operations: what is between its
// users and their answers is mapprof, once it is watched. It answers with what it read, so
// that whoever asks can tell a wrong answer.
package main

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"

	"programs/internal/gate"
)

const (
	keys = 10_000
	// Operations of a request: all but the last are reads.
	operations = 1000
)

var port = flag.Int("port", 0, "where to listen on loopback")

// store is what requests work on.
type store struct {
	mu       sync.RWMutex
	sessions map[string]uint64
	names    []string
	visits   sync.Map
}

func main() {
	flag.Parse()
	s := &store{sessions: make(map[string]uint64)}
	for i := 0; i < keys; i++ {
		s.names = append(s.names, fmt.Sprintf("session:%05d", i))
		s.sessions[s.names[i]] = 1
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		panic(err)
	}
	gate.Open()
	go http.Serve(listener, s)
	// Until stdin ends.
	for {
		if _, more := gate.Next(); !more {
			return
		}
	}
}

// ServeHTTP answers /SEED with the number of sessions that it found.
func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seed, err := strconv.ParseUint(r.URL.Path[1:], 10, 64)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintln(w, s.visit(seed))
}

func (s *store) visit(seed uint64) (found uint64) {
	state := seed*0x9e3779b97f4a7c15 | 1
	s.mu.RLock()
	for i := 1; i < operations; i++ {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		// Few are asked for often: the square of an even draw.
		draw := float64(state>>11) / (1 << 53)
		found += s.sessions[s.names[int(draw*draw*keys)]]
	}
	s.mu.RUnlock()
	s.visits.Store(s.names[seed%keys], seed)
	return found + 1
}
