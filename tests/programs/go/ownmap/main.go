// Uses maps of its own, which are not built on Go's, and counts per key what it
// does to them: the ground truth of the tests of --probe and --config.
package main

import (
	"flag"
	"fmt"
	"strconv"
	"sync"
	"unsafe"

	"programs/internal/gate"
)

const (
	workers  = 4
	keyCount = 40
)

var rounds = flag.Int("rounds", 2000, "operations of each goroutine on each map")

// Truth is what the program prints.
type Truth struct {
	Maps       []MapTruth `json:"maps"`
	Mismatches int        `json:"mismatches"`
}

// MapTruth is one map's.
type MapTruth struct {
	Address string     `json:"address"`
	Iterate uint64     `json:"iterate"`
	Keys    []KeyTruth `json:"keys"`
}

// KeyTruth is one key's.
type KeyTruth struct {
	Key    string `json:"key"`
	Lookup uint64 `json:"lookup"`
	Insert uint64 `json:"insert"`
	Delete uint64 `json:"delete"`
}

// table is a map that is being watched.
type table interface {
	do(op, key, value int)
	truth() (MapTruth, int)
}

// store is how half of the calls reach a cache: through a wrapper.
type store[K comparable, V any] interface {
	Get(key K) (V, bool)
	Put(key K, value V)
	Remove(key K) bool
}

// watched is a cache with what it should hold and what was done to it.
type watched[K comparable, V comparable] struct {
	mu         sync.Mutex
	cache      *Cache[K, V]
	store      store[K, V]
	keys       []K
	text       func(K) string
	pack       func(int) V
	held       []int // -1 where absent
	counts     []KeyTruth
	iterates   uint64
	mismatches int
}

func watch[K, V comparable](hash func(K) uint64, key func(int) K, text func(K) string, pack func(int) V) *watched[K, V] {
	cache := NewCache[K, V](hash)
	w := &watched[K, V]{cache: cache, store: cache, text: text, pack: pack}
	for i := 0; i < keyCount; i++ {
		w.keys = append(w.keys, key(i))
		w.held = append(w.held, -1)
		w.counts = append(w.counts, KeyTruth{Key: text(key(i))})
	}
	return w
}

func (w *watched[K, V]) do(op, key, value int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var by store[K, V] = w.store
	if op%2 == 0 {
		switch op / 2 {
		case 0, 1, 2:
			w.counts[key].Lookup++
			got, ok := w.cache.Get(w.keys[key])
			w.check(key, got, ok)
		case 3:
			w.counts[key].Insert++
			w.cache.Put(w.keys[key], w.pack(value))
			w.held[key] = value
		default:
			w.iterates++
			seen := 0
			w.cache.Range(func(K, V) bool { seen++; return true })
			for _, value := range w.held {
				if value >= 0 {
					seen--
				}
			}
			if seen != 0 {
				w.mismatches++
			}
		}
		return
	}
	switch op / 2 {
	case 0, 1:
		w.counts[key].Lookup++
		got, ok := by.Get(w.keys[key])
		w.check(key, got, ok)
	case 2, 3:
		w.counts[key].Insert++
		by.Put(w.keys[key], w.pack(value))
		w.held[key] = value
	default:
		w.counts[key].Delete++
		if by.Remove(w.keys[key]) != (w.held[key] >= 0) {
			w.mismatches++
		}
		w.held[key] = -1
	}
}

func (w *watched[K, V]) check(key int, got V, ok bool) {
	if ok != (w.held[key] >= 0) || ok && got != w.pack(w.held[key]) {
		w.mismatches++
	}
}

func (w *watched[K, V]) truth() (MapTruth, int) {
	return MapTruth{address(w.cache), w.iterates, w.counts}, w.mismatches
}

// registry watches the map without type parameters.
type registry struct {
	mu     sync.Mutex
	r      *Registry
	keys   []any
	held   []int
	counts []KeyTruth
	wrong  int
}

