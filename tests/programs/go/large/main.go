// A large binary that does little: how long it takes to find one's way in it.
package main

import (
	"archive/zip"
	"crypto/tls"
	"database/sql"
	"debug/dwarf"
	"debug/elf"
	"encoding/gob"
	"encoding/xml"
	"flag"
	"go/parser"
	"go/types"
	"html/template"
	"image/png"
	"math/big"
	"net/http"
	"net/http/httputil"
	"net/rpc"
	"os"
	"reflect"
	"regexp"
	"testing"
	"time"

	"programs/internal/gate"
)

var span = flag.Duration("span", 10*time.Minute, "for how long")

// Truth is what the program prints.
type Truth struct {
	Ops uint64 `json:"ops"`
}

// anchors keep whole packages in the binary: a method looked up by a name the
// linker cannot know keeps every exported method of every reachable type.
var anchors = []any{
	&zip.Reader{}, &tls.Config{}, &sql.DB{}, &dwarf.Data{}, &elf.File{}, &gob.Encoder{}, &xml.Decoder{},
	parser.ParseFile, &types.Package{}, &template.Template{}, &png.Encoder{}, &big.Float{},
	&http.Server{}, &http.Client{}, &httputil.ReverseProxy{}, &rpc.Server{}, &regexp.Regexp{}, &testing.T{},
}

func main() {
	flag.Parse()
	gate.Open()
	for _, anchor := range anchors {
		reflect.ValueOf(anchor).MethodByName(os.Getenv("NO_SUCH_METHOD"))
	}
	m := map[int]int{}
	var ops uint64
	for end := time.Now().Add(*span); time.Now().Before(end); ops++ {
		m[int(ops%100)]++
		time.Sleep(time.Millisecond)
	}
	gate.Close(Truth{Ops: ops})
}
