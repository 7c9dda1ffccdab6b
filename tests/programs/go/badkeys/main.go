// Looks up keys that cannot be read, or not to their end, and prints what should
// become of each: the ground truth of the tests of bad input and of --key-bytes.
package main

import (
	"encoding/hex"
	"flag"
	"fmt"
	"strconv"
	"unsafe"

	"programs/internal/gate"
)

var (
	rounds = flag.Int("rounds", 50, "how often each key is looked up")
	most   = flag.Int("bytes", 0, "look up keys of which at most so many bytes are read")
)

// Truth is what the program prints.
type Truth struct {
	Maps []*MapTruth `json:"maps"`
}

// MapTruth is one map's.
type MapTruth struct {
	Name    string     `json:"name"`
	Address string     `json:"address"`
	Keys    []KeyTruth `json:"keys"`
	// Memory and Type count the keys that cannot be read, by reason.
	Memory uint64 `json:"memory"`
	Type   uint64 `json:"type"`
	// Others counts those that are shown in whatever way.
	Others uint64 `json:"others"`
}

// KeyTruth is one key's.
type KeyTruth struct {
	Key    string `json:"key"`
	Lookup uint64 `json:"lookup"`
}

func (t *MapTruth) key(text string, n int) {
	for i := range t.Keys {
		if t.Keys[i].Key == text {
			t.Keys[i].Lookup += uint64(n)
			return
		}
	}
	t.Keys = append(t.Keys, KeyTruth{text, uint64(n)})
}

// kept maps lie on the heap, each in a place of its own.
var kept []any

func table(name, address string) *MapTruth {
	return &MapTruth{Name: name, Address: address, Keys: []KeyTruth{}}
}

// watch tells of one of Go's own maps.
func watch[K comparable](name string, m map[K]int) *MapTruth {
	kept = append(kept, m)
	return table(name, fmt.Sprintf("0x%x", *(*uintptr)(unsafe.Pointer(&m))))
}

var found int

// look looks a key up, and again and again.
func look[K comparable](m map[K]int, key K) {
	for n := 0; n < *rounds; n++ {
		found += m[key]
	}
}

// try looks a key up in a table of one map; the text is the one it is shown as.
func try[K comparable](t *MapTruth, m map[K]int, key K, text string) {
	look(m, key)
	t.key(text, *rounds)
}

// Tenant is a key with a string.
type Tenant struct {
	Region string
	ID     int
}

// cutKeys are those of which at most n bytes are read; numbers are whole.
func cutKeys(n int) []func() *MapTruth {
	const digits = "0123456789abcdef0123456789abcdef"
	cut := func(text string) string {
		if len(text) <= n {
			return strconv.Quote(text)
		}
		return strconv.Quote(text[:n]) + "…"
	}
	return []func() *MapTruth{
		func() *MapTruth {
			m := map[string]int{}
			t := watch("strings", m)
			for _, text := range []string{"", "abc", digits[:n], digits[:n+1], digits[:n] + "x", digits} {
				try(t, m, text, cut(text))
			}
			return t
		},
		func() *MapTruth {
			m := map[Tenant]int{}
			t := watch("structs with strings", m)
			inside := func(text string, id int) string {
				if len(text) <= n {
					return fmt.Sprintf("{Region:%q ID:%d}", text, id)
				}
				return fmt.Sprintf("{Region:%q}…", text[:n])
			}
			for _, key := range []Tenant{{"eu", 1 << 40}, {"eu", -1}, {digits[:n], 7}, {digits[:n] + "x", 7}, {digits[:n] + "y", 7}} {
				try(t, m, key, inside(key.Region, key.ID))
			}
			return t
		},
		func() *MapTruth {
			m := map[any]int{}
			t := watch("interfaces", m)
			for _, text := range []string{"", "abc", digits[:n], digits[:n] + "x", digits[:n] + "yz"} {
				try[any](t, m, text, cut(text))
			}
			try[any](t, m, 1<<40+7, "int(1099511627783)")
			try[any](t, m, uint8(7), "uint8(7)")
			try[any](t, m, 2.5, "float64(2.5)")
			try[any](t, m, complex(1, 2), "complex128(1+2i)")
			try[any](t, m, &found, fmt.Sprintf("*int(%p)", &found))
			try[any](t, m, nil, "nil")
			return t
		},
		func() *MapTruth {
			m := map[int]int{}
			t := watch("integers", m)
			for _, number := range []int{0, -7, 1<<40 + 7, 1<<62 + 1} {
				try(t, m, number, strconv.Itoa(number))
			}
			return t
		},
		func() *MapTruth {
			m := map[complex128]int{}
			t := watch("complex numbers", m)
			try(t, m, complex(1.5, -2), "(1.5-2i)")
			return t
		},
		func() *MapTruth {
			m := map[*int]int{}
			t := watch("pointers", m)
			try(t, m, &found, fmt.Sprintf("*int(%p)", &found))
			return t
		},
		func() *MapTruth {
			m := map[[32]byte]int{}
			t := watch("arrays", m)
			for last := byte(0); last < 3; last++ {
				key := [32]byte{0: 0xab, 31: last}
				try(t, m, key, "0x"+hex.EncodeToString(key[:n])+"…")
			}
			return t
		},
	}
}

func main() {
	flag.Parse()
	all := badKeys
	if *most > 0 {
		all = cutKeys(*most)
	}
	gate.Open()
	truth := Truth{}
	for _, use := range all {
		truth.Maps = append(truth.Maps, use())
	}
	gate.Close(truth)
}
