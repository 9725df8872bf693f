package report

import (
	"strings"
	"testing"

	"github.com/windevkay/forge/genie/bench/measure"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		found measure.Contents
		want  string
	}{
		{measure.Contents{Old: 9}, "old backup kept"},
		{measure.Contents{New: 9}, "new state complete"},
		{measure.Contents{Missing: 9, LoadError: "no"}, "nothing loaded"},
		{measure.Contents{Missing: 9}, "silently empty"},
		{measure.Contents{Old: 4, Missing: 5, LoadError: "no"}, "error, yet 4 of 9"},
		{measure.Contents{Old: 4, Missing: 5}, "5 of 9 entries missing"},
		{measure.Contents{Old: 8, Wrong: 1}, "1 wrong of 9"},
		{measure.Contents{Old: 4, New: 5}, "4 old and 5 new"},
	} {
		if got := (Fault{Found: &c.found}).Verdict(); !strings.Contains(got, c.want) {
			t.Errorf("verdict on %+v is %q, want %q in it", c.found, got, c.want)
		}
	}
	if got := (Fault{Crash: "panic: x"}).Verdict(); !strings.Contains(got, "panic: x") {
		t.Errorf("verdict on a crash is %q", got)
	}
}
