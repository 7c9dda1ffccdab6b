package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

type (
	// ID and Name are named types of simple kinds.
	ID   int
	Name string
	Flag bool
	UUID [16]byte

	Point struct{ X, Y int32 }
	// Padded has seven bytes between its fields that mean nothing.
	Padded struct {
		A int8
		B int64
	}
	// Blank has a field that comparisons leave out.
	Blank struct {
		A int32
		_ int32
		B int32
	}
	Tenant struct {
		Region string
		ID     int
	}
	// Outer nests and embeds.
	Outer struct {
		Tenant
		Path  [2]string
		Inner struct {
			Small [3]int16
			Ok    bool
		}
	}
	// Tagged holds anything behind a string.
	Tagged struct {
		Kind  string
		Value any
		After string
	}
	Named struct {
		N     fmt.Stringer
		Count uint8
	}
	// Leaf is what it points to, in an interface.
	Leaf struct{ P *int }
	// Wide is larger than what is carried.
	Wide struct {
		Text  [120]byte
		Name  string
		Count int
	}
	Many                  struct{ A, B, C, D, E, F, G, H string }
	Pair[A, B comparable] struct {
		First  A
		Second B
	}
	Nothing struct{}
)

func (n Name) String() string   { return string(n) }
func (i ID) String() string     { return strconv.Itoa(int(i)) }
func (p *Point) String() string { return "a point" }

var (
	numbers  [4]int
	number   = &numbers[0]
	points   [2]Point
	channel  = make(chan int)
	sender   = make(chan<- Name, 1)
	problem  = errors.New("a problem")
	long     = strings.Repeat("long ", 40)
	q        = strconv.Quote
	nan      = math.NaN()
	negative = math.Copysign(0, -1)
)

// k is a key with a text of its own; s, plain and at are keys whose text Go makes.
func k[K comparable](value K, text string) key[K] { return key[K]{value, text} }

func s[K ~string](value K) key[K] { return k(value, q(string(value))) }

func plain[K comparable](value K) key[K] { return k(value, fmt.Sprintf("%+v", value)) }

func at[K comparable](value K) key[K] { return k(value, fmt.Sprintf("%T(%p)", value, value)) }

// tables makes a map for every sort of key.
func tables() []table {
	return append([]table{
		watch(plain(true), plain(false)),
		watch(plain(Flag(true)), plain(Flag(false))),
		watch(plain(int8(-7)), plain(int8(0)), plain(int8(127))),
		watch(plain(int16(-7)), plain(int16(300))),
		watch(plain(int32(-7)), plain(int32(1<<30))),
		watch(plain(-7), plain(math.MinInt64), plain(math.MaxInt64)),
		watch(plain(uint8(255)), plain(uint8(0))),
		watch(plain(uint16(65535)), plain(uint16(1))),
		watch(plain(uint32(1<<31)), plain(uint32(1))),
		watch(plain(uint64(math.MaxUint64)), plain(uint64(1))),
		watch(k(uintptr(0x1f), "0x1f")),
		watch(plain(ID(-3)), k(ID(3), "3")),
		watch(k(time.Second, "1s")),
		watch(plain(float32(3.5)), plain(float32(0.1)), plain(float32(1e-7))),
		watch(plain(3.5), plain(0.1), k(1e20, "100000000000000000000"), plain(1e21), plain(1e300), plain(-2.5e-5), plain(0.0001), plain(nan), plain(math.Inf(1)), plain(math.Inf(-1)), plain(negative)),
		watch(plain(complex64(complex(1, -2))), plain(complex64(complex(0, 0.5)))),
		watch(plain(complex(1.5, 2)), plain(complex(math.Inf(-1), math.Inf(1)))),

		watch(s(""), s("user:42"), s("a \"quoted\"\nline"), s("ключ"), s("exactly-24-bytes-of-key!")),
		watch(s(Name("named")), s(Name(""))),
		watch(k(long, q(long[:128])+"…")),

		watch(at(number), at(&numbers[1]), k((*int)(nil), "*int(nil)")),
		watch(at(&points[0]), at(&points[1])),
		watch(k(unsafe.Pointer(number), fmt.Sprintf("unsafe.Pointer(%p)", number))),
		watch(at(channel)),
		watch(at(sender)),

		watch(plain([3]int{1, -2, 3}), plain([3]int{})),
		watch(plain([4]byte{10, 0, 0, 1})),
		watch(k([16]byte{0: 0xab, 15: 1}, "0xab000000000000000000000000000001")),
		watch(k(UUID{7: 0xcd}, "0x00000000000000cd0000000000000000")),
		watch(k([2]string{"a", "b c"}, `["a" "b c"]`), k([2]string{}, `["" ""]`)),
		watch(plain([2]Point{{1, 2}, {3, 4}})),
		watch(k([0]int{}, "[]")),

		watch(plain(Point{1, -2}), plain(Point{-3, 4})),
		watch(plain(Padded{1, 2}), plain(Padded{-1, -2})),
		watch(k(Blank{A: 1, B: 2}, "{A:1 B:2}")),
		watch(k(Tenant{"eu", 7}, `{Region:"eu" ID:7}`), k(Tenant{"", 0}, `{Region:"" ID:0}`), k(Tenant{"eu", 8}, `{Region:"eu" ID:8}`)),
		watch(k(Tenant{long, 7}, fmt.Sprintf(`{Region:%s}…`, q(long[:128-24])))),
		watch(outer("us", "in", "out", true), outer("", "", "", false)),
		watch(k(struct {
			A int `json:"a"`
			B string
		}{1, "x"}, `{A:1 B:"x"}`)),
		watch(k(Pair[string, int]{"one", 1}, `{First:"one" Second:1}`)),
		watch(plain(struct{}{})),
		watch(k(Leaf{number}, fmt.Sprintf("{P:*int(%p)}", number))),

		watch(anything()...),
		watch(stringers()...),
		watch(k(problem, fmt.Sprintf("%T(%p)", problem, problem)), k(error(nil), "nil")),
		watch(tagged()...),
		watch(k(Named{Name("n"), 1}, `{N:main.Name("n") Count:1}`), k(Named{ID(5), 2}, "{N:main.ID(5) Count:2}"),
			k(Named{&points[0], 3}, fmt.Sprintf("{N:*main.Point(%p) Count:3}", &points[0])), k(Named{nil, 4}, "{N:nil Count:4}")),
		watch(k([2]any{"x", 7}, `["x" int(7)]`), k([2]any{nil, Name("y")}, `[nil main.Name("y")]`)),

		watch(k(Wide{Text: [120]byte{1: 0xff}, Name: "never carried"}, "{Text:0x00ff"+strings.Repeat("00", 118)+" Name:}…")),
		watch(k(Many{"a", "b", "c", "d", "e", "f", "g", "h"}, `{A:""}…`)),
	}, known()...)
}

