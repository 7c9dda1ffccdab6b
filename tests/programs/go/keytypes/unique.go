//go:build go1.24

package main

import (
	"fmt"
	"strings"
	"unique"
	"weak"
)

// held keeps what is pointed to weakly, which must lie on the heap.
var held *Point

// newer is types that came with Go 1.23 and 1.24.
func newer() []table {
	held = new(Point)
	return []table{
		watch(
			k(unique.Make("hot"), `"hot"`),
			k(unique.Make(strings.Repeat("h", 2)+"ot"), `"hhot"`),
		),
		watch(k(unique.Make(Tenant{"eu", 7}), `{Region:"eu" ID:7}`)),
		watch(k(Pair[unique.Handle[string], int]{unique.Make("hot"), 1}, `{First:"hot" Second:1}`)),
		watch(k(weak.Make(held), fmt.Sprintf("*main.Point(%p)", held))),
		watch(k[any](unique.Make("hot"), `unique.Handle[string]("hot")`)),
	}
}
