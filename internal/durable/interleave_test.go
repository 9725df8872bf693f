package durable_test

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// long has the tests that enumerate do so to the end. A function, since go test
// does not see, when it looks for cached results, what a variable read.
func long() bool { return os.Getenv("GENIE_LONG") != "" }

// An actor does something on a disk, one operation at a time.
type actor struct {
	waiting chan struct{} // it has come to an operation
	proceed chan struct{} // and may carry it out
	ended   chan struct{} // closed when there are no more
}

// newActor starts work, which uses p, and stops it in front of its first
// operation.
func newActor(p *durabletest.Process, work func()) *actor {
	a := &actor{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	p.Before(func(string, string) {
		a.waiting <- struct{}{}
		<-a.proceed
	})
	go func() {
		defer close(a.ended)
		work()
	}()
	a.wait()
	return a
}

// wait returns when the actor is at its next operation, or has ended.
func (a *actor) wait() (more bool) {
	select {
	case <-a.waiting:
		return true
	case <-a.ended:
		return false
	}
}

// act lets the actor carry out at most n operations. It returns whether there
// are more; after the end it must not be called again.
func (a *actor) act(n int) (more bool) {
	for more = true; n > 0 && more; n-- {
		a.proceed <- struct{}{}
		more = a.wait()
	}
	return more
}

const toTheEnd = 1 << 30

// A race is what two processes do at once, and what must come of it.
type race struct {
	name   string
	plant  func(p *durabletest.Process) durable.FS // puts a bug between, or nil
	setUp  func(t *testing.T, disk *durabletest.Disk) (first, second *process)
	first  work
	second work
	check  func(t require.TestingT, o outcome)
}

// work returns what the process has loaded, if it has.
type work func(p *process) (loaded string, err error)

type outcome struct {
	first, second string // what they loaded
	firstErr      error
	secondErr     error
	waitedInVain  bool   // one did, for the other, which had no turn meanwhile
	previous      string // what was kept of the one that came first
	handedOver    string // what is in the hand-over file, if the file is empty
	recovered     string // by the next process, when both are dead
}

func loading(p *process) (loaded string, err error) {
	p.file, loaded, err = start(p.fsys, backup)
	return loaded, err
}

func committing(contents string) work {
	return func(p *process) (string, error) { return "", commit(p.file, contents) }
}

// exactlyOne requires that one of two loads got the contents.
func exactlyOne(contents string) func(require.TestingT, outcome) {
	return func(t require.TestingT, o outcome) {
		require.NoError(t, errors.Join(o.firstErr, o.secondErr))
		require.ElementsMatch(t, []string{contents, ""}, []string{o.first, o.second})
		require.Equal(t, contents, o.recovered)
	}
}

// oneOf requires that the first process loaded one of these, unless the second
// was in its way to the end, and that the backup of the second, which is the
// last of them, is there in the end.
func oneOf(contents ...string) func(require.TestingT, outcome) {
	return func(t require.TestingT, o outcome) {
		require.NoError(t, o.firstErr)
		if !o.waitedInVain {
			require.Contains(t, contents, o.first)
		}
		newest := contents[len(contents)-1]
		if o.waitedInVain && errors.Is(o.secondErr, durable.ErrInUse) {
			newest = o.first // it had loaded the foreign file
		} else {
			require.NoError(t, o.secondErr)
		}
		require.Equal(t, newest, o.recovered)
	}
}

// lastWins requires that one of two backups is there, whole, and that a backup
// failed only for want of a turn.
func lastWins(t require.TestingT, o outcome) {
	backups := map[string]error{"first": o.firstErr, "second": o.secondErr}
	require.NoError(t, backups[o.recovered])
	require.Contains(t, backups, o.recovered)
	delete(backups, o.recovered)
	for _, err := range backups {
		if !o.waitedInVain || !errors.Is(err, durable.ErrInUse) {
			require.NoError(t, err)
		}
	}
}

var races = []race{
	{
		name: "load against load",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			return unstarted(t, disk), unstarted(t, disk)
		},
		first:  loading,
		second: loading,
		check:  exactlyOne("old"),
	},
	{
		name: "recovery against recovery",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			newProcess(t, disk, "old").kill()
			return unstarted(t, disk), unstarted(t, disk)
		},
		first:  loading,
		second: loading,
		check:  exactlyOne("old"),
	},
	{
		name: "load against the first backup of another",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			writer := newProcess(t, disk, "old")
			return unstarted(t, disk), writer
		},
		first:  loading,
		second: committing("new"),
		check:  oneOf("", "new"),
	},
	{
		name: "load against a later backup of another",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("older"))
			writer := newProcess(t, disk, "older")
			writer.commit("old")
			return unstarted(t, disk), writer
		},
		first:  loading,
		second: committing("new"),
		check:  oneOf("old", "new"),
	},
	{
		name: "recovery against a backup of another",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			owner := newProcess(t, disk, "old")
			writer := newProcess(t, disk, "")
			owner.kill()
			return unstarted(t, disk), writer
		},
		first:  loading,
		second: committing("new"),
		check:  oneOf("old", "new"),
	},
	{
		name: "load against a backup over a foreign file",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			writer := newProcess(t, disk, "old")
			disk.WriteFile(backup, []byte("foreign"))
			return unstarted(t, disk), writer
		},
		first:  loading,
		second: committing("new"),
		check:  oneOf("foreign", "new"),
	},
	{
		name: "backup against backup",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			return newProcess(t, disk, "old"), newProcess(t, disk, "")
		},
		first:  committing("first"),
		second: committing("second"),
		check:  lastWins,
	},
	{
		name: "later backup against later backup",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			first, second := newProcess(t, disk, ""), newProcess(t, disk, "")
			first.commit("older")
			second.commit("old")
			return first, second
		},
		first:  committing("first"),
		second: committing("second"),
		check: func(t require.TestingT, o outcome) {
			lastWins(t, o)
			if errors.Join(o.firstErr, o.secondErr) == nil {
				require.ElementsMatch(t, []string{"first", "second"}, []string{o.recovered, o.previous})
			}
		},
	},
}

