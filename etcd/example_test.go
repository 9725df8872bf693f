package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/windevkay/forge/genie/etcd"
)

// The examples need a cluster, so they are compiled and not run. Those that run are in
// internal/single and in example.

func Example() {
	run := func(ctx context.Context) error {
		client, err := clientv3.New(clientv3.Config{
			Endpoints:            []string{"10.0.0.1:2379", "10.0.0.2:2379", "10.0.0.3:2379"},
			DialKeepAliveTime:    10 * time.Second, // finds an endpoint that hangs
			DialKeepAliveTimeout: 3 * time.Second,
		})
		if err != nil {
			return err
		}
		defer client.Close()

		store, err := etcd.Open(ctx, client, "app/", etcd.WithFile("replica.json"))
		if err != nil {
			return err
		}
		defer store.Close()

		if err := store.Set(ctx, "greeting", "hello"); err != nil { // a quorum has it on disk, and Get here sees it
			return err
		}
		value, ok := store.Get("greeting") // from memory
		fmt.Println(value, ok)

		return store.Update(ctx, func(tx *etcd.Tx) error { // one transaction; runs again if another process was faster
			visits, _ := tx.Get("visits")
			n, _ := strconv.Atoi(visits)
			tx.Set("visits", strconv.Itoa(n+1))
			return nil
		})
	}
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func ExampleStore_Set() {
	write := func(ctx context.Context, store *etcd.Store) {
		err := store.Set(ctx, "order/17", "paid")
		switch {
		case err == nil, errors.Is(err, etcd.ErrNotVisible):
			log.Print("paid")
		case errors.Is(err, etcd.ErrUnknown):
			log.Print("perhaps paid: look after a Sync")
		default:
			log.Print("not paid: ", err)
		}
	}
	_ = write
}

// Without a write since the Sync, a Get sees what any process has written before.
func ExampleStore_Sync() {
	read := func(ctx context.Context, store *etcd.Store) (string, error) {
		if err := store.Sync(ctx); err != nil {
			return "", err
		}
		value, _ := store.Get("leader")
		return value, nil
	}
	_ = read
}

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// The code of README is that of the Example.
func TestCodeOfReadme(t *testing.T) {
	code := regexp.MustCompile("(?s)```go\n(.*?)```").FindStringSubmatch(page(t, "README.md"))
	require.NotNil(t, code)
	example := page(t, "example_test.go")
	for line := range strings.Lines(code[1]) {
		assert.Contains(t, example, strings.TrimSpace(line))
	}
}

// README names every option, error, and method.
func TestNamesOfReadme(t *testing.T) {
	readme := page(t, "README.md")
	store := reflect.TypeFor[*etcd.Store]()
	for i := range store.NumMethod() {
		assert.Contains(t, readme, "`"+store.Method(i).Name, "a method")
	}
	for _, name := range regexp.MustCompile(`(?m)^func (With\w+)|^\t(Err\w+) += `).FindAllStringSubmatch(page(t, "store.go")+page(t, "errors.go"), -1) {
		assert.Contains(t, readme, "`"+name[1]+name[2])
	}
}