func watchRegistry() *registry {
	w := &registry{r: NewRegistry(2 * keyCount)}
	for i := 0; i < keyCount; i++ {
		if i%2 == 0 {
			w.keys = append(w.keys, i)
			w.counts = append(w.counts, KeyTruth{Key: fmt.Sprintf("int(%d)", i)})
		} else {
			name := fmt.Sprintf("any:%d", i)
			w.keys = append(w.keys, name)
			w.counts = append(w.counts, KeyTruth{Key: strconv.Quote(name)})
		}
		w.held = append(w.held, 0)
	}
	return w
}

func (w *registry) do(op, key, value int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if op < 6 {
		w.counts[key].Lookup++
		if w.r.Load(w.keys[key]) != w.held[key] {
			w.wrong++
		}
		return
	}
	w.counts[key].Insert++
	w.r.Store(w.keys[key], value)
	w.held[key] = value
}

func (w *registry) truth() (MapTruth, int) {
	return MapTruth{address(w.r), 0, w.counts}, w.wrong
}

// index watches the one that is passed by value; its rows are its address.
type index struct {
	mu     sync.Mutex
	x      Index
	counts []KeyTruth
	wrong  int
}

func watchIndex() *index {
	w := &index{x: Index{scale: 1, base: 7}}
	for i := 0; i < keyCount; i++ {
		row := fmt.Sprintf("row-%d", i)
		w.x.rows = append(w.x.rows, []byte(row))
		w.counts = append(w.counts, KeyTruth{Key: strconv.Quote(row)})
	}
	return w
}

func (w *index) do(_, key, _ int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[key].Lookup++
	if w.x.Find(w.x.rows[key]) != key+7 {
		w.wrong++
	}
}

func (w *index) truth() (MapTruth, int) {
	return MapTruth{address(unsafe.SliceData(w.x.rows)), 0, w.counts}, w.wrong
}

func address[T any](p *T) string { return fmt.Sprintf("%p", p) }

func tables() []table {
	number := func(n int) int { return n }
	return []table{
		watch(hashString, func(i int) string { return fmt.Sprintf("user:%d", i) }, strconv.Quote, number),
		watch(func(k int) uint64 { return mix(uint64(k)) }, func(i int) int { return i - keyCount/2 }, strconv.Itoa,
			func(n int) string { return strconv.Itoa(n) }),
		watch(func(k uint16) uint64 { return mix(uint64(k)) }, func(i int) uint16 { return uint16(i) * 1000 },
			func(k uint16) string { return strconv.Itoa(int(k)) }, number),
		watchRegistry(),
		watchIndex(),
	}
}

func mix(n uint64) uint64 {
	n *= 0x9e3779b97f4a7c15
	return n ^ n>>29
}

func hashString(text string) uint64 {
	hash := uint64(14695981039346656037)
	for i := 0; i < len(text); i++ {
		hash = (hash ^ uint64(text[i])) * 1099511628211
	}
	return mix(hash)
}

func hashAny(key any) uint64 {
	if name, ok := key.(string); ok {
		return hashString(name)
	}
	return mix(uint64(key.(int)))
}

func main() {
	flag.Parse()
	all := tables() // made before the gate, so that addresses are final
	gate.Open()
	var group sync.WaitGroup
	for worker := 0; worker < workers; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			random := mix(uint64(worker) + 1)
			for round := 0; round < *rounds; round++ {
				for _, t := range all {
					random = mix(random + 1)
					key := int(random>>40) % keyCount
					t.do(int(random>>20)%10, key*key/keyCount, int(random>>50))
				}
			}
		}(worker)
	}
	group.Wait()
	truth := Truth{}
	for _, t := range all {
		m, mismatches := t.truth()
		truth.Maps = append(truth.Maps, m)
		truth.Mismatches += mismatches
	}
	gate.Close(truth)
}
