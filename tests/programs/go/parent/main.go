// Starts itself again, one child after another, and does nothing itself meanwhile. Each child
// is busy with a map for a while.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"time"
)

var (
	children = flag.Int("children", 2, "how many")
	span     = flag.Duration("span", 600*time.Millisecond, "how long each is busy")
	busy     = flag.Bool("busy", false, "be such a child")
)

func main() {
	flag.Parse()
	if *busy {
		work()
		return
	}
	for i := 0; i < *children; i++ {
		child := exec.Command(os.Args[0], "-busy", "-span", span.String())
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := child.Run(); err != nil {
			panic(err)
		}
	}
	fmt.Println("done")
}

func work() {
	m := make(map[string]int)
	for began := time.Now(); time.Since(began) < *span; {
		for i := 0; i < 10; i++ {
			m["child"]++
		}
	}
}
