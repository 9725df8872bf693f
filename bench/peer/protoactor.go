package peer

import (
	"log/slog"
	"maps"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// protoActor is the store on an actor runtime: Set is Send, Get is a
// RequestFuture. The actor clones the map for a backup, and the caller encodes
// the clone.
func protoActor() System {
	return System{
		Name:     "protoactor, cloned",
		Bulk:     Instant,
		Snapshot: Instant,
		Durable:  handWritten,
		Open:     openProtoActor,
		Load:     loadJSON(openProtoActor),
	}
}

// patience is longer than any measured backup: a stalled actor shows as a slow
// answer, not as an error.
const patience = 5 * time.Minute

type (
	protoSet       struct{ key, value string }
	protoGet       struct{ key string }
	protoDelete    struct{ key string }
	protoIncrement struct{ key string }
	protoReadMany  struct{ keys, values []string }
	protoSize      struct{}
	protoClone     struct{}
)

type found struct {
	value string
	ok    bool
}

// proto is the actor: the runtime calls Receive for one message at a time.
type proto struct{ entries map[string]string }

func (p *proto) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *protoSet:
		p.entries[m.key] = m.value
	case *protoDelete:
		delete(p.entries, m.key)
	case *protoGet:
		value, ok := p.entries[m.key]
		ctx.Respond(&found{value, ok})
	case *protoIncrement:
		p.entries[m.key] = plusOne(p.entries[m.key])
		ctx.Respond(m)
	case *protoReadMany:
		for i, key := range m.keys {
			m.values[i] = p.entries[key]
		}
		ctx.Respond(m)
	case *protoSize:
		ctx.Respond(len(p.entries))
	case *protoClone:
		ctx.Respond(maps.Clone(p.entries))
	}
}

type protoClient struct {
	root *actor.RootContext
	pid  *actor.PID
}

func openProtoActor(home Home) (*Store, error) {
	silent := actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	})
	root := actor.NewActorSystem(silent).Root
	create := func() actor.Actor { return &proto{make(map[string]string)} }
	// The default mailbox has no bound: writers that do not wait fill it until
	// the memory is gone, and every Get queues behind their writes.
	bounded := actor.WithMailbox(actor.Bounded(mailboxSize))
	c := protoClient{root, root.Spawn(actor.PropsFromProducer(create, bounded))}
	return c.store(home), nil
}

func (c protoClient) store(home Home) *Store {
	return &Store{
		Set:       func(key, value string) { c.root.Send(c.pid, &protoSet{key, value}) },
		Get:       c.get,
		Delete:    func(key string) { c.root.Send(c.pid, &protoDelete{key}) },
		Len:       c.size,
		ReadMany:  func(keys, values []string) { c.ask(&protoReadMany{keys, values}) },
		Increment: func(key string) { c.ask(&protoIncrement{key}) },
		Drain:     func() { c.size() },
		Backup:    func() error { return streamTo(home.Backup(), maps.All(c.clone())) },
		Close:     func() error { return c.root.StopFuture(c.pid).Wait() },
	}
}

func (c protoClient) ask(message any) any {
	answer, err := c.root.RequestFuture(c.pid, message, patience).Result()
	must(err)
	return answer
}

func (c protoClient) get(key string) (string, bool) {
	f := c.ask(&protoGet{key}).(*found)
	return f.value, f.ok
}

func (c protoClient) size() int { return c.ask(&protoSize{}).(int) }

func (c protoClient) clone() map[string]string {
	return c.ask(&protoClone{}).(map[string]string)
}
