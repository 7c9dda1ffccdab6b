package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Table is a map of the program's own, which looks at no key. Its functions take the
// words of strings and interfaces: the garbage collector would not have such strings.
type Table struct{ used int }

// Text is to be probed as `Text(key string)`.
//
//go:noinline
func (t *Table) Text(pointer, length uintptr) { t.used++ }

// Any is to be probed as `Any(key any)`.
//
//go:noinline
func (t *Table) Any(itsType, data uintptr) { t.used++ }

var texts, anys Table

// Addresses at which there is nothing: beyond what is mapped, too low, in the kernel's
// half, in no half, and at the end.
var nowhere = []uintptr{0x20000, 1, 0xffff888000000000, 0x1234567890abcdef, ^uintptr(0)}

const gigabytes = 1 << 31

// unit is what the constant consists of, which lies in the program's file: no page
// of it is touched before its keys are looked up.
const (
	unit     = "constant 0123456789abcdef-0123456789ABCDEF-0123456789abcdef-end."
	kilobyte = unit + unit + unit + unit + unit + unit + unit + unit + unit + unit + unit + unit + unit + unit + unit + unit
	chunk    = kilobyte + kilobyte + kilobyte + kilobyte + kilobyte + kilobyte + kilobyte + kilobyte
	window   = chunk + chunk + chunk + chunk + chunk + chunk + chunk + chunk // as much as the kernel maps at once
	constant = window + window + window + window + window + window + window + window +
		window + window + window + window + window + window + window + window
)

// untouched is a part of the constant, in a window of its own.
func untouched(index, length int) string {
	at := (index + 1) * len(window)
	return constant[at : at+length]
}

func pages(bytes, protection int) []byte {
	memory, err := syscall.Mmap(-1, 0, bytes, protection, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		panic(err)
	}
	return memory
}

func address(bytes []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(bytes))) }

func text(bytes []byte) string { return unsafe.String(unsafe.SliceData(bytes), len(bytes)) }

// words are an interface's.
func words(value any) (itsType, data uintptr) {
	words := (*[2]uintptr)(unsafe.Pointer(&value))
	return words[0], words[1]
}

var (
	page   = syscall.Getpagesize()
	closed = pages(page, syscall.PROT_NONE)
	word   = "a word"
	junk   = []byte(strings.Repeat("\x00", 255) + "!") // a page of the heap is not there before it is written to
)

// badKeys are those that cannot be read, and others beside them that can.
var badKeys = []func() *MapTruth{lyingStrings, lyingInterfaces, constants, constantStructs, constantInterfaces,
	neverTouched, reused, gone, long, huge, wide, uncomparable}

func lyingStrings() *MapTruth {
	t := table("lying strings", fmt.Sprintf("%p", &texts))
	open := pages(2*page, syscall.PROT_READ|syscall.PROT_WRITE)
	if err := syscall.Mprotect(open[page:], syscall.PROT_NONE); err != nil {
		panic(err)
	}
	copy(open, strings.Repeat("mapped ", 100))
	copy(open[page-3:], "end")
	for n := 0; n < *rounds; n++ {
		for _, pointer := range append(nowhere, address(closed)) {
			texts.Text(pointer, 0)
			texts.Text(pointer, 5)
			texts.Text(pointer, 1<<40)
			texts.Text(pointer, ^uintptr(0))
			t.key(`""`, 1)
			t.Memory += 3
		}
		texts.Text(address(open), 6)
		t.key(`"mapped"`, 1)
		texts.Text(address(open), 1<<40)
		texts.Text(address(open), ^uintptr(0))
		t.key(strconv.Quote(strings.Repeat("mapped ", 19)[:128])+"…", 2)
		texts.Text(address(open)+uintptr(page)-3, 3)
		t.key(`"end"`, 1)
		texts.Text(address(open)+uintptr(page)-3, 5)
		t.Memory++
	}
	return t
}

func lyingInterfaces() *MapTruth {
	t := table("lying interfaces", fmt.Sprintf("%p", &anys))
	stringType, wordAt := words(word)
	intType, _ := words(1 << 40)
	pointerType, _ := words(&found)
	structType, _ := words(Tenant{})
	for n := 0; n < *rounds; n++ {
		for _, lie := range append(nowhere, address(closed)) {
			anys.Any(lie, wordAt)
			t.Type++
			anys.Any(stringType, lie)
			anys.Any(intType, lie)
			anys.Any(structType, lie)
			t.Memory += 3
			for _, length := range []uintptr{5, 1 << 40, ^uintptr(0)} {
				header := [3]uintptr{lie, length, 7}
				anys.Any(stringType, uintptr(unsafe.Pointer(&header)))
				anys.Any(structType, uintptr(unsafe.Pointer(&header)))
				t.Memory += 2
			}
		}
		anys.Any(stringType, wordAt)
		t.key(`"a word"`, 1)
		anys.Any(pointerType, 1)
		t.key("*int(0x1)", 1)
		anys.Any(0, 1)
		t.key("nil", 1)
		anys.Any(address(junk), address(junk))
		t.Others++
	}
	return t
}

