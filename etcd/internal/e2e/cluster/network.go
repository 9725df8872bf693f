package cluster

import (
	"errors"
	"net/netip"

	"github.com/windevkay/forge/genie/etcd/internal/e2e/proxy"
)

// A network is the links between the members.
//
// All members find a member at the same address, as etcd demands. So that a link is of two members
// and not of one, each member has a gateway of its own: a proxy through which it makes every
// connection to another member. etcd takes the proxy from the environment (HTTP_PROXY). The address
// at which a member is found, by the gateways alone, is of no network: etcd makes connections to the
// loopback without a proxy, so no byte finds a way around the gateways.
type network struct {
	gateways [Size]*proxy.Gateway
	silent   [Size][Size]bool // from a member, to a member
}

// advertised returns the address at which the others find the member with a number. It is one of
// those that RFC 5737 keeps free for examples.
func advertised(number int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(number + 1)}), 2380)
}

// newNetwork starts a gateway for each member, and puts its address into the settings.
func newNetwork(all *[Size]settings) (*network, error) {
	n := &network{}
	targets := map[netip.AddrPort]string{}
	for i, s := range all {
		targets[advertised(i)] = s.Peer
	}
	for i := range all {
		var err error
		if n.gateways[i], err = proxy.NewGateway(targets); err != nil {
			return nil, errors.Join(err, n.close())
		}
		all[i].Gateway = n.gateways[i].URL()
	}
	return n, nil
}

// silence has no byte of a member reach another member.
func (n *network) silence(from, to int) {
	n.silent[from][to] = true
	n.apply()
}

func (n *network) heal() {
	n.silent = [Size][Size]bool{}
	n.apply()
}

// apply applies silent to every link. Messages go both ways on a connection, whichever member has
// made it: a stream of etcd's is made by the member that receives the messages.
func (n *network) apply() {
	for i, g := range n.gateways {
		for j := range n.gateways {
			g.Link(advertised(j)).Hold(n.silent[i][j], n.silent[j][i])
		}
	}
}

func (n *network) close() (err error) {
	for _, g := range n.gateways {
		if g != nil {
			err = errors.Join(err, g.Close())
		}
	}
	return err
}
