// Child is one process of several that use a journal, for the tests: it does what its second argument says with the
// journal of the first, until it is killed or its stdin ends.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path, role string) error {
	j, err := journal.Open(journal.Config{Path: path})
	if err != nil {
		return err
	}
	defer j.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if role != "once" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	switch role {
	case "append":
		return appendForEver(ctx, j)
	case "log":
		return logForEver(ctx, j)
	case "hold":
		l, err := j.Acquire(ctx, "a", "child", time.Hour)
		if err != nil {
			return err
		}
		fmt.Println(l.Epoch())
		<-ctx.Done()
	case "once": // one append for each line asked for
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			if _, err := j.Append(context.Background(), "a", 99, journal.Record{Type: journal.TypeNote, Body: json.RawMessage(in.Text())}); err != nil {
				return err
			}
		}
	}
	return nil
}

// logForEver logs to the runtime "b" from several goroutines and tells of each acknowledged record on stdout.
func logForEver(ctx context.Context, j *journal.Journal) error {
	l, err := j.Acquire(ctx, "b", fmt.Sprint("child ", os.Getpid()), time.Hour)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			body, _ := json.Marshal(strings.Repeat("x", rand.IntN(6000)))
			for ctx.Err() == nil {
				word := sandbox.NewActionID()
				if err := j.Log(ctx, "b", l.Epoch(), journal.Record{Type: journal.TypeAction, ActionID: word, Body: body}); err != nil {
					return
				}
				fmt.Println(word)
				time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond) // so that some are pending when it is killed, and some are not
			}
		})
	}
	wg.Wait()
	return nil
}

// appendForEver appends from several goroutines and tells of each acknowledged number on stdout.
func appendForEver(ctx context.Context, j *journal.Journal) error {
	l, err := j.Acquire(ctx, "a", fmt.Sprint("child ", os.Getpid()), time.Hour)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			pad := strings.Repeat("x", rand.IntN(6000)) // some fill pages of their own
			for ctx.Err() == nil {
				word := sandbox.NewActionID()
				body, _ := json.Marshal([]string{word, pad})
				seq, err := j.Append(ctx, "a", l.Epoch(), journal.Record{Type: journal.TypeAction, ActionID: word, Body: body})
				if err != nil {
					return
				}
				fmt.Printf("%d %s\n", seq, word)
			}
		})
	}
	wg.Wait()
	return nil
}
