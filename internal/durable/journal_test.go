package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/codec"
	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// The model of this file is that of crash_test.go for files with steps. Its files are
// real ones, of package codec: a load gives the state that object and steps stand for.

// stateOf returns the entries of a state. A step between any two states sets two
// entries, and between an even and an odd one sets or deletes a third: no state comes of
// half a step, or of a step on a wrong object.
func stateOf(value int) map[string]string {
	if value == 0 {
		return map[string]string{}
	}
	m := map[string]string{"a": fmt.Sprint(value), "b": fmt.Sprint(value)}
	if value%2 == 1 {
		m["odd"] = "1"
	}
	return m
}

// valueOf returns the value of a state, or an error for a mixture of states.
func valueOf(m map[string]string) (value int, err error) {
	_, _ = fmt.Sscan(m["a"], &value)
	if !maps.Equal(m, stateOf(value)) {
		err = fmt.Errorf("a mixture of states: %v", m)
	}
	return value, err
}

// inOrder yields entries in the order of their keys: equal states have equal files.
func inOrder(m map[string]string) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

// stepLine returns the line from one state to another, which continues chain, or nothing
// between equal states.
func stepLine(chain codec.Chain, from, to map[string]string) ([]byte, codec.Chain) {
	var step codec.Step
	for key, value := range inOrder(to) {
		if old, existed := from[key]; !existed || old != value {
			step.Set(codec.Entry{Key: key, Value: value})
		}
	}
	for key := range inOrder(from) {
		if _, exists := to[key]; !exists {
			step.Delete(key)
		}
	}
	if step.IsEmpty() {
		return nil, chain
	}
	return step.Line(chain)
}

// bases are the objects that were encoded, by value.
var bases sync.Map

type base struct {
	text  []byte
	chain codec.Chain
}

func baseOf(value int) base {
	if known, ok := bases.Load(value); ok {
		return known.(base)
	}
	var text bytes.Buffer
	_, chain, err := codec.EncodeBase(&text, func(yield func(codec.Entry) bool) {
		for key, value := range inOrder(stateOf(value)) {
			if !yield(codec.Entry{Key: key, Value: value}) {
				return
			}
		}
	})
	if err != nil {
		panic(err) // a bytes.Buffer takes all
	}
	encoded := base{text.Bytes(), chain}
	bases.Store(value, encoded)
	return encoded
}

// writeBase writes the object of a state to p, and returns the chain behind it.
func writeBase(p *durable.Pending, value int) (codec.Chain, error) {
	b := baseOf(value)
	_, err := p.Write(b.text)
	return b.chain, err
}

// readState reads a file and sets value to that of its state.
func readState(value *int) func(string, io.Reader) error {
	return func(_ string, r io.Reader) error {
		text, err := io.ReadAll(r)
		if err == nil {
			*value, err = decoded(string(text))
		}
		return err
	}
}

// readings are the texts that were decoded, with the results: the models read the same
// few thousand texts again and again.
var readings sync.Map

type reading struct {
	value int
	err   error
}

// decoded returns the value of the state that text stands for.
func decoded(text string) (int, error) {
	if known, ok := readings.Load(text); ok {
		return known.(reading).value, known.(reading).err
	}
	m := map[string]string{}
	_, err := codec.DecodeJournal(strings.NewReader(text), func(keys, values []string, _ []int64) int {
		for i, key := range keys {
			m[key] = values[i]
		}
		return len(keys)
	}, func(changes []codec.Change) {
		for _, c := range changes {
			if m[c.Key] = c.Value; c.Deleted {
				delete(m, c.Key)
			}
		}
	})
	value := 0
	if err == nil {
		value, err = valueOf(m)
	}
	readings.Store(text, reading{value, err})
	return value, err
}

// A history is the values that a store had since the last load. A load may give the
// value that was acknowledged last, or a newer one.
type history struct {
	values []int
	acked  int // index of the newest value that was acknowledged, or loaded

	// doubtful is whether a sync has failed. Then a process that is started without a
	// power cut may read what will not survive one.
	doubtful bool

	// strange is whether another program has changed the file since the last
	// acknowledgement. Then a load may give anything, but a mixture.
	strange bool
	// kept is whether the other program's contents must be in a file.
	kept bool
}

func (h history) newest() int { return len(h.values) - 1 }