func constants() *MapTruth {
	m := map[string]int{"": 1}
	t := watch("constants", m)
	for i := 0; i < 5; i++ {
		try(t, m, untouched(i, 16+i), strconv.Quote(unit[:16+i]))
	}
	return t
}

func constantStructs() *MapTruth {
	m := map[Tenant]int{{}: 1}
	t := watch("structs with constants", m)
	for i := 5; i < 10; i++ {
		try(t, m, Tenant{untouched(i, 16+i), i}, fmt.Sprintf("{Region:%q ID:%d}", unit[:16+i], i))
	}
	return t
}

func constantInterfaces() *MapTruth {
	m := map[any]int{1: 1}
	t := watch("constants in interfaces", m)
	for i := 10; i < 15; i++ {
		try[any](t, m, untouched(i, 16+i), strconv.Quote(unit[:16+i]))
	}
	return t
}

// neverTouched memory could be anything by the time that it can be read.
func neverTouched() *MapTruth {
	m := map[string]int{}
	t := watch("never touched", m)
	memory := pages(page, syscall.PROT_READ|syscall.PROT_WRITE)
	found += m[text(memory[:7])]
	t.Memory++
	copy(memory, "touched")
	try(t, m, text(memory[:7]), `"touched"`)
	return t
}

// reused memory holds another key right after.
func reused() *MapTruth {
	m := map[string]int{}
	t := watch("reused", m)
	buffer := make([]byte, 8)
	for n := 0; n < 10**rounds; n++ {
		name := fmt.Sprintf("key:%04d", n%10)
		copy(buffer, name)
		found += m[text(buffer)]
		copy(buffer, "garbage!")
		t.key(strconv.Quote(name), 1)
	}
	return t
}

// gone is memory that is given back right after, or cannot be read any more.
func gone() *MapTruth {
	m := map[string]int{}
	t := watch("gone", m)
	for n := 0; n < *rounds; n++ {
		memory := pages(page, syscall.PROT_READ|syscall.PROT_WRITE)
		copy(memory, "page 0")
		memory[5] += byte(n % 3)
		name := strconv.Quote(string(memory[:6]))
		found += m[text(memory[:6])]
		t.key(name, 1)
		if n%2 == 0 {
			syscall.Munmap(memory)
		} else {
			syscall.Mprotect(memory, syscall.PROT_NONE)
		}
	}
	return t
}

// long is a string of gigabytes, of which the first page is there.
func long() *MapTruth {
	m := map[string]int{}
	t := watch("gigabytes", m)
	memory := pages(gigabytes, syscall.PROT_READ)
	syscall.Mprotect(memory[:page], syscall.PROT_READ|syscall.PROT_WRITE)
	copy(memory, strings.Repeat("gigabytes ", 20))
	try(t, m, text(memory), strconv.Quote(string(memory[:128]))+"…")
	return t
}

var arrays [2][1 << 20]byte

func huge() *MapTruth {
	m := map[[1 << 20]byte]int{}
	t := watch("a megabyte", m)
	arrays[0][3], arrays[1][3] = 7, 8
	arrays[1][1000] = 9
	for i := range arrays {
		for n := 0; n < *rounds; n++ {
			found += m[arrays[i]]
		}
		t.key("0x"+hex.EncodeToString(arrays[i][:128])+"…", *rounds)
	}
	return t
}

// Wide has more strings than are followed, and does not fit.
type Wide struct {
	First  [100]byte
	A      int
	Others [9]string
}

func wide() *MapTruth {
	m := map[Wide]int{}
	t := watch("more than fits", m)
	for i := 1; i < 4; i++ {
		look(m, Wide{A: i, Others: [9]string{"one", 8: "nine"}})
		t.Others += uint64(*rounds)
	}
	return t
}

// uncomparable keys make a lookup panic.
func uncomparable() *MapTruth {
	m := map[any]int{1: 1}
	t := watch("uncomparable", m)
	for n := 0; n < *rounds; n++ {
		func() {
			defer func() {
				if recover() == nil {
					panic("it has found a slice")
				}
			}()
			t.Others++
			found += m[[]int{n}]
		}()
	}
	try[any](t, m, 7, "int(7)")
	return t
}
