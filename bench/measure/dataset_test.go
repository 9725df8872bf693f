package measure

import "testing"

func TestDataset(t *testing.T) {
	seen := make(map[string]bool)
	for key, value := range Pairs(2000, Old) {
		if len(key) != 16 || seen[key] {
			t.Fatalf("key %q is not 16 bytes, or not the first of its kind", key)
		}
		seen[key] = true
		if len(value) < 40 || len(value) > 60 {
			t.Fatalf("value %q is %d bytes, want 40 to 60", value, len(value))
		}
	}
	if Value(3, Old) == Value(3, New) {
		t.Error("both versions have the same value")
	}
}