// load notes that value was loaded, and reports whether that was allowed.
func (h *history) load(value int) bool {
	allowed := h.strange || slices.Contains(h.values[h.acked:], value)
	if h.doubtful {
		h.values = append(slices.Clone(h.values[h.acked:]), value)
	} else {
		h.values = []int{value}
	}
	h.acked = 0
	return allowed
}

// A mistake is an order of operations that a store must not have.
type mistake string

// A life is one process on a disk, and the store in it. The store does to package durable
// what the root package does.
type life struct {
	model *journalModel
	disk  *durabletest.Disk
	p     *durabletest.Process
	fsys  durable.FS
	file  *durable.File
	depth int // how many power cuts are still to come

	history
	next  int  // the value of the next Set
	fresh bool // nothing was loaded, and nothing was written

	// The end of the live file. Functions that package durable calls set it.
	last  int // index of the newest value in the file
	chain codec.Chain

	loading    bool
	appending  bool
	saving     bool // a whole backup is being written
	releasing  bool // and is the last one, so no step is written
	switching  bool // and has the mutex
	installing bool // and is being renamed, or was
	late       bool // another program has changed the file since
	joined     int  // index of the value that a Sync waits for which has joined the backup
	wrote      bool // a step was appended since the view of the backup
	dead       bool // an append has failed
	loadedOnly bool // nothing was written since the load
	killed     bool
	op         string // that is about to be carried out
	opName     string // the file of op
}

// A journalModel carries out lives, with actions and disturbances put between any two
// operations of the disk, and has the power fail at every operation.
type journalModel struct {
	plant   func(p *durabletest.Process) durable.FS
	mistake mistake

	inject    []string // actions that are put in front of operation injectAt
	injectAt  int
	disturb   func(l *life) // called in front of operation disturbAt, or nil
	disturbAt int

	ops       int // so far in the run
	disturbed bool
	waiting   []string // actions that are to come when the mutex is free
	inHook    bool

	runs, images int
	tried        map[uint64]int
	seed         maphash.Seed
	lost         []string
}

func newJournalModel() *journalModel {
	return &journalModel{
		plant:    func(p *durabletest.Process) durable.FS { return p },
		injectAt: -1, disturbAt: -1,
		tried: map[uint64]int{}, seed: maphash.MakeSeed(),
	}
}

func (m *journalModel) fails(format string, args ...any) {
	m.lost = append(m.lost, fmt.Sprintf(format, args...))
}

// run carries out actions: "load", the start of a process; "set", and "back", to the
// value before; "sync"; "backup", and "ahead", a backup that catches up before it has the
// mutex; and "close".
func (m *journalModel) run(depth int, actions ...string) {
	m.runs++
	m.ops, m.disturbed, m.waiting, m.inHook = 0, false, nil, false
	l := &life{model: m, disk: durabletest.NewDisk(), depth: depth, history: history{values: []int{0}}}
	defer func() { l.end() }()
	l.load()
	for _, action := range actions {
		_ = l.do(action)
		for len(m.waiting) > 0 {
			waiting := m.waiting
			m.waiting = nil
			l.all(waiting)
		}
	}
	// Whatever has happened, the store goes on.
	l.p.Heal()
	if d, ok := l.fsys.(*doneOnce); ok {
		d.armed = false
	}
	m.disturb = nil
	l.goesOn()
	l.cut()
}

func (l *life) all(actions []string) {
	for _, action := range actions {
		_ = l.do(action)
	}
}

// goesOn requires that the store can write a file and append to it.
func (l *life) goesOn() {
	for range 2 {
		_ = l.do("set")
		set := l.newest()
		if err := l.do("sync"); err != nil || l.acked < set {
			l.model.fails("a healthy disk: %v", err)
		}
	}
}

func (l *life) end() {
	l.p.Kill()
	durable.Forget(l.fsys)
}

func (l *life) do(action string) (err error) {
	switch action {
	case "load":
		l.load()
	case "set":
		l.write(l.next)
		l.next++
	case "back":
		l.write(l.values[max(0, l.newest()-1)])
	case "sync":
		err = l.sync()
	case "backup", "ahead":
		err = l.backup(action == "ahead")
	case "close":
		err = l.close()
	}
	if l.killed && !l.model.inHook {
		l.load()
	}
	return err
}

func (l *life) write(value int) {
	l.values = append(slices.Clip(l.values), value)
	l.fresh, l.loadedOnly = false, false
}

