package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/sandbox/server"
)

// Variables of --env-file that are for the server and reach no program. They are how a driver tells it what neither the
// command line nor the environment may hold, since both can be looked up by others, or what is another at each start while
// the command line is given once and for all, as that of a container.
const (
	toldKey   = "SANDBOXD_KEY"
	toldOwner = "SANDBOXD_OWNER"
	toldEpoch = "SANDBOXD_EPOCH"
)

// told takes these variables out of env and puts their values into c. Code: Invalid.
func (f *flags) told(env []string, c *server.Config) (rest []string, err error) {
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
	if key != "" || f.envFile != "-" || !strings.HasPrefix(f.listen, "tcp:") {
		return nil
	}
	return invalid("--env-file", errors.New("standard input ended without "+toldKey+", and a network address is not served without a key: "+
		"start it again, or listen on unix:PATH, which only its owner reaches"))
}
