package measure

// A Sample is one figure of one system, filed under the table and the column
// in which the results show it.
type Sample struct {
	Table  string  `json:"table"`
	Column string  `json:"column"`
	Unit   Unit    `json:"unit"`
	Value  float64 `json:"value"`
}

// A Unit is what a value counts.
type Unit string

const (
	PerSecond Unit = "1/s"
	Seconds   Unit = "s"
	Bytes     Unit = "B"
	Share     Unit = "share" // of what the same callers do when no backup runs
)

// HigherIsBetter tells in which direction a system wins.
func (u Unit) HigherIsBetter() bool { return u == PerSecond || u == Share }
