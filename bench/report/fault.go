package report

import (
	"fmt"

	"github.com/windevkay/forge/genie/bench/measure"
)

// A Fault is the outcome of a full disk or a damaged file in one system.
type Fault struct {
	Kind   string `json:"kind"`
	System string `json:"system"`
	// Save is the answer of the backup, if the fault struck during one.
	Save string `json:"save,omitempty"`
	// Found counts the entries that the next process loaded.
	Found *measure.Contents `json:"found,omitempty"`
	// Crash is the reason why the loading process failed, or empty.
	Crash string `json:"crash,omitempty"`
}

// Verdict sums up the outcome for a user in a few words.
func (f Fault) Verdict() string {
	if f.Found == nil {
		return "load ends the process: " + f.Crash
	}
	c := *f.Found
	all := c.Old + c.New + c.Wrong + c.Missing
	switch {
	case c.Old == all:
		return "old backup kept"
	case c.New == all:
		return "new state complete"
	case c.Missing == all && c.LoadError != "":
		return "refused with an error, nothing loaded"
	case c.Missing == all:
		return "**silently empty**"
	case c.LoadError != "":
		return fmt.Sprintf("error, yet %d of %d entries loaded", all-c.Missing, all)
	}
	return "**silent**: " + describeLoss(c, all)
}

func describeLoss(c measure.Contents, all int) string {
	if c.Missing > 0 && c.Wrong > 0 {
		return fmt.Sprintf("%d of %d entries missing, %d wrong", c.Missing, all, c.Wrong)
	}
	if c.Missing > 0 {
		return fmt.Sprintf("%d of %d entries missing", c.Missing, all)
	}
	if c.Wrong > 0 {
		return fmt.Sprintf("%d wrong of %d", c.Wrong, all)
	}
	return fmt.Sprintf("%d old and %d new entries mixed", c.Old, c.New)
}
