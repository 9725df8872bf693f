package measure

// load measures what a restart costs. The file was written by another process,
// so nothing of it is on this one's heap, though it is in the page cache.
func load(b bench) (Finding, error) {
	before := settledMemory()
	resetPeak()
	var found int
	took, err := timed(func() error {
		store, err := b.system.Load(b.home)
		if err == nil {
			found = store.Len()
		}
		return err
	})
	if err != nil {
		return Finding{}, err
	}
	var f Finding
	table := "load of " + Count(b.Entries) + " entries"
	f.add(
		Sample{table, "time", Seconds, took.Seconds()},
		Sample{table, "entries found", Share, float64(found) / float64(b.Entries)},
	)
	f.addMemory(Sample{table, "peak memory", Bytes, peakMemory() - before})
	return f, nil
}
