package codec

import (
	"bufio"
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// An Extent describes a text that DecodeJournal has read.
type Extent struct {
	Base  int64 // bytes of the object, to its closing brace
	Steps int   // behind the object
	Torn  int64 // bytes at the end that a crash has left of a step
	Fault error // why they are no step: a *SyntaxError, if Torn is not 0
}

// A Change is a key that a step sets or deletes.
type Change struct {
	Entry   // without a value if Deleted
	Deleted bool
}

// DecodeJournal is Decode for an object that may have steps behind it. It passes
// each step to apply, in their order, after all members of the object. A step is
// passed on once all of it was read and its sums are right.
//
// The last line may be the remains of a step that was being written when the system
// crashed. Such a line was never acknowledged. It looks torn, and is dropped. Every
// other departure from the format is a *SyntaxError.
func DecodeJournal(r io.Reader, add addFunc, apply func([]Change)) (Extent, error) {
	d := newDecoder(r)
	if err := d.addAll(add); err != nil {
		return Extent{}, err
	}
	found := Extent{Base: d.offset}
	chain := Chain{sum: d.sums.upTo(d.offset)}
	if err := d.endOfLine(); err != nil {
		return found, err
	}
	for {
		at := place{d.offset, d.line}
		line, err := d.fullLine()
		if err != nil || line == nil {
			return found, err
		}
		changes, next, err := parseStep(line, chain)
		if err != nil {
			fault := &SyntaxError{Offset: at.offset, Line: at.line, Err: err}
			found.Torn, found.Fault = int64(len(line)), fault
			return found, d.unlessTorn(line, chain, fault)
		}
		apply(changes)
		found.Steps++
		chain = next
	}
}

// endOfLine requires that the object ends its line, and reads that line's end.
func (d *decoder) endOfLine() error {
	d.hasKey, d.key = false, ""
	for {
		c, err := d.text.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		d.offset++
		switch c {
		case '\n':
			d.line++
			return nil
		case ' ', '\t', '\r':
		default:
			return d.trailing(c)
		}
	}
}

// fullLine returns the next line that is not blank, with its line feed if it has one,
// or nil at the end. The line is valid until the next call.
func (d *decoder) fullLine() ([]byte, error) {
	for {
		d.quoted = d.quoted[:0]
		part, err := d.text.ReadSlice('\n')
		d.quoted = append(d.quoted, part...)
		for err == bufio.ErrBufferFull {
			part, err = d.text.ReadSlice('\n')
			d.quoted = append(d.quoted, part...)
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		d.offset += int64(len(d.quoted))
		d.line += bytes.Count(d.quoted, []byte("\n"))
		if len(bytes.Trim(d.quoted, " \t\r\n")) > 0 {
			return d.quoted, nil
		}
		if err == io.EOF {
			return nil, nil
		}
	}
}

// unlessTorn returns fault, unless line is the last line and looks like the remains of
// the step that goes on at chain.
func (d *decoder) unlessTorn(line []byte, chain Chain, fault *SyntaxError) error {
	if !isTorn(line, chain) {
		return fault
	}
	switch behind, err := d.fullLine(); {
	case err != nil:
		return err
	case behind != nil:
		return fault
	}
	return nil
}

// isTorn reports whether a crash can have left line of the step that goes on at chain. A
// step is written at once and ends in its only line feed. A crash leaves NUL bytes in any
// of its blocks, or the beginning of the line. A line that is JSON is no such remains: a
// program has edited it, or the medium has changed it.
func isTorn(line []byte, chain Chain) bool {
	if bytes.IndexByte(line, 0) >= 0 {
		return true
	}
	if bytes.HasSuffix(line, []byte("\n")) || jsontext.Value(line).IsValid() {
		return false
	}
	begin := chain.begin()
	n := min(len(line), len(begin))
	return bytes.Equal(line[:n], begin[:n])
}

var (
	errNotStep = errors.New("neither a step nor the remains of one")
	errSum     = errors.New("a step that was changed: its checksum is wrong")
	errMissing = errors.New("a step that does not follow the line before it: a step is missing, was moved or was changed")
	errEdited  = errors.New("the object was changed while steps are behind it: take the change back, or delete the lines of the steps")
)

// parseStep returns the changes of a step that goes on at chain, and the place
// behind it.
func parseStep(line []byte, chain Chain) ([]Change, Chain, error) {
	if !bytes.HasPrefix(line, []byte(stepBegin)) {
		return nil, chain, errTrailing
	}
	text := bytes.TrimSuffix(line, []byte("\n"))
	end := len(text) - len(crcBegin) - sumDigits - len(crcEnd)
	if end < 0 {
		return nil, chain, errNotStep
	}
	p := parser{text: text[end:]}
	p.literal(crcBegin)
	sum := p.sum()
	if p.literal(crcEnd); p.failed {
		return nil, chain, errNotStep
	}
	if crc32.Checksum(text[:end], castagnoli) != sum {
		return nil, chain, errSum
	}
	p = parser{text: text[:end]}
	number, prev, changes := p.step()
	switch {
	case p.failed || len(p.text) > 0:
		return nil, chain, errNotStep
	case number == chain.steps+1 && prev == chain.sum:
		return changes, Chain{number, sum}, nil
	case number == 1 && chain.steps == 0:
		return nil, chain, errEdited
	}
	return nil, chain, errMissing
}

// A parser reads the parts of a line, each from the start of text. After a part that
// is not as it must be, it has failed and its results mean nothing.
type parser struct {
	text   []byte
	failed bool
}

func (p *parser) step() (number uint64, prev uint32, changes []Change) {
	p.literal(stepBegin)
	number = p.number()
	p.literal(prevBegin)
	prev = p.sum()
	p.literal(setBegin)
	for more := !p.follows(deleteBegin[0]); more && !p.failed; more = p.comma() {
		e := Entry{Key: p.string()}
		p.literal(":")
		e.Value, e.Deadline = p.value()
		changes = append(changes, Change{Entry: e})
	}
	p.literal(deleteBegin)
	for more := !p.follows(stepEnd[0]); more && !p.failed; more = p.comma() {
		changes = append(changes, Change{Entry{Key: p.string()}, true})
	}
	p.literal(stepEnd)
	return number, prev, changes
}

// value reads a string, or an object of a string and a deadline.
func (p *parser) value() (value string, deadline int64) {
	if !p.follows(valueBegin[0]) {
		return p.string(), 0
	}
	p.literal(valueBegin)
	value = p.string()
	p.literal(expiresBegin)
	deadline, err := parseDeadline(p.string())
	p.literal("}")
	p.failed = p.failed || err != nil
	return value, deadline
}

func (p *parser) follows(c byte) bool { return len(p.text) > 0 && p.text[0] == c }

// comma reads a comma, if one follows.
func (p *parser) comma() bool {
	found := p.follows(',')
	if found {
		p.text = p.text[1:]
	}
	return found
}

func (p *parser) literal(want string) {
	if len(p.text) < len(want) || string(p.text[:len(want)]) != want {
		p.failed = true
		return
	}
	p.text = p.text[len(want):]
}

// number reads a number without leading zeros.
func (p *parser) number() uint64 {
	digits := 0
	for digits < len(p.text) && '0' <= p.text[digits] && p.text[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseUint(string(p.text[:digits]), 10, 64)
	p.failed = p.failed || err != nil || p.text[0] == '0'
	p.text = p.text[digits:]
	return n
}

// sum reads a sum as appendSum writes it.
func (p *parser) sum() uint32 {
	if len(p.text) < sumDigits {
		p.failed = true
		return 0
	}
	n, err := strconv.ParseUint(string(p.text[:sumDigits]), 16, 32)
	written := string(appendSum(nil, uint32(n)))
	p.failed = p.failed || err != nil || written != string(p.text[:sumDigits])
	p.text = p.text[sumDigits:]
	return uint32(n)
}

// string reads a string with its quotes.
func (p *parser) string() string {
	if !p.follows('"') {
		p.failed = true
		return ""
	}
	end := 1
	for closed := false; !closed; {
		next := bytes.IndexByte(p.text[end:], '"')
		if next < 0 {
			p.failed = true
			return ""
		}
		end += next + 1
		closed = isClosed(p.text[1:end])
	}
	quoted := p.text[:end]
	p.text = p.text[end:]
	if isPlain(quoted[1 : end-1]) {
		return string(quoted[1 : end-1])
	}
	text, err := jsontext.AppendUnquote(nil, quoted)
	p.failed = p.failed || err != nil
	return unescape(string(text))
}
