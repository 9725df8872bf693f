package measure

import (
	"fmt"

	"github.com/windevkay/forge/genie/bench/peer"
)

// The tables of rates.
const (
	ReadTable      = "single reads per second"
	WriteTable     = "single writes per second"
	MixedTable     = "95 % reads and 5 % writes, per second"
	BulkTable      = "bulk reads of 1 000 entries, entries per second"
	IncrementTable = "atomic increments per second"
)

var (
	singleCallers = []int{1, 8, 64, 512}
	fewCallers    = []int{1, 8, 64} // with a bulk read each; 512 would say no more
)

const bulkSize = 1000

// A workload is an operation on a populated store, or nil where the store has
// no such operation, and how many entries one call handles.
type workload func(store *peer.Store, keys []string) (op operation, entriesPerCall int)

// throughput measures a workload with each number of callers in turn.
func throughput(table string, work workload, callers []int) func(bench) (Finding, error) {
	return func(b bench) (Finding, error) {
		store, err := b.system.Open(b.home)
		if err != nil {
			return Finding{}, err
		}
		store.Populate(Pairs(b.Entries, Old))
		op, perCall := work(store, keys(b.Entries))
		if op == nil {
			return Finding{}, store.Close()
		}
		return Finding{Samples: b.rates(table, store, op, perCall, callers)}, store.Close()
	}
}

func (b bench) rates(table string, store *peer.Store, op operation, perCall int, callers []int) []Sample {
	var samples []Sample
	for _, n := range callers {
		const warmUp = 5 // as a fraction of the window
		rate(n, b.Window/warmUp, op, store.AwaitWrites)
		samples = append(samples, Sample{
			Table:  table,
			Column: ForCallers(n),
			Unit:   PerSecond,
			Value:  rate(n, b.Window, op, store.AwaitWrites) * float64(perCall),
		})
	}
	return samples
}

// ForCallers is the column of a rate measured with n callers.
func ForCallers(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", n)
}

// keys returns those the callers use: all, or as many as fit well beside a large
// store.
func keys(entries int) []string {
	const most = 1 << 20
	list := make([]string, min(entries, most))
	for i := range list {
		list[i] = Key(i)
	}
	return list
}

// values returns enough values that neighbouring writes differ.
func values() []string {
	list := make([]string, 1024)
	for i := range list {
		list[i] = Value(i, New)
	}
	return list
}

func readOp(store *peer.Store, keys []string) (operation, int) {
	return func(turn int) { store.Get(keys[turn%len(keys)]) }, 1
}

func writeOp(store *peer.Store, keys []string) (operation, int) {
	values := values()
	return func(turn int) { store.Set(keys[turn%len(keys)], values[turn%len(values)]) }, 1
}

func mixedOp(store *peer.Store, keys []string) (operation, int) {
	const oneWriteIn = 20
	read, _ := readOp(store, keys)
	write, _ := writeOp(store, keys)
	return func(turn int) {
		if turn%oneWriteIn == 0 {
			write(turn)
			return
		}
		read(turn)
	}, 1
}

// bulkOp reads a run of keys, which lie scattered in every store, and takes the
// values out as a user would.
func bulkOp(store *peer.Store, keys []string) (operation, int) {
	if store.ReadMany == nil {
		return nil, 0
	}
	size := min(bulkSize, len(keys))
	return func(turn int) {
		from := turn * size % (len(keys) - size + 1)
		store.ReadMany(keys[from:from+size], make([]string, size))
	}, size
}

// incrementOp counts on few enough keys that callers meet.
func incrementOp(store *peer.Store, _ []string) (operation, int) {
	if store.Increment == nil {
		return nil, 0
	}
	counters := make([]string, 1024)
	for i := range counters {
		counters[i] = fmt.Sprintf("counter-%08d", i)
	}
	return func(turn int) { store.Increment(counters[turn%len(counters)]) }, 1
}
