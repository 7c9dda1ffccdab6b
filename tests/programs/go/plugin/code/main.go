// A plugin: its code calls the copies of the runtime's map functions that it brings.
package main

import (
	"fmt"
	"strconv"
	"unsafe"
)

// name is a type that only the plugin has.
type name string

// Truth is what the program prints.
type Truth struct {
	Maps       []MapTruth `json:"maps"`
	Mismatches int        `json:"mismatches"`
}

// MapTruth is one map's.
type MapTruth struct {
	Address string     `json:"address"`
	Type    string     `json:"type"`
	Clear   int        `json:"clear"`
	Iterate int        `json:"iterate"`
	Keys    []KeyTruth `json:"keys"`
}

// KeyTruth is one key's.
type KeyTruth struct {
	Key    string `json:"key"`
	Lookup int    `json:"lookup"`
	Insert int    `json:"insert"`
	Delete int    `json:"delete"`
}

// Use uses maps so many times, one of them the program's, to which it has done
// so many inserts of "host" itself.
func Use(shared map[string]int, inserts, rounds int) any {
	truth := Truth{}
	both := MapTruth{Address: address(shared), Type: fmt.Sprintf("%T", shared)}
	both.Keys = []KeyTruth{{Key: strconv.Quote("host"), Insert: inserts}, {Key: strconv.Quote("plugin")}}
	for n := 0; n < rounds; n++ {
		shared["plugin"] = n
		both.Keys[1].Insert++
		if shared["host"] != inserts {
			truth.Mismatches++
		}
		both.Keys[0].Lookup++
	}

	named := make(map[name]int)
	names := MapTruth{Address: address(named), Type: fmt.Sprintf("%T", named)}
	for i := 0; i < 20; i++ {
		key := name(fmt.Sprintf("name-%d", i))
		for n := 0; n < rounds; n++ {
			named[key] = n
		}
		delete(named, key)
		names.Keys = append(names.Keys, KeyTruth{Key: strconv.Quote(string(key)), Insert: rounds, Delete: 1})
	}

	numbered := make(map[int32]uint64)
	numbers := MapTruth{Address: address(numbered), Type: fmt.Sprintf("%T", numbered)}
	for i := int32(-5); i < 5; i++ {
		numbered[i] = 1
		if _, ok := numbered[i]; !ok {
			truth.Mismatches++
		}
		numbers.Keys = append(numbers.Keys, KeyTruth{Key: fmt.Sprint(i), Insert: 1, Lookup: 1})
	}
	for range numbered {
	}
	numbers.Iterate++

	truth.Maps = []MapTruth{both, names, numbers}
	return truth
}

func address[K comparable, V any](m map[K]V) string {
	return fmt.Sprintf("0x%x", *(*uintptr)(unsafe.Pointer(&m)))
}

func main() {}
