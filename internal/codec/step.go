package codec

import (
	"encoding/hex"
	"hash/crc32"
	"strconv"
)

// A journal is an object, the base, and behind it one line for each step:
//
//	{"old":"x"}
//	{"step":1,"prev":"…","set":{"k":"2"},"delete":["old"],"crc":"…"}
//
// crc is the CRC-32C of its line up to the comma before "crc", prev the crc of the
// step before, or of the base. So every line is tied to all before it.
//
// One sum for both would not do: a base that was edited under a single step would look
// like a step whose write was torn, and an acknowledged step would be dropped.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Chain is the place behind a base or a step, where the next step goes on.
type Chain struct {
	steps uint64 // before the place
	sum   uint32 // of the step or the base before it
}

// begin returns the beginning of the step that goes on at the place: up to and with its
// prev.
func (c Chain) begin() []byte {
	begin := strconv.AppendUint([]byte(stepBegin), c.steps+1, 10)
	return appendSum(append(begin, prevBegin...), c.sum)
}

// A Step is a line under construction. The zero Step changes nothing.
type Step struct{ set, delete []byte }

// Set has the step set an entry.
func (s *Step) Set(e Entry) {
	if len(s.set) > 0 {
		s.set = append(s.set, ',')
	}
	s.set = appendMember(s.set, e)
}

// Delete has the step remove key.
func (s *Step) Delete(key string) {
	if len(s.delete) > 0 {
		s.delete = append(s.delete, ',')
	}
	s.delete = appendString(s.delete, key)
}

// IsEmpty reports whether the step changes nothing.
func (s *Step) IsEmpty() bool { return len(s.set) == 0 && len(s.delete) == 0 }

// Size returns about how many bytes the line has.
func (s *Step) Size() int { return len(s.set) + len(s.delete) }

// Line returns the step as a line that goes on at chain, and the place behind it.
func (s *Step) Line(chain Chain) ([]byte, Chain) {
	line := make([]byte, 0, s.Size()+len(stepBegin)+100)
	line = append(line, chain.begin()...)
	line = append(line, setBegin...)
	chain.steps++
	line = append(line, s.set...)
	line = append(line, deleteBegin...)
	line = append(line, s.delete...)
	line = append(line, stepEnd...)
	chain.sum = crc32.Checksum(line, castagnoli)
	line = append(line, crcBegin...)
	line = appendSum(line, chain.sum)
	line = append(line, crcEnd...)
	return append(line, '\n'), chain
}

// The parts of a line between its values, in their order.
const (
	stepBegin   = `{"step":`
	prevBegin   = `,"prev":"`
	setBegin    = `","set":{`
	deleteBegin = `},"delete":[`
	stepEnd     = `]`
	crcBegin    = `,"crc":"`
	crcEnd      = `"}`
)

const sumDigits = 8

func appendSum(text []byte, sum uint32) []byte {
	return hex.AppendEncode(text, []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
}
