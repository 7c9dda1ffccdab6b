package main

import "sync"

// Cache is a concurrent map as libraries write them: shards of open-addressing
// tables, each behind its own lock, and no Go map anywhere.
type Cache[K comparable, V any] struct {
	shards []shard[K, V]
	hash   func(K) uint64
}

type shard[K comparable, V any] struct {
	mu    sync.RWMutex
	slots []slot[K, V]
	used  int // slots that are not empty, removed ones included
}

type slot[K comparable, V any] struct {
	key   K
	value V
	state state
}

type state uint8

const (
	empty state = iota
	full
	removed
)

const shardCount = 4

// NewCache makes an empty one.
func NewCache[K comparable, V any](hash func(K) uint64) *Cache[K, V] {
	c := &Cache[K, V]{shards: make([]shard[K, V], shardCount), hash: hash}
	for i := range c.shards {
		c.shards[i].slots = make([]slot[K, V], 8)
	}
	return c
}

// Get returns the key's value.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	hash := c.hash(key)
	s := &c.shards[hash%shardCount]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if at, found := s.find(hash, key); found {
		return s.slots[at].value, true
	}
	return value, false
}

// Put sets the key's value.
func (c *Cache[K, V]) Put(key K, value V) {
	hash := c.hash(key)
	s := &c.shards[hash%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found := s.find(hash, key)
	if !found && s.slots[at].state == empty {
		s.used++
	}
	s.slots[at] = slot[K, V]{key, value, full}
	if s.used*4 > len(s.slots)*3 {
		s.rehash(c.hash)
	}
}

// Remove forgets the key and tells whether it was there.
func (c *Cache[K, V]) Remove(key K) bool {
	hash := c.hash(key)
	s := &c.shards[hash%shardCount]
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found := s.find(hash, key)
	if found {
		s.slots[at] = slot[K, V]{state: removed}
	}
	return found
}

// Range calls each for every key until it returns false.
func (c *Cache[K, V]) Range(each func(K, V) bool) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		for _, slot := range s.slots {
			if slot.state == full && !each(slot.key, slot.value) {
				break
			}
		}
		s.mu.RUnlock()
	}
}

// find returns the key's slot, or the one in which it belongs.
func (s *shard[K, V]) find(hash uint64, key K) (int, bool) {
	free := -1
	for step := 0; ; step++ {
		at := int((hash>>8 + uint64(step)) % uint64(len(s.slots)))
		switch s.slots[at].state {
		case empty:
			if free < 0 {
				free = at
			}
			return free, false
		case removed:
			if free < 0 {
				free = at
			}
		case full:
			if s.slots[at].key == key {
				return at, true
			}
		}
	}
}

// rehash moves what is there into a table with room.
func (s *shard[K, V]) rehash(hash func(K) uint64) {
	old := s.slots
	s.slots, s.used = make([]slot[K, V], 2*len(old)), 0
	for _, from := range old {
		if from.state == full {
			at, _ := s.find(hash(from.key), from.key)
			s.slots[at] = from
			s.used++
		}
	}
}
