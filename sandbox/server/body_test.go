package server

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"testing/iotest"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestGrow(t *testing.T) {
	for _, n := range []int{0, 1, firstPiece - 1, firstPiece, firstPiece + 1, 1 << 20, 3<<20 + 7} {
		want := bytes.Repeat([]byte{'x'}, n)
		for _, most := range []int64{int64(n), int64(n) + 1, 64 << 20} {
			for name, r := range map[string]io.Reader{"whole": bytes.NewReader(want), "halves": iotest.HalfReader(bytes.NewReader(want)),
				"with the end": iotest.DataErrReader(bytes.NewReader(want))} {
				if got, err := grow(r, most); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d of %d, %s: %d, %v", n, most, name, len(got), err)
				}
			}
		}
	}
	if _, err := grow(&exactly{bytes.NewReader([]byte("abc")), 4}, 4); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// What is announced and does not come takes no memory.
func TestAnAnnouncedBodyTakesNoMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := grow(&exactly{bytes.NewReader(make([]byte, 100)), 64 << 20}, 64<<20)
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; err == nil || allocated > 1<<20 {
		t.Errorf("%d bytes, %v", allocated, err)
	}
}
