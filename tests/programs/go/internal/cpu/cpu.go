// Package cpu tells what a program takes of the machine, whatever else runs there.
package cpu

import (
	"syscall"
	"time"
)

// Time is the CPU time of all threads of the program so far, in the kernel, too.
func Time() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
