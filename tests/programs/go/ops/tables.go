package main

import (
	"fmt"
	"math/rand"
	"strconv"
	"sync"
	"unsafe"
)

// makers are the kinds, each with what makes the table of a goroutine.
var makers = map[string]func(goroutine int) table{
	"string":          func(int) table { return newText("session:%06d") },
	"long":            func(int) table { return newText("https://shop.example/customers/%06d/orders") },
	"composite":       func(int) table { return newComposite() },
	"mixed":           func(int) table { return &mixed{m: make(map[uint64]uint64)} },
	"sync":            func(int) table { return newSynced() },
	"zipf":            newZipf,
	"distinct":        func(int) table { return &distinct{m: map[uint64]uint64{1 << 63: 1}} },
	"distinct-string": func(int) table { return &distinctText{m: map[string]uint64{"none of them": 1}} },
}

func addressOf[M any](m *M) string {
	return fmt.Sprintf("0x%x", *(*uintptr)(unsafe.Pointer(m)))
}

// text reads all text keys in turn.
type text struct {
	m     map[string]uint64
	names []string
	errs  int
}

// newText makes one with keys of this form.
func newText(form string) *text {
	t := &text{m: make(map[string]uint64)}
	for key := 0; key < *keys; key++ {
		t.names = append(t.names, fmt.Sprintf(form, key))
		t.m[t.names[key]] = uint64(key)
	}
	return t
}

func (t *text) do(from, to int) {
	for n := from; n < to; n++ {
		key := n % len(t.names)
		if t.m[t.names[key]] != uint64(key) {
			t.errs++
		}
	}
}

func (t *text) cycle() int          { return len(t.names) }
func (t *text) at(number int) step  { return step{number, lookup} }
func (t *text) name(key int) string { return strconv.Quote(t.names[key]) }
func (t *text) address() string     { return addressOf(&t.m) }
func (t *text) typ() string         { return "map[string]uint64" }
func (t *text) wrong() int          { return t.errs }

// order is a key with a string in it, which lies elsewhere in memory.
type order struct {
	Shop     int
	Customer string
}

// composite reads all orders in turn.
type composite struct {
	m      map[order]uint64
	orders []order
	errs   int
}

func newComposite() *composite {
	t := &composite{m: make(map[order]uint64)}
	for key := 0; key < *keys; key++ {
		t.orders = append(t.orders, order{key % 7, fmt.Sprintf("customer-%06d", key)})
		t.m[t.orders[key]] = uint64(key)
	}
	return t
}

func (t *composite) do(from, to int) {
	for n := from; n < to; n++ {
		key := n % len(t.orders)
		if t.m[t.orders[key]] != uint64(key) {
			t.errs++
		}
	}
}

func (t *composite) cycle() int         { return len(t.orders) }
func (t *composite) at(number int) step { return step{number, lookup} }
func (t *composite) name(key int) string {
	return fmt.Sprintf("{Shop:%d Customer:%q}", t.orders[key].Shop, t.orders[key].Customer)
}
func (t *composite) address() string { return addressOf(&t.m) }
func (t *composite) typ() string     { return "map[main.order]uint64" }
func (t *composite) wrong() int      { return t.errs }

// mixed inserts and reads each key in turn and deletes another, so that half of them
// are there at any time.
type mixed struct {
	m    map[uint64]uint64
	errs int
}

func (t *mixed) do(from, to int) {
	for n := from; n < to; n++ {
		switch step := t.at(n); step.verb {
		case insert:
			t.m[uint64(step.key)] = uint64(n)
		case lookup:
			if t.m[uint64(step.key)] != uint64(n-1) {
				t.errs++
			}
		case remove:
			delete(t.m, uint64(step.key))
		}
	}
}

func (t *mixed) at(number int) step {
	place := number % (3 * *keys)
	key, verb := place/3, [...]verb{insert, lookup, remove}[place%3]
	if verb == remove {
		// The one that was inserted half a cycle ago.
		key = (key + *keys/2) % *keys
	}
	return step{key, verb}
}

