package durable_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/windevkay/forge/genie/internal/durable"
	"github.com/windevkay/forge/genie/internal/durable/durabletest"
)

// long has the tests that enumerate do so to the end.
var long = os.Getenv("GENIE_LONG") != ""

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
	name  string
	setUp func(t *testing.T, disk *durabletest.Disk) (first, second *process)
	first func(p *process) (loaded string, err error)
	other func(p *process) (loaded string, err error)
	check func(t *testing.T, o outcome)
}

type outcome struct {
	first, other       string // what they loaded
	firstErr, otherErr error
	recovered          string // by the next process, when both are dead
	previous           string
}

func loading(p *process) (loaded string, err error) {
	p.file, loaded, err = start(p.Process, backup)
	return loaded, err
}

func committing(contents string) func(*process) (string, error) {
	return func(p *process) (string, error) { return "", commit(p.file, contents) }
}

var races = []race{
	{
		name: "load against load",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			return unstarted(t, disk), unstarted(t, disk)
		},
		first: loading,
		other: loading,
		check: func(t *testing.T, o outcome) {
			require.NoError(t, o.firstErr)
			require.NoError(t, o.otherErr)
			require.ElementsMatch(t, []string{"old", ""}, []string{o.first, o.other}, "one of them loads it")
			require.Equal(t, "old", o.recovered)
		},
	},
	{
		name: "load against a first backup",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			writer := newProcess(t, disk, "old")
			return unstarted(t, disk), writer
		},
		first: loading,
		other: committing("new"),
		check: func(t *testing.T, o outcome) {
			require.NoError(t, o.firstErr)
			if o.otherErr != nil { require.Equal(t,"old",o.recovered); return }
			require.Contains(t, []string{"", "new"}, o.first)
			require.Equal(t, "new", o.recovered)
		},
	},
	{
		name: "load against a later backup",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("older"))
			writer := newProcess(t, disk, "older")
			writer.commit("old")
			return unstarted(t, disk), writer
		},
		first: loading,
		other: committing("new"),
		check: func(t *testing.T, o outcome) {
			require.NoError(t, o.firstErr)
			if o.otherErr != nil { require.Equal(t,"old",o.recovered); return }
			require.Contains(t, []string{"old", "new"}, o.first)
			require.Equal(t, "new", o.recovered)
		},
	},
	{
		name: "recovery against a backup",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			owner := newProcess(t, disk, "old")
			writer := newProcess(t, disk, "")
			owner.kill()
			return unstarted(t, disk), writer
		},
		first: loading,
		other: committing("new"),
		check: func(t *testing.T, o outcome) {
			require.NoError(t, o.firstErr)
			if o.otherErr != nil { require.Equal(t,"old",o.recovered); return }
			require.Contains(t, []string{"old", "new"}, o.first)
			require.Equal(t, "new", o.recovered)
		},
	},
	{
		name: "recovery against recovery",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			newProcess(t, disk, "old").kill()
			return unstarted(t, disk), unstarted(t, disk)
		},
		first: loading,
		other: loading,
		check: func(t *testing.T, o outcome) {
			require.NoError(t, o.firstErr)
			require.NoError(t, o.otherErr)
			require.ElementsMatch(t, []string{"old", ""}, []string{o.first, o.other}, "one of them loads it")
			require.Equal(t, "old", o.recovered)
		},
	},
	{
		name: "backup against backup",
		setUp: func(t *testing.T, disk *durabletest.Disk) (*process, *process) {
			disk.WriteFile(backup, []byte("old"))
			return newProcess(t, disk, "old"), newProcess(t, disk, "")
		},
		first: committing("first"),
		other: committing("other"),
		check: func(t *testing.T, o outcome) {
			require.NoError(t, o.firstErr)
			require.NoError(t, o.otherErr)
			require.Contains(t, []string{"first", "other"}, o.recovered)
		},
	},
}

// unstarted is a process that has not loaded anything yet.
func unstarted(t *testing.T, disk *durabletest.Disk) *process {
	p := &process{Process: disk.Process(), t: t}
	t.Cleanup(p.kill)
	return p
}

// run has the first process do i operations, the other j, the first k, and then
// both what is left. It reports whether there was so much to do.
func (r race) run(t *testing.T, i, j, k int) (o outcome, reached [3]bool) {
	disk := durabletest.NewDisk()
	first, other := r.setUp(t, disk)
	a := newActor(first.Process, func() { o.first, o.firstErr = r.first(first) })
	b := newActor(other.Process, func() { o.other, o.otherErr = r.other(other) })
	reached[0] = a.act(i)
	reached[1] = b.act(j)
	if reached[0] {
		reached[2] = a.act(k)
	}
	if reached[1] {
		b.act(toTheEnd)
	}
	if reached[2] {
		a.act(toTheEnd)
	}
	<-a.ended
	<-b.ended
	first.kill()
	other.kill()
	p := disk.Process()
	_, recovered, err := start(p, backup)
	require.NoError(t, err)
	durable.Forget(p)
	o.recovered = recovered
	if data, ok := disk.ReadFile(previous); ok {
		o.previous = string(data)
	}
	return o, reached
}

// TestTwoProcessesAtOnce takes the turns of two processes in every order with
// at most two changes from one to the other, and at length with three.
func TestTwoProcessesAtOnce(t *testing.T) {
	for _, r := range races {
		t.Run(r.name, func(t *testing.T) {
			orders := 0
			for i, again := 0, true; again; i++ {
				for j, againJ := 0, true; againJ; j++ {
					for k, againK := 0, true; againK; k++ {
						third := toTheEnd
						if long {
							third = k
						}
						o, reached := r.run(t, i, j, third)
						if r.check(t, o); t.Failed() {
							return
						}
						orders++
						again, againJ, againK = reached[0], reached[1], reached[2]
					}
				}
			}
			t.Logf("%d orders", orders)
		})
	}
}
