package server

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestACrowdIsToldOfOnceAndThatItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := make(chan bool, 10)
		var told []bool
		c := crowd{tell: func(many bool) { all <- many }}
		take := func() []bool {
			for len(all) > 0 {
				told = append(told, <-all)
			}
			return told
		}
		c.note(crowding - 1)
		if len(take()) != 0 {
			t.Fatal("told of a few")
		}
		for range 5 { // goes on
			c.note(crowding)
			time.Sleep(dispersed * 3 / 4)
		}
		if !slices.Equal(take(), []bool{true}) {
			t.Fatal(told)
		}
		time.Sleep(2*dispersed + 1)
		c.note(1)
		if !slices.Equal(take(), []bool{true, false}) {
			t.Fatal(told)
		}
		c.note(crowding) // and another
		time.Sleep(2*dispersed + 1)
		if !slices.Equal(take(), []bool{true, false, true, false}) {
			t.Error(told)
		}
		(&crowd{}).note(crowding) // nobody wants to know
	})
}
