package measure

// A Finding is the outcome of a Job.
type Finding struct {
	Samples  []Sample  `json:"samples,omitempty"`
	Contents *Contents `json:"contents,omitempty"`
	Note     string    `json:"note,omitempty"` // the answer of a save to its fault
}

func (f *Finding) add(samples ...Sample) { f.Samples = append(f.Samples, samples...) }

// addMemory leaves the cell empty where memory cannot be observed.
func (f *Finding) addMemory(s Sample) {
	if memoryIsKnown {
		f.add(s)
	}
}

// A Sample is one figure of one system. The results show it in the named column
// of the named table.
type Sample struct {
	Table  string  `json:"table"`
	Column string  `json:"column"`
	Unit   Unit    `json:"unit"`
	Value  float64 `json:"value"`
}

// A Unit is the unit of a value.
type Unit string

const (
	PerSecond Unit = "1/s"
	Seconds   Unit = "s"
	Bytes     Unit = "B"
	Share     Unit = "share" // of the calls that the same callers make without a backup
)

// HigherIsBetter reports whether the higher of two values is the better one.
func (u Unit) HigherIsBetter() bool { return u == PerSecond || u == Share }
