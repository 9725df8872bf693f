package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/windevkay/forge/genie"
)

// compare compares the backup with a plain map, for which one goroutine counts the
// words again, without the store.
func (t *tour) compare(ctx context.Context) error {
	want, err := t.plainCount(ctx)
	if err != nil {
		return err
	}
	store, err := genie.NewStore(genie.WithPath(t.path), genie.WithReadOnly())
	if err != nil {
		return err
	}
	got := store.Snapshot()
	if err := sameCounts(got, want); err != nil {
		return fmt.Errorf("the backup differs from a plain map: %w", err)
	}
	t.say("All files are counted. The last backup is equal to a plain map that was counted without")
	t.say("genie: yes, %d different words in %d files.", len(want), len(t.files))
	return nil
}

func (t *tour) plainCount(ctx context.Context) (counts map[string]int, err error) {
	counts = map[string]int{}
	for _, name := range t.files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		some, err := words(t.folder, name)
		if err != nil {
			return nil, err
		}
		for word, n := range some {
			counts[word] += n
		}
	}
	return counts, nil
}

// sameCounts returns an error that names a word if the store has other counts.
func sameCounts(store map[string]string, want map[string]int) error {
	found := 0
	for key, value := range store {
		w, isWord := strings.CutPrefix(key, word)
		if !isWord {
			continue
		}
		found++
		if value != strconv.Itoa(want[w]) {
			return fmt.Errorf("%q is counted %s times, not %d", w, value, want[w])
		}
	}
	if found != len(want) {
		return fmt.Errorf("%d words, not %d", found, len(want))
	}
	return nil
}
