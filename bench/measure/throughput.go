package measure

import (
	"fmt"
	"runtime"

	"github.com/windevkay/forge/genie/bench/peer"
)

// The tables of rates.
const (
	ReadTable           = "single reads per second"
	WriteTable          = "single writes per second"
	MixedTable          = "95 % reads and 5 % writes, per second"
	BulkTable           = "bulk reads of 1 000 entries, entries per second"
	IncrementTable      = "atomic increments per second"
	ReadComputingTable  = "single reads per second beside computing goroutines"
	WriteComputingTable = "single writes per second beside computing goroutines"
)

// RateTables lists the tables of rates in the order of the tasks.
func RateTables() []string {
	return []string{
		ReadTable, WriteTable, MixedTable, BulkTable, IncrementTable,
		ReadComputingTable, WriteComputingTable,
	}
}

var (
	singleCallers = []int{1, 8, 64, 512}
	fewCallers    = []int{1, 8, 64} // for bulk reads, where 512 would say no more
)

const bulkSize = 1000

// A workload returns an operation on a populated store and the number of entries
// in one call. The operation is nil if the store has none of the kind.
type workload func(store *peer.Store, keys []string) (op Operation, entriesPerCall int)

func oneEntry(op func(*peer.Store, []string) Operation) workload {
	return func(store *peer.Store, keys []string) (Operation, int) { return op(store, keys), 1 }
}

// throughput measures a workload with each number of callers in turn.
func throughput(table string, work workload, callers []int) func(bench) (Finding, error) {
	return func(b bench) (Finding, error) {
		store, err := b.open()
		if err != nil {
			return Finding{}, err
		}
		return Finding{Samples: b.rates(table, store, work, callers)}, store.Close()
	}
}

// besideComputing measures single reads and writes while two goroutines per
// processor compute. Each rate takes twice the usual window: the scheduler hands
// out shares of 10 ms and more here, and a rate over few shares is mostly chance.
func besideComputing(b bench) (Finding, error) {
	const perProcessor = 2
	store, err := b.open()
	if err != nil {
		return Finding{}, err
	}
	b.Window *= ComputingWindows
	computing := Compute(perProcessor * runtime.GOMAXPROCS(0))
	defer computing.Stop()
	samples := b.rates(ReadComputingTable, store, oneEntry(ReadOp), singleCallers)
	samples = append(samples, b.rates(WriteComputingTable, store, oneEntry(WriteOp), singleCallers)...)
	computing.Stop()
	return Finding{Samples: samples}, store.Close()
}

// ComputingWindows is the length of a rate beside computing goroutines, in
// windows.
const ComputingWindows = 2

func (b bench) rates(table string, store *peer.Store, work workload, callers []int) []Sample {
	op, perCall := work(store, Keys(b.Entries))
	if op == nil {
		return nil
	}
	var samples []Sample
	for _, n := range callers {
		const warmUp = 5 // as a fraction of the window
		Rate(n, b.Window/warmUp, op, store.AwaitWrites)
		samples = append(samples, Sample{
			Table:  table,
			Column: ForCallers(n),
			Unit:   PerSecond,
			Value:  Rate(n, b.Window, op, store.AwaitWrites) * float64(perCall),
		})
	}
	return samples
}

// ForCallers returns the column of a rate with n callers.
func ForCallers(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", n)
}

// ReadOp reads one key per call.
func ReadOp(store *peer.Store, keys []string) Operation {
	return func(_, call int) { store.Get(keys[call%len(keys)]) }
}

// WriteOp writes one key per call, with a value that differs from the values of
// the calls around it.
func WriteOp(store *peer.Store, keys []string) Operation {
	values := make([]string, 1024)
	for i := range values {
		values[i] = Value(i, New)
	}
	return func(_, call int) { store.Set(keys[call%len(keys)], values[call%len(values)]) }
}

func mixedOp(store *peer.Store, keys []string) Operation {
	const oneWriteIn = 20
	read, write := ReadOp(store, keys), WriteOp(store, keys)
	return func(caller, call int) {
		if call%oneWriteIn == 0 {
			write(caller, call)
			return
		}
		read(caller, call)
	}
}

// bulkOp reads a run of keys per call and takes the values out as a user would.
// The keys of a run lie scattered in every store.
func bulkOp(store *peer.Store, keys []string) (Operation, int) {
	if store.ReadMany == nil {
		return nil, 0
	}
	size := min(bulkSize, len(keys))
	return func(_, call int) {
		from := call * size % (len(keys) - size + 1)
		store.ReadMany(keys[from:from+size], make([]string, size))
	}, size
}

// IncrementOp adds one to a counter per call. The counters are so few that
// callers meet.
func IncrementOp(store *peer.Store, _ []string) Operation { return onCounters(store.Increment) }

// UpdateOp is IncrementOp by a function that reads and writes.
func UpdateOp(store *peer.Store, _ []string) Operation { return onCounters(store.Update) }

// onCounters calls increment for one of the counters, or is nil if increment is.
func onCounters(increment func(key string)) Operation {
	if increment == nil {
		return nil
	}
	counters := make([]string, 1024)
	for i := range counters {
		counters[i] = fmt.Sprintf("counter-%08d", i)
	}
	return func(_, call int) { increment(counters[call%len(counters)]) }
}
