// Command index keeps an ordered index of a store, for scans by prefix and by range.
//
//	cd examples/index && go run .
//
// A genie.Store has no key order. Where a program needs one, an index follows the store
// by Watch: index.go. It is a module of its own, so that the B-tree stays out of the
// library's dependencies.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync"

	"github.com/windevkay/forge/genie"
)

func main() {
	folder, err := os.MkdirTemp("", "genie-index-")
	if err == nil {
		err = errors.Join(run(filepath.Join(folder, "cities.json"), os.Stdout), os.RemoveAll(folder))
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(path string, out io.Writer) error {
	store, err := genie.NewStore(genie.WithPath(path))
	if err != nil {
		return err
	}
	for city, country := range map[string]string{"Bergen": "no", "Oslo": "no", "Bern": "ch", "Graz": "at", "Linz": "at"} {
		store.Set(country+"/"+city, "")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	cities := newIndex()
	background.Go(func() { cities.follow(ctx, store) })
	<-cities.ready
	fmt.Fprintln(out, "in Austria:")
	for key := range cities.withPrefix("at/") {
		fmt.Fprintln(out, " ", key)
	}
	fmt.Fprintln(out, "from b to n:")
	for key := range cities.between("b", "n") {
		fmt.Fprintln(out, " ", key)
	}
	cancel()
	background.Wait()
	return store.Close()
}
