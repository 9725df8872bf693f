package blob_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"gocloud.dev/blob/fileblob"

	"github.com/windevkay/forge/genie"
	"github.com/windevkay/forge/genie/blob"
)

// serve is the work of the program.
func serve(ctx context.Context, store *genie.Store) {
	store.Set("greeting", "hello")
}

func Example() {
	run := func(ctx context.Context, path string, copies *blob.Copies) (err error) {
		store, err := open(ctx, path, copies)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()

		schedule, err := copies.Start(store, time.Hour)
		if err != nil {
			return err
		}
		go func() {
			for err := range schedule.Errors() {
				log.Print(err) // the next copy tries again
			}
		}()

		serve(ctx, store) // returns when ctx is done

		last, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return schedule.Stop(last) // a last copy, if anything has changed
	}

	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	bucket, err := fileblob.OpenBucket(folder, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()
	copies, err := blob.New(bucket, "app")
	if err != nil {
		log.Fatal(err)
	}

	if err := run(context.Background(), filepath.Join(folder, "first machine.json"), copies); err != nil {
		log.Fatal(err)
	}
	// The first machine is lost. Another one finds the entries in the bucket.
	store, err := open(context.Background(), filepath.Join(folder, "second machine.json"), copies)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	fmt.Println(store.Get("greeting"))
	// Output: hello true
}

// open opens the store of a program. On a machine that has no file yet, or one without entries, it begins
// with the newest copy.
func open(ctx context.Context, path string, copies *blob.Copies) (*genie.Store, error) {
	store, err := genie.NewStore(genie.WithPath(path))
	if err != nil || store.Len() > 0 {
		return store, err
	}
	// A file without entries may be the one of a start that could not restore.
	restored, err := copies.Restore(ctx, store)
	for _, damage := range restored.PassedOver {
		log.Print(damage)
	}
	if errors.Is(err, blob.ErrNoCopy) {
		return store, nil // the first start of all
	}
	if err != nil { // it is not known what the bucket has, so do not start without it
		return nil, errors.Join(err, store.Close())
	}
	if err := store.Backup(); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

func ExampleCopies_List() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	bucket, err := fileblob.OpenBucket(folder, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()
	copies, err := blob.New(bucket, "app", blob.WithKeep(2, 0))
	if err != nil {
		log.Fatal(err)
	}
	store, err := genie.NewStore(genie.WithoutFile())
	if err != nil {
		log.Fatal(err)
	}
	for n := range 4 {
		store.Set("n", fmt.Sprint(n))
		if _, err := copies.Copy(context.Background(), store); err != nil {
			log.Fatal(err)
		}
	}
	// Take the entries of the copy before the last.
	all, err := copies.List(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(all), "copies")
	if err := copies.RestoreCopy(context.Background(), store, all[len(all)-2]); err != nil {
		log.Fatal(err)
	}
	fmt.Println(store.Get("n"))
	// Output:
	// 2 copies
	// 2 true
}
