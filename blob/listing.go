package blob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	cloud "gocloud.dev/blob"
)

// A listing is the result of one look at the prefix.
type listing struct {
	copies    []sealedCopy // oldest first
	leftovers []leftover
	newest    time.Time // when the newest object was stored, by the bucket's clock
	began     time.Time // when the look began, by the clock of this process
}

// A sealedCopy is a copy as the listing shows it. A listing is not of one instant: if a copy was
// made meanwhile, the listing may have its seal and not its backup. So a copy whose backup seems
// to be missing may be whole. It does not count as a copy that is kept, and a restore tries it.
type sealedCopy struct {
	Copy
	whole  bool      // the listing has a backup of the right length
	stored time.Time // when it was sealed, by the bucket's clock
}

// A leftover is an object of a copy that was not finished, or is not finished yet.
type leftover struct {
	key    string
	begun  time.Time // the time in the name, by the clock of its writer
	stored time.Time // by the bucket's clock
}

// List returns the sealed copies under the prefix, oldest first. Each was whole when it was
// made. Whether it still is, [Copies.Verify] tells. The error is [io/fs.ErrPermission] if the
// bucket refuses access. A prefix without copies is no error: the list is empty then.
func (c *Copies) List(ctx context.Context) ([]Copy, error) {
	l, err := c.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("genie/blob: list: %w", err)
	}
	var copies []Copy
	for _, f := range l.copies {
		copies = append(copies, f.Copy)
	}
	return copies, nil
}

// list looks at the objects under the prefix, and not at those under a longer prefix.
func (c *Copies) list(ctx context.Context) (*listing, error) { return c.listFrom(ctx, c.prefix) }

// listFrom is list of the objects whose keys begin with begin, which begins with the prefix itself.
func (c *Copies) listFrom(ctx context.Context, begin string) (*listing, error) {
	for attempt := 1; ; attempt++ {
		l, err := c.listOnce(ctx, begin)
		if err == nil && c.folder {
			err = c.checkFolder(ctx)
		}
		if err == nil {
			return l, nil
		}
		if _, gone := errors.AsType[*absentError](err); !c.folder || !gone {
			return nil, err
		}
		if attempt == listAttempts {
			return nil, fmt.Errorf("files disappeared each of %d times that the folder was read: %w", listAttempts, err)
		}
	}
}

// listAttempts is how often a folder is read in which files disappear meanwhile. The driver of
// folders gives up when a file that it has seen is renamed, as each is that another writer has
// finished.
const listAttempts = 1000

// listOnce is listFrom with one attempt.
func (c *Copies) listOnce(ctx context.Context, begin string) (*listing, error) {
	ctx, w := watched(ctx, stallLimit)
	defer w.stop()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // the driver of folders does not look
	}
	s := sorter{prefix: c.prefix, parts: map[string]*parts{}, began: time.Now()}
	size := pageSize
	for token := cloud.FirstPageToken; len(token) > 0; {
		objects, next, err := c.bucket.ListPage(ctx, token, size, &cloud.ListOptions{Prefix: begin, Delimiter: "/"})
		if err != nil {
			return nil, w.failed(ctx, err)
		}
		w.moved()
		for _, object := range objects {
			if !object.IsDir {
				s.add(object)
			}
		}
		token = next
		if c.folder {
			size *= pageGrowth
		}
	}
	return s.sorted(), nil
}

const (
	// pageSize is as many objects as S3 lists in one answer.
	pageSize = 1000

	// pageGrowth is how much larger each page of a folder is than the one before. For each page the
	// driver reads the whole folder, so pages of one size would take a time that grows with the square of
	// the objects. One page for all would take memory for objects that are not there.
	pageGrowth = 8
)

// A sorter puts objects of one copy together.
type sorter struct {
	prefix string
	parts  map[string]*parts // by the key of the backup
	newest time.Time
	began  time.Time
}

// parts are the objects of one copy.
type parts struct {
	copy    Copy
	backup  object
	seal    object
	pending []leftover // files that package fileblob had not finished
}

// An object is what is kept of one that is listed: what a driver gives is many times as large.
type object struct {
	found  bool
	bytes  int64
	stored time.Time
}

// add takes an object, unless its name is none that this package gives.
func (s *sorter) add(found *cloud.ListObject) {
	name := strings.TrimPrefix(found.Key, s.prefix)
	if len(name) < nameSize {
		return
	}
	at, ok := timeOf(name[:nameSize])
	if !ok {
		return
	}
	key := s.prefix + name[:nameSize]
	p := s.parts[key]
	if p == nil {
		p = &parts{copy: Copy{Name: key, Time: at}}
	}
	if p.take(found, name[nameSize:]) {
		s.parts[key] = p
		s.newest = latest(s.newest, found.ModTime)
	}
}

// take takes an object by the rest of its name, behind that of the backup, and reports whether
// it is part of the copy.
func (p *parts) take(found *cloud.ListObject, rest string) bool {
	switch {
	case rest == "":
		p.backup = object{true, found.Size, found.ModTime}
	case !p.seal.found && parseSeal(rest, &p.copy):
		p.seal = object{true, found.Size, found.ModTime}
	case strings.HasSuffix(rest, temporary):
		p.pending = append(p.pending, leftover{found.Key, p.copy.Time, found.ModTime})
	default:
		return false
	}
	return true
}

// sorted returns the listing.
func (s *sorter) sorted() *listing {
	l := &listing{newest: s.newest, began: s.began}
	for _, p := range s.parts {
		if p.seal.found {
			whole := p.backup.found && p.backup.bytes == p.copy.Bytes
			l.copies = append(l.copies, sealedCopy{p.copy, whole, p.seal.stored})
		} else if p.backup.found {
			l.leftovers = append(l.leftovers, leftover{p.copy.Name, p.copy.Time, p.backup.stored})
		}
		l.leftovers = append(l.leftovers, p.pending...)
	}
	slices.SortFunc(l.copies, func(a, b sealedCopy) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(l.leftovers, func(a, b leftover) int { return strings.Compare(a.key, b.key) })
	return l
}

// newName returns the name of a new copy.
func (l *listing) newName() (string, error) {
	name := newName(l.next(time.Now()))
	if _, ok := timeOf(name); !ok {
		return "", fmt.Errorf("no name sorts behind that of %s, whose year is the last that names can have", l.copies[len(l.copies)-1].Name)
	}
	return name, nil
}

// next returns the time for the name of a new copy: now, or just after the newest copy if its
// writer's clock is ahead. A new copy so sorts behind all that are listed.
func (l *listing) next(now time.Time) time.Time {
	if len(l.copies) == 0 {
		return now
	}
	return latest(now, l.copies[len(l.copies)-1].Time.Add(time.Nanosecond))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
