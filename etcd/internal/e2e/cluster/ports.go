package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken from below the ranges in which systems choose the ports of outgoing
// connections, from 32768 on Linux and from 49152 elsewhere. A port of those ranges might be
// in use when a member that was killed starts again.
const (
	firstPort = 20000
	lastPort  = 32000
)

// freePorts returns n different ports of the loopback on which no process listens now.
func freePorts(n int) (ports []int, err error) {
	for tries := 100 * n; len(ports) < n && tries > 0; tries-- {
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer l.Close() // once all are found, or a port might be found twice
		ports = append(ports, port)
	}
	if len(ports) < n {
		return nil, errors.New("too few free ports")
	}
	return ports, nil
}
