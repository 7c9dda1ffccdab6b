//go:build !go1.20

package main

// Go 1.19 has none of these; others of the same kind take their place.

func (t *table) swap(key, value any) (any, bool) { return t.store.LoadOrStore(key, value) }

func (t *table) compareAndSwap(key, _, value any) { t.store.LoadOrStore(key, value) }

func (t *table) compareAndDelete(key, _ any) { t.store.Delete(key) }
