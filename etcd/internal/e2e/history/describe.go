package history

import "fmt"

// String describes the call in the page that [History.Draw] writes.
func (c Call) String() string {
	text := ""
	if c.Reads {
		text = fmt.Sprintf("saw %q %q ", c.Saw[0], c.Saw[1])
	}
	for key, writes := range c.Writes {
		switch {
		case writes && c.Values[key] == "":
			text += fmt.Sprintf("delete %d ", key)
		case writes:
			text += fmt.Sprintf("set %d %q ", key, c.Values[key])
		}
	}
	if c.Lasts > 0 {
		text += fmt.Sprintf("for %v", c.Lasts)
	}
	return text
}