// load starts a process, again if it was disturbed.
func (l *life) load() {
	for {
		if l.p != nil {
			l.end()
		}
		l.start()
		before := l.model.disturbed
		value, err := 0, error(nil)
		if l.file, err = durable.Open(l.fsys, backup, 0); err == nil {
			err = l.file.Load(readState(&value))
		}
		if l.loading = false; err == nil {
			l.keeps(value)
			return
		}
		if l.strange { // the user puts a whole file in the place of an edited one
			l.disk.WriteFile(backup, []byte(strangers))
			continue
		}
		if before == l.model.disturbed { // a new process on a healthy disk
			l.model.fails("%+v, %v", l.history, err)
			return
		}
	}
}

func (l *life) start() {
	l.p = l.disk.Process()
	l.fsys = l.model.plant(l.p)
	l.saving, l.releasing, l.switching, l.installing, l.late = false, false, false, false, false
	l.joined, l.dead, l.killed, l.file, l.loading = 0, false, false, nil, true
	l.kept = false // Previous has one place, and the load may need it
	if b, ok := l.fsys.(*blind); ok {
		b.life = l
	}
	l.p.Before(l.before)
}

// keeps notes what was loaded.
func (l *life) keeps(value int) {
	was := l.history
	if !l.history.load(value) {
		l.model.fails("%+v, loaded %d", was, value)
	}
	l.next = max(l.next, slices.Max(was.values)+1)
	l.fresh, l.loadedOnly = value == 0, true
	l.kept = l.kept && value != strangersValue // else it is the program's now
	l.last = l.newest()
}

// before is called in front of every operation.
func (l *life) before(op, name string) {
	m := l.model
	n := m.ops
	m.ops++
	l.op, l.opName = op, name
	if n >= max(m.injectAt, m.disturbAt) {
		l.cut() // other runs, with less in their way, have cut in front of the others
	}
	if l.saving && op == "Rename" && name == backup {
		l.installing = true
	}
	if m.mistake == "ack before W10" && l.saving && op == "SyncDir" && !m.inHook {
		l.ack(l.joined)
	}
	if n == m.disturbAt && m.disturb != nil {
		m.disturbed = true
		m.disturb(l)
	}
	if n == m.injectAt && !m.inHook {
		l.doInjected()
	}
}

// doInjected carries out the actions that are injected. A goroutine that sets a value
// waits for nothing, and a Sync for the mutex or the last backup.
func (l *life) doInjected() {
	m := l.model
	all := func() {
		m.inHook = true
		l.all(m.inject)
		m.inHook = false
	}
	switch {
	case l.loading:
		m.waiting = m.inject
	case l.switching && m.mistake == "mutex let go" && durable.LetGo(l.file, all):
	case l.releasing || durable.Busy(l.file):
		for _, action := range m.inject {
			if action == "sync" {
				m.waiting = append(m.waiting, action)
			} else {
				_ = l.do(action)
			}
		}
	default:
		all()
	}
}

// ack notes that the value was acknowledged. What another program has done to the file
// before the last look, or the last rename, is made good.
func (l *life) ack(index int) {
	l.acked = max(l.acked, index)
	l.strange, l.late = l.strange && l.late, false
}

// sync is Store.Sync.
func (l *life) sync() error {
	if l.model.mistake == "ack of what was loaded" && l.loadedOnly {
		l.ack(l.newest())
		return nil
	}
	view := 0
	l.appending = true
	err := l.file.Append(func() (line []byte, err error) {
		view = l.newest()
		line, l.chain = l.line(l.chain, l.last, view)
		l.last = view
		l.wrote = l.wrote || line != nil
		return line, nil
	})
	if l.appending = false; err == nil {
		l.ack(view)
		return nil
	}
	l.dead = true
	if !errors.Is(err, durable.ErrNotLive) {
		if l.model.mistake == "append after a failed one" {
			durable.Revive(l.file)
		}
		return err
	}
	if l.saving { // it is answered by the backup under way
		l.joined = l.newest()
		return nil
	}
	return l.backup(false)
}

// line returns the step from one value to another, or nothing.
func (l *life) line(chain codec.Chain, from, to int) ([]byte, codec.Chain) {
	before, after := stateOf(l.values[from]), stateOf(l.values[to])
	if l.model.mistake != "two lines" {
		return stepLine(chain, before, after)
	}
	between := maps.Clone(before)
	between["a"] = after["a"]
	first, chain := stepLine(chain, before, between)
	second, chain := stepLine(chain, between, after)
	return append(first, second...), chain
}

