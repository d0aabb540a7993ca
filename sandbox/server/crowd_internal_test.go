package server

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestACrowdIsToldOfOnceAndThatItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		c := crowd{tell: func(many bool) { told = append(told, many) }}
		c.note(crowding - 1)
		if len(told) != 0 {
			t.Fatal("told of a few")
		}
		for range 5 { // goes on
			c.note(crowding)
			time.Sleep(dispersed * 3 / 4)
		}
		if !slices.Equal(told, []bool{true}) {
			t.Fatal(told)
		}
		time.Sleep(2*dispersed + 1)
		c.note(1)
		if !slices.Equal(told, []bool{true, false}) {
			t.Fatal(told)
		}
		c.note(crowding) // and another
		time.Sleep(2*dispersed + 1)
		if !slices.Equal(told, []bool{true, false, true, false}) {
			t.Error(told)
		}
		(&crowd{}).note(crowding) // nobody wants to know
	})
}
