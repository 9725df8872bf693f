package peer

import "sync"

// TypedActor is a tuned channel actor: commands are values instead of closures,
// and reply channels come from a pool. The ratios use TypedActor. The catalog
// leaves it out, for lack of bulk reads and of a backup.
func TypedActor() System {
	return System{Name: "typed actor", Open: openTypedActor}
}

type typedActor struct {
	mailbox chan typedCommand
	entries map[string]string // touched by run alone
	replies sync.Pool         // of chan reply
}

type typedCommand struct {
	kind       typedKind
	key, value string
	reply      chan reply // nil if the sender does not wait
}

type typedKind int

const (
	typedSet typedKind = iota
	typedGet
	typedDelete
	typedIncrement
	typedSize
)

func openTypedActor(Home) (*Store, error) {
	a := &typedActor{mailbox: make(chan typedCommand, mailboxSize), entries: make(map[string]string)}
	// Capacity 1: the actor never waits for a sender.
	a.replies.New = func() any { return make(chan reply, 1) }
	go a.run()
	return &Store{
		Set:       func(key, value string) { a.mailbox <- typedCommand{kind: typedSet, key: key, value: value} },
		Get:       a.get,
		Delete:    func(key string) { a.mailbox <- typedCommand{kind: typedDelete, key: key} },
		Len:       a.size,
		Increment: func(key string) { a.ask(typedCommand{kind: typedIncrement, key: key}) },
		Update:    func(key string) { a.ask(typedCommand{kind: typedIncrement, key: key}) },
		Drain:     func() { a.size() },
		Close:     func() error { close(a.mailbox); return nil },
	}, nil
}

func (a *typedActor) run() {
	for c := range a.mailbox {
		r := a.handle(c)
		if c.reply != nil {
			c.reply <- r
		}
	}
}

func (a *typedActor) handle(c typedCommand) (r reply) {
	switch c.kind {
	case typedSet:
		a.entries[c.key] = c.value
	case typedGet:
		r.value, r.found = a.entries[c.key]
	case typedDelete:
		delete(a.entries, c.key)
	case typedIncrement:
		a.entries[c.key] = plusOne(a.entries[c.key])
	case typedSize:
		r.size = len(a.entries)
	}
	return r
}

func (a *typedActor) ask(c typedCommand) reply {
	c.reply = a.replies.Get().(chan reply)
	a.mailbox <- c
	r := <-c.reply
	a.replies.Put(c.reply)
	return r
}

func (a *typedActor) get(key string) (string, bool) {
	r := a.ask(typedCommand{kind: typedGet, key: key})
	return r.value, r.found
}

func (a *typedActor) size() int { return a.ask(typedCommand{kind: typedSize}).size }