// backup is Store.Backup of a store with a journal.
func (l *life) backup(ahead bool) error {
	if l.saving {
		return nil // it is answered by the backup under way
	}
	if l.fresh {
		return l.blank()
	}
	l.saving, l.wrote, l.joined = true, false, l.newest()
	defer func() { l.saving, l.switching, l.installing = false, false, false }()
	p, err := l.file.Create()
	if err != nil {
		return err
	}
	view := l.newest()
	chain, err := writeBase(p, l.values[view])
	if err == nil && ahead {
		view, chain, err = l.catchUpAhead(p, view, chain)
	}
	if err != nil {
		p.Abort()
		return err
	}
	return l.commitLive(p, view, chain)
}

// commitLive ends a backup of the value view, which ends at chain.
func (l *life) commitLive(p *durable.Pending, view int, chain codec.Chain) error {
	now := view
	early, lastThen := l.newest(), l.last
	err := p.CommitLive(func() (lines []byte, err error) {
		l.switching = true
		from := view
		switch now = l.newest(); l.model.mistake {
		case "view before the mutex":
			now = early
		case "catch-up left out":
			return nil, nil
		case "catch-up only to last":
			now = l.last
		case "catch-up to an older last":
			now = lastThen
		case "catch-up from last":
			from = l.last
		case "catch-up only if live":
			if l.dead {
				return nil, nil
			}
		case "catch-up only after a step":
			if !l.wrote {
				return nil, nil
			}
		case "ack before W9":
			l.ack(now)
		}
		lines, chain = l.line(chain, from, now)
		if l.model.mistake == "last too early" {
			l.last, l.chain = now, chain
		}
		return lines, nil
	}, func() {
		l.last, l.chain, l.dead, l.switching = now, chain, false, false
		l.ack(max(now, l.joined))
	})
	if err != nil && l.model.mistake == "live after an error of W10" {
		if data, _ := l.disk.ReadFile(backup); len(data) > 0 && !l.file.Intact() {
			l.last, l.chain = now, chain
			durable.Revive(l.file)
		}
	}
	return err
}

// catchUpAhead carries out W4.
func (l *life) catchUpAhead(p *durable.Pending, view int, chain codec.Chain) (int, codec.Chain, error) {
	if err := p.Sync(); err != nil {
		return view, chain, err
	}
	now := l.newest()
	lines, chain := l.line(chain, view, now)
	if len(lines) == 0 {
		return now, chain, nil
	}
	_, err := p.Write(lines)
	return now, chain, err
}

// blank is a backup of a store that was never written to.
func (l *life) blank() error {
	p, err := l.file.Create()
	if err != nil {
		return err
	}
	if _, err := writeBase(p, 0); err != nil {
		p.Abort()
		return err
	}
	return p.CommitBlank()
}

// close is Store.Close. No step is written meanwhile.
func (l *life) close() error {
	if l.saving {
		return nil
	}
	if l.fresh {
		return errors.Join(l.blank(), l.file.Close())
	}
	l.saving, l.releasing = true, l.model.mistake != "a step beside a Close"
	defer func() { l.saving, l.releasing, l.installing = false, false, false }()
	p, err := l.file.Create()
	if err != nil {
		return errors.Join(err, l.file.Close())
	}
	view := l.newest()
	if _, err = writeBase(p, l.values[view]); err != nil {
		p.Abort()
	} else if err = p.Commit(); err == nil {
		l.ack(view)
		l.requirePlain()
	}
	return errors.Join(err, l.file.Close())
}

// requirePlain requires that the file has no step.
func (l *life) requirePlain() {
	if data, _ := l.disk.ReadFile(backup); !l.strange && slices.Index(data, '\n') != len(data)-1 {
		l.model.fails("not plain: %q", data)
	}
}

// cut has the power fail: every disk that may be left must keep the promise.
func (l *life) cut() {
	m := l.model
	if l.depth == 0 || len(m.lost) > 0 || !m.isNew("cut", l.history, l.disk.State(), l.depth) {
		return
	}
	for image := range l.disk.Crashes() {
		m.images++
		if l.kept && !holds(image, strangers) {
			m.fails("%+v: what another program has written is in no file", l.history)
		}
		if m.isNew("image", l.history, image.Fingerprint(), l.depth) {
			l.recover(image)
		}
		if len(m.lost) > 0 {
			return
		}
	}
}

