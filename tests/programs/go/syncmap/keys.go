package main

import (
	"fmt"
	"strconv"
)

// keyCount is how many distinct keys most maps have.
const keyCount = 48

type (
	id    int
	name  string
	point struct{ X, Y int32 }
	// order is wider than a register and no power of two.
	order struct{ Shop, Year, ID uint32 }
)

var pointees [keyCount]int

// tables makes a map for each sort of key, and one for all of them; each is called by
// name and through an interface.
func tables() []*table {
	sorts := []func(i int) any{
		func(i int) any { return i*1_000_003 - 7 },
		func(i int) any { return uint16(i) },
		func(i int) any { return id(i) - 3 },
		func(i int) any { return strings(i) },
		func(i int) any { return name(strings(i)) },
		func(i int) any { return point{int32(i), -int32(i)} },
		func(i int) any { return order{uint32(i), 2024, uint32(i) << 20} },
		func(i int) any { return [2]int{i, -i} },
		func(i int) any { return &pointees[i] },
		func(i int) any { return float64(i) + 0.25 },
	}
	mixed := func(i int) any {
		if i == 0 {
			return i%2 == 0
		}
		return sorts[i%len(sorts)](i)
	}
	var all []*table
	for _, key := range append(sorts, mixed) {
		for _, byName := range []bool{true, false} {
			t := &table{}
			t.store = &t.m
			if byName {
				t.store = direct{&t.m}
			}
			for i := 0; i < keyCount; i++ {
				t.keys = append(t.keys, key(i))
				t.texts = append(t.texts, text(key(i)))
			}
			all = append(all, t)
		}
	}
	return all
}

// strings are short, with some that are awkward to print.
func strings(i int) string {
	awkward := []string{"", "a \"quoted\"\nline", "ключ", "exactly-24-bytes-of-key!", "just-25-bytes-of-a-key..!"}
	if i < len(awkward) {
		return awkward[i]
	}
	return fmt.Sprintf("user:%d", i)
}

// text is how a key is to be shown.
func text(key any) string {
	switch key := key.(type) {
	case bool:
		return fmt.Sprint(key)
	case string:
		return strconv.Quote(key)
	case name:
		return fmt.Sprintf("%T(%q)", key, string(key))
	case *int:
		return fmt.Sprintf("%T(%p)", key, key)
	case point, order, [2]int:
		return fmt.Sprintf("%T%+v", key, key)
	}
	return fmt.Sprintf("%T(%v)", key, key)
}
