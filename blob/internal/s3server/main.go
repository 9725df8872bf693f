// Command s3server serves an S3 API from a folder, on 127.0.0.1, for the tests of
// genie's module blob. It is versitygw with the parts that the tests need. The program
// of that module also brings the clients of Azure and a test suite: 619 packages, where this
// program has 518.
//
//	s3server -folder FOLDER -access KEY -secret SECRET
//
// It prints `address=127.0.0.1:PORT` when it can be reached, and ends when its
// standard input is closed, so it does not outlive its parent however that ends.
// FOLDER/objects/BUCKET/KEY is the file that holds an object.
//
// Requests are signed (SigV4) with the root account, KEY and SECRET, or with the
// temporary credential that accounts.go describes.
//
// It is a module of its own, or each user of genie's module blob would have the
// dependencies of an S3 server in the list of modules.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
)

const (
	region = "us-east-1"

	// maxParts is the limit of S3 for one multipart upload.
	maxParts = 10_000
	// maxRequests is far more than the tests have in flight, so none is turned away.
	maxRequests = 1_000
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("s3server: ")
	folder := flag.String("folder", "", "folder that holds the objects")
	access := flag.String("access", "", "access key of the root account")
	secret := flag.String("secret", "", "secret key of the root account")
	flag.Parse()
	if *folder == "" || *access == "" || *secret == "" {
		log.Fatal("-folder, -access and -secret are required")
	}
	root := auth.Account{Access: *access, Secret: *secret, Role: auth.RoleAdmin}
	if err := run(*folder, root); err != nil {
		log.Fatal(err)
	}
}

func run(folder string, root auth.Account) error {
	storage, err := openStorage(folder)
	if err != nil {
		return err
	}
	defer storage.Shutdown()
	return serveUntilOrphaned(storage, root)
}

// openStorage keeps the metadata of objects in files beside them. The other choice,
// extended attributes, is missing on some of the file systems that tests run on.
func openStorage(folder string) (*posix.Posix, error) {
	objects, metadata := filepath.Join(folder, "objects"), filepath.Join(folder, "metadata")
	for _, dir := range []string{objects, metadata} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	sidecar, err := meta.NewSideCar(metadata)
	if err != nil {
		return nil, err
	}
	return posix.New(objects, sidecar, posix.PosixOpts{SideCarDir: metadata})
}

// serveUntilOrphaned tries several ports. The server takes no listener and does not
// tell its address, so a port is chosen beforehand, and another process can be quicker.
func serveUntilOrphaned(storage *posix.Posix, root auth.Account) error {
	const attempts = 10
	orphaned := make(chan struct{})
	go func() {
		defer close(orphaned)
		io.Copy(io.Discard, os.Stdin)
	}()
	var failures []error
	for range attempts {
		reached, err := serveOnce(storage, root, orphaned)
		if reached {
			return err
		}
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// serveOnce reports whether the server could be reached, which ends the search for a
// port, and returns the error that ended it. It returns a nil error after an orderly end.
func serveOnce(storage *posix.Posix, root auth.Account, orphaned <-chan struct{}) (reached bool, err error) {
	address, err := freeAddress()
	if err != nil {
		return false, err
	}
	server, err := newServer(storage, root, func() {
		reached = true
		fmt.Printf("address=%s\n", address)
	})
	if err != nil {
		return false, err
	}
	failed := make(chan error, 1) // has room, so the goroutine ends after the orderly end, too
	go func() { failed <- server.ServeMultiPort([]string{address}) }()
	select {
	case err := <-failed:
		return reached, fmt.Errorf("serve %s: %w", address, err)
	case <-orphaned:
		// Lets the requests in flight end, for ten seconds at most. It is not waited for
		// failed: a server that is shut down just before it serves goes on.
		return true, server.ShutDown()
	}
}

func newServer(storage *posix.Posix, root auth.Account, whenReached func()) (*s3api.S3ApiServer, error) {
	return s3api.New(storage,
		middlewares.RootUserConfig{Access: root.Access, Secret: root.Secret}, region, newAccounts(root),
		nil, nil, nil, nil, // logs, events and metrics
		s3api.WithQuiet(),
		s3api.WithKeepAlive(),
		s3api.WithMpMaxParts(maxParts),
		s3api.WithConcurrencyLimiter(maxRequests, maxRequests),
		s3api.WithOnListen(whenReached),
	)
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