// holds reports whether a file of the disk has these contents.
func holds(disk *durabletest.Disk, contents string) bool {
	for _, name := range disk.Names() {
		if data, _ := disk.ReadFile(name); string(data) == contents {
			return true
		}
	}
	return false
}

func (m *journalModel) isNew(kind string, h history, state string, depth int) bool {
	key := maphash.String(m.seed, fmt.Sprintln(kind, h.values[min(h.acked, len(h.values)):], h.strange, h.kept, state))
	if m.tried[key] >= depth {
		return false
	}
	m.tried[key] = depth
	return true
}

// recover starts a process on what a power cut has left, and has it go on.
func (l *life) recover(image *durabletest.Disk) {
	m := l.model
	was := *m
	m.injectAt, m.disturbAt, m.inHook, m.disturbed = -1, -1, false, false
	defer func() {
		m.injectAt, m.disturbAt, m.inHook, m.disturbed = was.injectAt, was.disturbAt, was.inHook, was.disturbed
		m.ops, m.waiting = was.ops, was.waiting
	}()
	after := &life{model: m, disk: image, depth: l.depth - 1, history: l.history, next: l.next}
	after.doubtful = false
	after.load()
	defer after.end()
	if len(m.lost) == 0 {
		after.goesOn()
		after.cut()
	}
}

// journalScripts have every action of a store follow every other.
var journalScripts = [][]string{
	{"set", "sync", "set", "sync", "set", "backup", "sync", "set", "sync", "close"},
	{"sync", "set", "backup", "set", "sync", "sync", "back", "sync", "load", "sync", "set", "sync"},
	{"set", "sync", "set", "sync", "load", "set", "ahead", "set", "sync", "close", "set", "sync"},
}

// shortScripts are for pairs of an injection and a disturbance.
var shortScripts = [][]string{
	{"set", "sync", "set", "backup", "sync"},
	{"set", "backup", "set", "sync", "backup", "load", "sync"},
	{"set", "sync", "set", "sync", "close"},
}

var allScripts = slices.Concat(shortScripts, journalScripts)

// strangerScripts have also a Sync with nothing to write behind each other action.
var strangerScripts = append([][]string{
	{"set", "sync", "sync", "set", "sync", "sync", "backup", "sync", "sync"},
}, allScripts...)

// injections are what a store does beside another action of its own.
var injections = [][]string{
	{"sync"},
	{"set", "sync"},
	{"back", "sync"},
	{"set", "sync", "set", "sync"},
	{"set", "sync", "set"},
	{"set"},
}

// sampled is how many operations are between two that are tried: by, or one in a long run.
// The first is another one each time.
func sampled(by int) int {
	if deep() {
		return 1
	}
	return by
}

// everyInjection runs the script with each injection in front of each by-th operation.
func (m *journalModel) everyInjection(depth, by int, script []string) {
	for _, actions := range injections {
		m.inject = actions
		for at := m.runs % by; len(m.lost) == 0; at += by {
			m.injectAt = at
			m.run(depth, script...)
			if m.ops <= at {
				break
			}
		}
	}
	m.injectAt = -1
}

func (m *journalModel) everyDisturbance(depth, by int, script []string, disturb func(*life)) {
	for at := m.runs % by; len(m.lost) == 0; at += by {
		m.disturb, m.disturbAt = disturb, at
		m.run(depth, script...)
		if m.ops <= at || !m.disturbed {
			break
		}
	}
	m.disturb, m.disturbAt = nil, -1
}

func failOnce(l *life)      { l.failing(false) }
func failFromNowOn(l *life) { l.failing(true) }

func kill(l *life) {
	l.killed = true
	l.p.Kill()
}

func (l *life) failing(sticky bool) {
	l.doubtful = l.doubtful || sticky || l.op == "Sync" || l.op == "SyncData"
	l.p.FailAt(l.p.Ops()-1, syscall.EIO, sticky)
}

const (
	strangers      = `{"a":"100","b":"100"}`
	strangersValue = 100
)

// meet notes that another program has changed the file.
func (l *life) meet() { l.strange, l.late = true, l.installing }

