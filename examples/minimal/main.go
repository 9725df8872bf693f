// Command minimal counts how often it has run: the lines that every program with a
// store needs.
//
//	go run ./examples/minimal
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/windevkay/forge/genie"
)

func main() {
	if err := run("minimal.json"); err != nil {
		log.Fatal(err)
	}
}

func run(path string) (err error) {
	store, err := genie.NewStore(genie.WithPath(path))
	if err != nil {
		return err // the file is in use, is damaged, or its folder cannot be written
	}
	defer func() { err = errors.Join(err, store.Close()) }() // the last backup
	store.StartAutoBackup(time.Minute)                       // the others
	value, _ := store.Get("runs")
	runs, _ := strconv.Atoi(value)
	store.Set("runs", strconv.Itoa(runs+1))
	_, err = fmt.Fprintf(os.Stdout, "run %d\n", runs+1)
	return err
}