func outer(region, from, to string, ok bool) key[Outer] {
	value := Outer{Tenant: Tenant{region, 7}, Path: [2]string{from, to}}
	value.Inner.Small[1] = -5
	value.Inner.Ok = ok
	return k(value, fmt.Sprintf("{Tenant:{Region:%q ID:7} Path:[%q %q] Inner:{Small:[0 -5 0] Ok:%v}}", region, from, to, ok))
}

// anything is what an empty interface may hold.
func anything() []key[any] {
	return []key[any]{
		k[any](nil, "nil"),
		k[any]("abc", `"abc"`),
		k[any]("", `""`),
		k[any](long, q(long[:120])+"…"),
		k[any](Name("abc"), `main.Name("abc")`),
		k[any](7, "int(7)"),
		k[any](int64(7), "int64(7)"),
		k[any](ID(7), "main.ID(7)"),
		k[any](uint8(7), "uint8(7)"),
		k[any](true, "true"),
		k[any](Flag(true), "main.Flag(true)"),
		k[any](2.5, "float64(2.5)"),
		k[any](complex(1, 2), "complex128(1+2i)"),
		k[any](time.Minute, "time.Duration(1m0s)"),
		k[any](Point{1, 2}, "main.Point{X:1 Y:2}"),
		k[any](Padded{1, 2}, "main.Padded{A:1 B:2}"),
		k[any](Tenant{"eu", 7}, `main.Tenant{Region:"eu" ID:7}`),
		k[any](Pair[string, int]{"one", 1}, `main.Pair[string,int]{First:"one" Second:1}`),
		k[any](Nothing{}, "main.Nothing{}"),
		k[any]([2]int{1, 2}, "[2]int[1 2]"),
		k[any]([2]string{"a", "b"}, `[2]string["a" "b"]`),
		k[any](UUID{1}, "main.UUID0x01000000000000000000000000000000"),
		k[any](number, fmt.Sprintf("*int(%p)", number)),
		k[any](&points[1], fmt.Sprintf("*main.Point(%p)", &points[1])),
		k[any](channel, fmt.Sprintf("chan int(%p)", channel)),
		k[any](Leaf{number}, fmt.Sprintf("main.Leaf{P:*int(%p)}", number)),
		k[any](Tagged{"int", 7, "!"}, `main.Tagged{Kind:"int" Value:int(7) After:"!"}`),
	}
}

func stringers() []key[fmt.Stringer] {
	return []key[fmt.Stringer]{
		k[fmt.Stringer](nil, "nil"),
		k[fmt.Stringer](Name("n"), `main.Name("n")`),
		k[fmt.Stringer](ID(5), "main.ID(5)"),
		k[fmt.Stringer](&points[0], fmt.Sprintf("*main.Point(%p)", &points[0])),
	}
}

// tagged is interfaces within structs, with something behind them.
func tagged() []key[Tagged] {
	return []key[Tagged]{
		k(Tagged{"nil", nil, "!"}, `{Kind:"nil" Value:nil After:"!"}`),
		k(Tagged{"string", "x y", "!"}, `{Kind:"string" Value:"x y" After:"!"}`),
		k(Tagged{"int", 7, "!"}, `{Kind:"int" Value:int(7) After:"!"}`),
		k(Tagged{"id", ID(7), "!"}, `{Kind:"id" Value:main.ID(7) After:"!"}`),
		k(Tagged{"point", Point{1, 2}, "!"}, `{Kind:"point" Value:main.Point{X:1 Y:2} After:"!"}`),
		k(Tagged{"pointer", number, "!"}, fmt.Sprintf(`{Kind:"pointer" Value:*int(%p) After:"!"}`, number)),
		k(Tagged{"leaf", Leaf{number}, "!"}, fmt.Sprintf(`{Kind:"leaf" Value:main.Leaf{P:*int(%p)} After:"!"}`, number)),
		k(Tagged{"nothing", Nothing{}, "!"}, `{Kind:"nothing" Value:main.Nothing{} After:"!"}`),
	}
}
