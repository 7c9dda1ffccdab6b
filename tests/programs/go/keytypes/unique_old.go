//go:build !go1.24

package main

// newer is types that this version does not have.
func newer() []table { return nil }
