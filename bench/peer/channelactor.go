package peer

import "maps"

// ChannelActor is the actor a Go user writes in an afternoon: a goroutine owns the
// map and runs the closures it receives. The goroutine clones the map for a
// backup, and the caller encodes the clone.
func ChannelActor() System {
	return System{
		Name:     "channel actor, cloned",
		Bulk:     Instant,
		Snapshot: Instant,
		Durable:  handWritten,
		Open:     openChannelActor,
		Load:     loadJSON(openChannelActor),
	}
}

const mailboxSize = 128

type owner struct {
	mailbox chan message
	entries map[string]string // touched by run alone
}

// A message is the work of a caller, with the channel for the reply or, if the
// caller does not wait, nil.
type message struct {
	work  func(entries map[string]string) reply
	reply chan reply
}

type reply struct {
	value   string
	found   bool
	size    int
	entries map[string]string
}

func openChannelActor(home Home) (*Store, error) {
	o := &owner{mailbox: make(chan message, mailboxSize), entries: make(map[string]string)}
	go o.run()
	return &Store{
		Set:       o.set,
		Get:       o.get,
		Delete:    o.remove,
		Len:       o.size,
		ReadMany:  o.readMany,
		Increment: o.increment,
		Update:    o.increment,
		Drain:     func() { o.size() },
		Backup:    func() error { return streamTo(home.Backup(), maps.All(o.clone())) },
		Close:     func() error { close(o.mailbox); return nil },
	}, nil
}

func (o *owner) run() {
	for m := range o.mailbox {
		r := m.work(o.entries)
		if m.reply != nil {
			m.reply <- r
		}
	}
}

func (o *owner) tell(work func(map[string]string)) {
	o.mailbox <- message{work: func(entries map[string]string) reply {
		work(entries)
		return reply{}
	}}
}

func (o *owner) ask(work func(map[string]string) reply) reply {
	answer := make(chan reply, 1) // the owner never waits for a caller
	o.mailbox <- message{work, answer}
	return <-answer
}

func (o *owner) set(key, value string) {
	o.tell(func(entries map[string]string) { entries[key] = value })
}

func (o *owner) get(key string) (string, bool) {
	r := o.ask(func(entries map[string]string) reply {
		value, found := entries[key]
		return reply{value: value, found: found}
	})
	return r.value, r.found
}

func (o *owner) remove(key string) {
	o.tell(func(entries map[string]string) { delete(entries, key) })
}

func (o *owner) size() int {
	return o.ask(func(entries map[string]string) reply { return reply{size: len(entries)} }).size
}

func (o *owner) readMany(keys, values []string) {
	o.ask(func(entries map[string]string) reply {
		for i, key := range keys {
			values[i] = entries[key]
		}
		return reply{}
	})
}

func (o *owner) increment(key string) {
	o.ask(func(entries map[string]string) reply {
		entries[key] = plusOne(entries[key])
		return reply{}
	})
}

func (o *owner) clone() map[string]string {
	return o.ask(func(entries map[string]string) reply {
		return reply{entries: maps.Clone(entries)}
	}).entries
}
