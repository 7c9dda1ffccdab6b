package main

import (
	"reflect"
	"sync"
)

// A sync.Map runs none of its user's code under its mutex, so X's owner can only
// be slow by what the map itself does there. Which of the two implementations
// there is shows in the fields that it has.
func newConcurrent() scenario {
	if fieldOf(&sync.Map{}, "m").IsValid() {
		return newTrie()
	}
	return newPromoting()
}

// The old implementation (sync/map.go until 1.23; the same since 1.9) keeps a
// map to read without a lock and a dirty one under a mutex. The first store of a
// new key after a promotion copies the whole read map into a new dirty one
// (dirtyLocked), under the mutex. So X's owner stores X into a large map that was
// just promoted, and removes it again for the next round. Y and Z are new keys
// too, whose stores need the mutex.
type promoting struct{ sync.Map }

// bystanders is how many keys there are to copy: one or two milliseconds' worth,
// and twenty times that where each copy is probed.
const bystanders = 15_000

func newPromoting() *promoting {
	p := &promoting{}
	for i := 0; i < bystanders; i++ {
		p.Store(i, i)
	}
	p.promote()
	return p
}

// promote makes the dirty map the one that is read: a Range does so first.
func (p *promoting) promote() {
	p.Range(func(any, any) bool { return false })
}

func (p *promoting) own(x *diary) {
	// What the round before left is promoted, so that the dirty map is gone. No
	// user of Y or Z is there yet.
	p.Delete("X")
	p.promote()
	want := now()
	p.Store("X", 0)
	// All but nothing of the call is without the mutex.
	x.note(want, want, now())
}

func (p *promoting) use(d *diary) {
	want := now()
	p.Store(d.key, 0)
	got := now()
	d.note(want, got, got)
	// Out of the dirty map, so that it is a new key in the next round too.
	p.Delete(d.key)
}

// The new implementation (internal/sync/hashtriemap.go since 1.24) is a trie with
// a mutex per node. Hashing is done before the mutex is taken, and so is a first
// look at the key, but CompareAndDelete compares the value under the mutex alone.
// So X's owner asks to delete X if it has a value that differs from X's in the
// last of very many elements: a comparison that takes milliseconds and comes to
// nothing. Y and Z lie in the same node, where storing them needs its mutex.
type trie struct {
	*sync.Map
	// Not sync.Map's own, since Go 1.19 has no such method.
	comparer interface{ CompareAndDelete(any, any) bool }
	almost   any
}

// long is a value that is slow to compare without being large: each element is
// the same row, and each of the row's an interface, whose comparison is a call.
type (
	long [20_000]any
	row  [64]any
)

func newTrie() *trie {
	var value, almost long
	var strings row
	for i := range strings {
		strings[i] = "as long as any"
	}
	var each any = strings
	for i := range value {
		value[i] = each
	}
	almost = value
	almost[len(almost)-1] = nil
	// The hash is seeded anew for each map. Most seeds put three keys into three
	// slots of the root, so that its mutex is theirs; the next map has another.
	for {
		m := &sync.Map{}
		m.Store("X", value)
		m.Store("Y", 0)
		m.Store("Z", 0)
		if slotsTaken(m) == 3 {
			return &trie{m, any(m).(interface{ CompareAndDelete(any, any) bool }), almost}
		}
	}
}

// slotsTaken is the number of the root node's slots that are in use.
func slotsTaken(m *sync.Map) int {
	// An atomic.Pointer begins with a field that names what it points to.
	pointer := fieldOf(m, "m").FieldByName("root")
	node := pointer.Type().Field(0).Type.Elem().Elem()
	root := reflect.NewAt(node, pointer.FieldByName("v").UnsafePointer()).Elem()
	children, taken := root.FieldByName("children"), 0
	for i := 0; i < children.Len(); i++ {
		if !children.Index(i).FieldByName("v").IsZero() {
			taken++
		}
	}
	return taken
}

// fieldOf is a field of a sync.Map, invalid if there is none of that name.
func fieldOf(m *sync.Map, name string) reflect.Value {
	return reflect.ValueOf(m).Elem().FieldByName(name)
}

func (t *trie) own(x *diary) {
	want := now()
	if t.comparer.CompareAndDelete("X", t.almost) {
		panic("values that differ were taken for equal")
	}
	// All but nothing of the call is without the mutex.
	x.note(want, want, now())
}

func (t *trie) use(d *diary) {
	want := now()
	t.Store(d.key, 0)
	got := now()
	d.note(want, got, got)
}
