package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unsafe"
)

// keyCount is how many distinct keys most maps have: enough to grow several times.
const keyCount = 64

// Keys that are not plain numbers or strings.
type (
	// point is as wide as a register, so that it travels in one.
	point struct{ x, y int32 }
	// order has no special-cased width and travels by address.
	order struct{ shop, year, id uint32 }
	// digest is wider than the longest key that is carried whole.
	digest [200]byte
)

// Values that are not stored or returned in place.
type (
	// wide values are stored behind a pointer (more than 128 bytes).
	wide struct {
		n    int
		rest [200]byte
	}
	// vast values are read through the runtime's "fat" functions (more than 1024 bytes).
	vast struct {
		n    int
		rest [1100]byte
	}
)

// tables makes every watched map, one for each way that the runtime takes keys.
func tables() []table {
	return []table{
		counter(numbers(func(i int) uint64 { return uint64(i) * 1_000_003 }), number[uint64]),
		counter(numbers(func(i int) int { return i - keyCount/2 }), number[int]),
		counter(numbers(func(i int) int32 { return int32(i) - keyCount/2 }), number[int32]),
		counter(numbers(func(i int) uint32 { return uint32(i) << 24 }), number[uint32]),
		counter(numbers(func(i int) int16 { return int16(i) - keyCount/2 }), number[int16]),
		counter(numbers(func(i int) uint8 { return uint8(i) * 4 }), number[uint8]),
		counter(names(), strconv.Quote),
		counter(numbers(func(i int) string { return fmt.Sprintf("tenant-%03d:%s", i, strings.Repeat("x", 20+i)) }), strconv.Quote),
		counter(numbers(func(i int) string { return fmt.Sprintf("%03d:%s", i, strings.Repeat("long ", 30)) }), strconv.Quote),
		newWatched(names(), strconv.Quote,
			func(n int) wide { return wide{n: n} }, func(v wide) int { return v.n }),
		newWatched(numbers(func(i int) uint64 { return uint64(i) }), number[uint64],
			func(n int) vast { return vast{n: n} }, func(v vast) int { return v.n }),
		counter(numbers(func(i int) *int { return &pointees[i] }), pointer),
		counter(numbers(func(i int) float64 { return float64(i) + 0.25 }), number[float64]),
		counter(numbers(func(i int) point { return point{int32(i), -int32(i)} }), fields[point]),
		counter(numbers(func(i int) order { return order{shop: uint32(i), year: 2024, id: uint32(i) << 20} }), fields[order]),
		counter(numbers(func(i int) [16]byte { return [16]byte{0: byte(i), 15: 0xff} }), memory[[16]byte]),
		counter(numbers(func(i int) digest { return digest{0: byte(i), 199: 0xee} }), memory[digest]),
	}
}

var pointees [keyCount]int

func numbers[K any](key func(int) K) []K {
	keys := make([]K, keyCount)
	for i := range keys {
		keys[i] = key(i)
	}
	return keys
}

// names are short strings, with some that are awkward to print.
func names() []string {
	names := numbers(func(i int) string { return fmt.Sprintf("user:%d", i) })
	copy(names[3:], []string{"", "a \"quoted\"\nline", "ключ", "exactly-24-bytes-of-key!", "just-25-bytes-of-a-key..!", "zero\x00inside", "zero\x00beside"})
	return names
}

func number[K any](key K) string { return fmt.Sprint(key) }

// fields shows a struct by its fields' names.
func fields[K any](key K) string { return fmt.Sprintf("%+v", key) }

// memory shows the key's bytes as one number, as they lie in memory.
func memory[K any](key K) string {
	return "0x" + hex.EncodeToString(unsafe.Slice((*byte)(unsafe.Pointer(&key)), unsafe.Sizeof(key)))
}

// pointer is how a key that is one is shown: by its type, where that is told.
func pointer(p *int) string {
	if !tellsTypes {
		return fmt.Sprintf("%p", p)
	}
	return fmt.Sprintf("*int(%p)", p)
}
