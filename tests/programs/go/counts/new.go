//go:build go1.21

package main

// isOneCall is whether clear of such a map is one operation.
func isOneCall[K comparable, V any](map[K]V) bool { return true }

// tellsTypes is whether generic code passes the runtime a map's own type.
const tellsTypes = true
