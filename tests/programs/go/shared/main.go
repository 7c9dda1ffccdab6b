// A library for programs in other languages, which load it while they run: uses a map and
// tells what it did.
package main

import "C"

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unsafe"
)

// Truth is what the library prints.
type Truth struct {
	Maps       []MapTruth `json:"maps"`
	Mismatches int        `json:"mismatches"`
}

// MapTruth is the map's.
type MapTruth struct {
	Address string     `json:"address"`
	Type    string     `json:"type"`
	Keys    []KeyTruth `json:"keys"`
}

// KeyTruth is one key's.
type KeyTruth struct {
	Key    string `json:"key"`
	Lookup int    `json:"lookup"`
	Insert int    `json:"insert"`
}

// Use does so many operations of each kind on each of ten keys.
//
//export Use
func Use(rounds C.int) {
	m := make(map[string]int)
	of := MapTruth{Address: fmt.Sprintf("0x%x", *(*uintptr)(unsafe.Pointer(&m))), Type: fmt.Sprintf("%T", m)}
	truth := Truth{}
	for i := 0; i < 10; i++ {
		key := fmt.Sprintf("shared:%d", i)
		ops := KeyTruth{Key: strconv.Quote(key)}
		for n := 0; n < int(rounds); n++ {
			m[key] = n
			ops.Insert++
			if m[key] != n {
				truth.Mismatches++
			}
			ops.Lookup++
		}
		of.Keys = append(of.Keys, ops)
	}
	truth.Maps = []MapTruth{of}
	line, err := json.Marshal(truth)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func main() {}