// run has the first process do i operations, the second j, the first k, and then
// both what is left. It tells which of the three had more to do, not counting
// those that did nothing but wait for the other.
func (r race) run(t *testing.T, i, j, k int) (o outcome, more [3]bool, disk *durabletest.Disk) {
	disk = durabletest.NewDisk()
	first, second := r.setUp(t, disk)
	if r.plant != nil {
		first.fsys, second.fsys = r.plant(first.Process), r.plant(second.Process)
	}
	a := newActor(first.Process, func() { o.first, o.firstErr = r.first(first) })
	b := newActor(second.Process, func() { o.second, o.secondErr = r.second(second) })
	began := time.Now()
	waited := func() time.Duration { return time.Since(began) }

	again := a.act(i)
	more[0] = again
	againB := b.act(j)
	more[1] = againB && waited() == 0
	before := waited()
	again = again && a.act(k)
	more[2] = again && waited() == before
	if againB {
		b.act(toTheEnd)
	}
	if again {
		a.act(toTheEnd)
	}
	o.waitedInVain = waited() >= time.Second
	first.kill()
	second.kill()
	kept, _ := disk.ReadFile(previous)
	o.previous = string(kept)
	if there, _ := disk.ReadFile(backup); len(there) == 0 {
		loaded, _ := disk.ReadFile(handOver)
		o.handedOver = string(loaded)
	}
	return o, more, disk
}

// TestTwoProcessesAtOnce takes the turns of two processes in every order with
// at most two changes from one to the other, and at length with three. The time
// of their waiting is a bubble's.
func TestTwoProcessesAtOnce(t *testing.T) {
	for _, r := range races {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { r.inEveryOrder(t, t) })
		})
	}
}

// inEveryOrder checks every order with to, and what is there afterwards: on the
// disk as it is, and as a power cut may leave it.
func (r race) inEveryOrder(t *testing.T, to require.TestingT) {
	orders, inVain, third := 0, 0, toTheEnd
	for i, again := 0, true; again; i++ {
		for j, againJ := 0, true; againJ; j++ {
			for k, againK := 0, true; againK; k++ {
				if long() {
					third = k
				}
				o, more, disk := r.run(t, i, j, third)
				if o.handedOver != "" {
					require.Contains(to, []string{o.first, o.second}, o.handedOver)
				}
				for image := range disk.Crashes() {
					o.recovered = recovered(t, image)
					r.check(to, o)
				}
				o.recovered = recovered(t, disk)
				r.check(to, o)
				orders++
				if o.waitedInVain {
					inVain++
				}
				again, againJ, againK = more[0], more[1], more[2]
			}
		}
	}
	t.Logf("%d orders, %d with waiting in vain", orders, inVain)
}

// recovered returns what a process loads that has the disk to itself.
func recovered(t *testing.T, disk *durabletest.Disk) string {
	t.Helper()
	p := disk.Process()
	defer durable.Forget(p)
	_, loaded, err := start(p, backup)
	require.NoError(t, err)
	return loaded
}

// lockless is a file system on which everybody gets every lock.
type lockless struct{ *durabletest.Process }

func (l lockless) Own(name string) (durable.Handle, bool, error) {
	h, _, err := l.Process.Own(name)
	return h, err == nil, err
}

// A detector is a require.TestingT that notes failures.
type detector struct{ caught bool }

func (d *detector) Errorf(string, ...any) { d.caught = true }
func (d *detector) FailNow()              {}

func TestWithoutLocksTwoProcessesLoadTheSame(t *testing.T) {
	r := races[0]
	r.plant = func(p *durabletest.Process) durable.FS { return lockless{p} }
	var d detector
	synctest.Test(t, func(t *testing.T) { r.inEveryOrder(t, &d) })
	require.True(t, d.caught, r.name)
}