func (t *mixed) cycle() int          { return 3 * *keys }
func (t *mixed) name(key int) string { return strconv.Itoa(key) }
func (t *mixed) address() string     { return addressOf(&t.m) }
func (t *mixed) typ() string         { return "map[uint64]uint64" }
func (t *mixed) wrong() int          { return t.errs }

// synced stores every key once and loads it seven times, in turn.
type synced struct {
	m     sync.Map
	boxed []any
	errs  int
}

func newSynced() *synced {
	t := &synced{}
	for key := 0; key < *keys; key++ {
		t.boxed = append(t.boxed, uint64(key))
	}
	return t
}

func (t *synced) do(from, to int) {
	for n := from; n < to; n++ {
		step := t.at(n)
		key := t.boxed[step.key]
		if step.verb == insert {
			t.m.Store(key, key)
		} else if value, _ := t.m.Load(key); value != key {
			t.errs++
		}
	}
}

func (t *synced) at(number int) step {
	place := number % (8 * *keys)
	if place%8 == 0 {
		return step{place / 8, insert}
	}
	return step{place / 8, lookup}
}

func (t *synced) cycle() int          { return 8 * *keys }
func (t *synced) name(key int) string { return fmt.Sprintf("uint64(%d)", key) }
func (t *synced) address() string     { return fmt.Sprintf("%p", &t.m) }
func (t *synced) typ() string         { return "" }
func (t *synced) wrong() int          { return t.errs }

// Length of the sequence of keys that zipf reads, and how skewed it is.
const (
	drawn = 1 << 20
	skew  = 1.1
)

// zipf reads keys of one map as they were drawn before, each goroutine others.
type zipf struct {
	m        map[uint64]uint64
	sequence []uint32
	errs     int
}

// The map that all goroutines read.
var shared map[uint64]uint64

func newZipf(goroutine int) table {
	if shared == nil {
		shared = make(map[uint64]uint64)
		for key := 0; key < *keys; key++ {
			shared[uint64(key)] = uint64(key)
		}
	}
	random := rand.New(rand.NewSource(int64(goroutine + 1)))
	draw := rand.NewZipf(random, skew, 1, uint64(*keys-1))
	t := &zipf{m: shared}
	for i := 0; i < drawn; i++ {
		t.sequence = append(t.sequence, uint32(draw.Uint64()))
	}
	return t
}

func (t *zipf) do(from, to int) {
	for n := from; n < to; n++ {
		key := uint64(t.sequence[n%drawn])
		if t.m[key] != key {
			t.errs++
		}
	}
}

func (t *zipf) cycle() int          { return drawn }
func (t *zipf) at(number int) step  { return step{int(t.sequence[number]), lookup} }
func (t *zipf) name(key int) string { return strconv.Itoa(key) }
func (t *zipf) address() string     { return addressOf(&t.m) }
func (t *zipf) typ() string         { return "map[uint64]uint64" }
func (t *zipf) wrong() int          { return t.errs }

// distinct looks for keys in turn that are not there: very many of them take no
// memory of the program.
type distinct struct {
	m    map[uint64]uint64
	errs int
}

func (t *distinct) do(from, to int) {
	for n := from; n < to; n++ {
		if _, found := t.m[uint64(n%*keys)]; found {
			t.errs++
		}
	}
}

func (t *distinct) cycle() int      { return 0 }
func (t *distinct) at(int) step     { return step{} }
func (t *distinct) name(int) string { return "" }
func (t *distinct) address() string { return addressOf(&t.m) }
func (t *distinct) typ() string     { return "map[uint64]uint64" }
func (t *distinct) wrong() int      { return t.errs }

// distinctText does the same with text.
type distinctText struct {
	distinct
	m map[string]uint64
}

func (t *distinctText) do(from, to int) {
	key := make([]byte, 0, 32)
	for n := from; n < to; n++ {
		// A leading 1, so that all are of one length: session:1000000007.
		key = strconv.AppendInt(append(key[:0], "session:"...), int64(1_000_000_000+n%*keys), 10)
		if _, found := t.m[string(key)]; found {
			t.errs++
		}
	}
}

func (t *distinctText) address() string { return addressOf(&t.m) }
func (t *distinctText) typ() string     { return "map[string]uint64" }
