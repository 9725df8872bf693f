package cluster

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"

	"go.etcd.io/etcd/server/v3/embed"
)

// memberMark is the variable of the environment that makes a process a member, and that has
// its settings.
const memberMark = "GENIE_ETCD_MEMBER"

// The lines that a member writes to its output, and reads from its input.
const (
	readyLine = "ready"
	fillLine  = "fill the disk"
)

// ServeIfMember runs an etcd server, and ends the process with it, if [Start] has started
// this process. Otherwise it returns at once. A program that calls Start calls ServeIfMember
// first of all.
func ServeIfMember() {
	text := os.Getenv(memberMark)
	if text == "" {
		return
	}
	if err := serve(text); err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs a server until the input ends, which it does when the parent has ended.
func serve(text string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	go obey()
	server, err := embed.StartEtcd(s.config())
	if err != nil {
		return err
	}
	select {
	case <-server.Server.ReadyNotify():
		fmt.Println(readyLine)
		return <-server.Err()
	case err := <-server.Err():
		return err
	}
}

// obey carries out the orders of the parent.
func obey() {
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		if orders.Text() == fillLine {
			if err := fillDisk(); err != nil {
				fmt.Fprintln(os.Stderr, "member: fill the disk:", err)
			}
		}
	}
	os.Exit(0)
}

func (s settings) config() *embed.Config {
	c := embed.NewConfig()
	c.Name, c.Dir = s.Name, s.Folder
	c.ListenClientUrls, c.AdvertiseClientUrls = at(s.Client), at(s.Client)
	c.ListenPeerUrls, c.AdvertisePeerUrls = at(s.Peer), at(s.Advertised)
	c.InitialCluster = s.Peers
	c.TickMs, c.ElectionMs = uint(tick.Milliseconds()), uint(electionTimeout.Milliseconds())
	c.QuotaBackendBytes = s.Quota
	c.SnapshotCount, c.SnapshotCatchUpEntries = 1000, 500
	c.EnableGRPCGateway = false
	c.LogLevel, c.LogOutputs = "warn", []string{"stderr"}
	return c
}

func at(address string) []url.URL { return []url.URL{{Scheme: "http", Host: address}} }
