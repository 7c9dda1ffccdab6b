//go:build go1.23

package main

const hasClear = true

func (t *table) clear() {
	if m, ok := t.store.(interface{ Clear() }); ok {
		m.Clear()
		return
	}
	t.m.Clear()
}
