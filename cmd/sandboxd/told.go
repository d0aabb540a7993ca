package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox/server"
)

// Variables of --env-file that are for the server and reach no program. They are how a driver tells it what neither the
// command line nor the environment may hold, since both can be looked up by others, or what is another at each start while
// the command line is given once and for all, as that of a container.
const (
	toldKey   = "SANDBOXD_KEY"
	toldOwner = "SANDBOXD_OWNER"
	toldEpoch = "SANDBOXD_EPOCH"
	// As --orphan-after has it; negative is --keep.
	toldOrphanAfter = "SANDBOXD_ORPHAN_AFTER"
)

// told takes these variables out of env and puts their values into c. Code: Invalid.
func (f *flags) told(env []string, c *server.Config) (rest []string, err error) {
	f.untold = len(env) == 0
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		switch name {
		case toldKey:
			c.Key = value
		case toldOwner:
			c.Owner = value
		case toldEpoch:
			if c.Epoch, err = strconv.ParseUint(value, 10, 64); err != nil {
				return nil, invalid("--env-file", fmt.Errorf("%s: want a number", toldEpoch))
			}
			f.epoch = c.Epoch
		case toldOrphanAfter:
			d, err := time.ParseDuration(value)
			if err != nil || d == 0 {
				return nil, invalid("--env-file", fmt.Errorf("%s: want a time that is not 0", toldOrphanAfter))
			}
			c.Keep, c.OrphanAfter = d < 0, max(d, 0)
		default:
			rest = append(rest, v)
		}
	}
	f.owner = c.Owner
	return rest, nil
}

// wantKey refuses to serve a network address without a key where one was to come on standard input: its writer has died
// before it had sent all, and whoever reached the address could run anything. Code: Invalid.
func (f *flags) wantKey(key string) error {
	switch {
	case key != "" || f.envFile != "-":
		return nil
	case f.untold:
		return invalid("--env-file", errors.New("standard input ended before anything was said: whoever was to say it has died or wants no "+
			"server; write "+toldEpoch+"=0 and two NUL bytes at least"))
	case !strings.HasPrefix(f.listen, "tcp:"):
		return nil
	}
	return invalid("--env-file", errors.New("standard input ended without "+toldKey+", and a network address is not served without a key: "+
		"start it again, or listen on unix:PATH, which only its owner reaches"))
}
