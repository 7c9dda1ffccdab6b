//go:build go1.20

package main

func (t *table) swap(key, value any) (any, bool) {
	if m, ok := t.store.(comparing); ok {
		return m.Swap(key, value)
	}
	return t.m.Swap(key, value)
}

func (t *table) compareAndSwap(key, old, value any) {
	if m, ok := t.store.(comparing); ok {
		m.CompareAndSwap(key, old, value)
		return
	}
	t.m.CompareAndSwap(key, old, value)
}

func (t *table) compareAndDelete(key, old any) {
	if m, ok := t.store.(comparing); ok {
		m.CompareAndDelete(key, old)
		return
	}
	t.m.CompareAndDelete(key, old)
}

// comparing is what sync.Map has had since Go 1.20.
type comparing interface {
	Swap(key, value any) (any, bool)
	CompareAndSwap(key, old, value any) bool
	CompareAndDelete(key, old any) bool
}
