package main

// Where cgo is on, the C compiler's linker puts the program together.

// static int one(void) { return 1; }
import "C"

func init() {
	if C.one() != 1 {
		panic("C does not work")
	}
}