// strangerActs are what another program does to the file.
var strangerActs = map[string]func(l *life){
	"removes": func(l *life) {
		l.meet()
		_ = l.disk.Process().Remove(backup)
	},
	"replaces": func(l *life) {
		l.meet()
		l.kept = l.op != "Rename" || l.opName != backup // between the look and the rename nothing can
		l.disk.WriteFile(backup, []byte(strangers))
	},
	"saves without a sync": func(l *life) {
		l.meet()
		l.disk.WriteFile("/disk/edited", nil)
		l.disk.Append("/disk/edited", strangers)
		_ = l.disk.Process().Rename("/disk/edited", backup)
	},
	"edits in place": func(l *life) {
		l.meet()
		l.disk.Append(backup, "edit")
	},
}

func (m *journalModel) require(t *testing.T) {
	t.Helper()
	require.Empty(t, m.lost, "%v at %d, disturbed at %d", m.inject, m.injectAt, m.disturbAt)
}

func (m *journalModel) log(t *testing.T) {
	t.Helper()
	t.Logf("%d schedules, %d disks without power, %d different", m.runs, m.images, len(m.tried))
}

// once is how many power cuts the model has where it has much else to vary.
func once() int {
	if deep() {
		return 2
	}
	return 1
}

func TestNoPowerCutLosesAStep(t *testing.T) {
	t.Parallel()
	m := newJournalModel()
	for _, script := range journalScripts {
		m.run(1+once(), script...)
		m.require(t)
	}
	m.log(t)
}

func TestNoPowerCutLosesAStepBesideABackup(t *testing.T) {
	t.Parallel()
	m := newJournalModel()
	for _, script := range allScripts {
		m.everyInjection(once(), sampled(7), script)
		m.require(t)
	}
	m.log(t)
}

func TestNoErrorAndNoKillLosesAStep(t *testing.T) {
	t.Parallel()
	m := newJournalModel()
	for _, script := range allScripts {
		for _, disturb := range []func(*life){failOnce, failFromNowOn, kill} {
			m.everyDisturbance(once(), sampled(4), script, disturb)
			m.require(t)
		}
	}
	m.log(t)
}

// Once a stranger has changed the file, what is acknowledged next is durable, and his
// contents are in a file.
func TestNoStrangerLosesAStep(t *testing.T) {
	t.Parallel()
	for name, act := range strangerActs {
		t.Run(name, func(t *testing.T) {
			m := newJournalModel()
			for _, script := range strangerScripts {
				m.everyDisturbance(once(), sampled(13), script, act)
				m.require(t)
			}
			m.log(t)
		})
	}
}

// doneOnce is a file system on which one rename of the backup file reports an error and
// is done.
type doneOnce struct {
	*durabletest.Process
	armed bool
}

func (d *doneOnce) Rename(from, to string) error {
	err := d.Process.Rename(from, to)
	if err == nil && to == backup && d.armed {
		d.armed, err = false, syscall.EIO
	}
	return err
}

func TestNoRenameThatIsDoneNeverthelessLosesAStep(t *testing.T) {
	t.Parallel()
	m := newJournalModel()
	m.plant = func(p *durabletest.Process) durable.FS { return &doneOnce{Process: p} }
	for _, script := range journalScripts {
		m.everyDisturbance(once(), sampled(2), script, func(l *life) { l.fsys.(*doneOnce).armed = true })
		m.require(t)
	}
	m.log(t)
}

// everyPair runs the script with each injection in front of every by-th operation, and a
// disturbance in front of every by2-th.
func (m *journalModel) everyPair(depth, by, by2 int, script []string, disturb func(*life)) {
	for _, actions := range injections {
		for at := m.runs % by; len(m.lost) == 0; at += by {
			m.inject, m.injectAt = actions, at
			m.everyDisturbance(depth, by2, script, disturb)
			if m.ops <= at {
				break
			}
		}
	}
	m.injectAt = -1
}

func TestNoErrorBesideABackupLosesAStep(t *testing.T) {
	t.Parallel()
	disturbs, by := map[string]func(*life){"fail once": failOnce, "removes": strangerActs["removes"]}, 53
	if deep() {
		maps.Copy(disturbs, strangerActs)
		disturbs["fail from now on"], disturbs["kill"], by = failFromNowOn, kill, 17
	}
	for name, disturb := range disturbs {
		t.Run(name, func(t *testing.T) {
			m := newJournalModel()
			for _, script := range shortScripts {
				m.everyPair(1, by, sampled(17), script, disturb)
				m.require(t)
			}
			m.log(t)
		})
	}
}
