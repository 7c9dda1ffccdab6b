package main

import (
	"bytes"
	"sync"
)

// Registry is without type parameters: its keys are interfaces, in one table of
// linear probing.
type Registry struct {
	mu    sync.Mutex
	names []any
	ports []int
}

// NewRegistry makes one with room for somewhat fewer keys than this.
func NewRegistry(room int) *Registry {
	return &Registry{names: make([]any, room), ports: make([]int, room)}
}

// Load returns the key's value, 0 if there is none.
func (r *Registry) Load(key any) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ports[r.find(key)]
}

// Store sets the key's value.
func (r *Registry) Store(key any, value int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.find(key)
	r.names[at], r.ports[at] = key, value
}

func (r *Registry) find(key any) int {
	at := int(hashAny(key) % uint64(len(r.names)))
	for r.names[at] != nil && r.names[at] != key {
		at = (at + 1) % len(r.names)
	}
	return at
}

// Index is passed by value: its methods take its fields one by one.
type Index struct {
	rows  [][]byte
	scale float64
	base  int32
}

// Find returns where the row is, -1 if there is none. Small as it is, it would be
// inlined, and what is inlined has no entry that could be probed.
//
//go:noinline
func (x Index) Find(name []byte) int {
	for i, row := range x.rows {
		if bytes.Equal(row, name) {
			return int(x.base) + int(float64(i)*x.scale)
		}
	}
	return -1
}
