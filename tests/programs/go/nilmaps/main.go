// Reads maps that were never made, of two types in turn by the same function of the
// runtime: they share an address and nothing else.
package main

import (
	"flag"

	"programs/internal/gate"
)

const reads = 1000

// A type that nothing else has.
type name string

var (
	ints  map[name]int
	texts map[name]string
	kept  int
)

// Truth is what the program prints.
type Truth struct {
	Reads int `json:"reads"`
}

func main() {
	flag.Parse()
	gate.Open()
	for i := 0; i < reads; i++ {
		kept += ints["one"] + len(texts["two"])
	}
	gate.Close(Truth{reads})
}
