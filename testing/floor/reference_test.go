package floor_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkReference is work of the kind that our hot pieces do, with nothing of ours in it: text is searched, split, copied and kept in a map;
// and a goroutine is handed something and answers. Where there is no older version to compare a piece with, its ratio to this is compared.
// It is never to be changed, or testing/floor/testdata/ratios.txt must be written anew.
func BenchmarkReference(b *testing.B) {
	text := []byte(strings.Repeat("some line of output, quite usual\n", 100))
	ask, answer := make(chan int), make(chan int)
	go func() {
		defer close(answer)
		for n := range ask {
			answer <- n + 1
		}
	}()
	for b.Loop() {
		seen := map[string]int{}
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			seen[string(line)] += len(line)
		}
		kept := append([]byte(nil), text...)
		for i, c := range kept {
			if c == ' ' {
				kept[i] = '_'
			}
		}
		_ = fmt.Sprintf("%d %s %q", seen["some line of output, quite usual"], kept[:40], kept[len(kept)-20:])
		for range 4 {
			ask <- 1
			<-answer
		}
	}
	close(ask)
	<-answer
}
