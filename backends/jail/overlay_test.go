package jail

import (
	"slices"
	"testing"
)

func TestOptionsOfOlderKernels(t *testing.T) {
	got := inOneOption([]string{"lowerdir+", "/proc/self/fd/7", "lowerdir+", "/proc/self/fd/12", "upperdir", "/proc/self/fd/3", "volatile", ""})
	if want := []string{"upperdir", "/proc/self/fd/3", "volatile", "", "lowerdir", "7:12"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
