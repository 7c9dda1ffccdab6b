//go:build !go1.23

package main

// hasClear is whether there is sync.Map.Clear.
const hasClear = false

func (t *table) clear() { panic("there is no Clear") }
