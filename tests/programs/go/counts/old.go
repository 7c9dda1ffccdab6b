//go:build !go1.21

package main

// What the language has of its own since Go 1.21.

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

// clear removes all keys. The compiler turns the loop into a call of
// runtime.mapclear, but neither where it is inlined nor where keys may differ from
// themselves, as NaN does.
//
//go:noinline
func clear[K comparable, V any](m map[K]V) {
	for key := range m {
		delete(m, key)
	}
}

// isOneCall is whether clear of such a map is one operation.
func isOneCall[K comparable, V any](m map[K]V) bool {
	_, isFloat := any(m).(map[float64]V)
	return !isFloat
}

// tellsTypes is whether generic code passes the runtime a map's own type rather than
// the shape that it was compiled for, map[go.shape.string_0]go.shape.int_1.
const tellsTypes = false
