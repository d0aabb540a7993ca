package instruments

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// The profiles are served from here and not by net/http/pprof, which changes a server of every program that imports it.

// longestProfile bounds what is measured over time.
const longestProfile = time.Minute

// loopback says whether a host is this one's own and nobody else's.
func loopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// local keeps a page of elsewhere from asking by a name of its own that leads here.
func local(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		if !loopback(host) || !loopback(from) {
			http.Error(w, "profiles are for this host alone: ask at a loopback address", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// profiles answers as net/http/pprof does, for `go tool pprof` and `go tool trace`.
func profiles(w http.ResponseWriter, r *http.Request) {
	switch name := strings.TrimPrefix(r.URL.Path, "/debug/pprof/"); name {
	case "":
		for _, p := range pprof.Profiles() {
			fmt.Fprintf(w, "%6d %s\n", p.Count(), p.Name())
		}
		fmt.Fprintln(w, "       profile?seconds=30\n       trace?seconds=5")
	case "profile":
		over(w, r, 30*time.Second, func() error { return pprof.StartCPUProfile(w) }, pprof.StopCPUProfile)
	case "trace":
		over(w, r, time.Second, func() error { return trace.Start(w) }, trace.Stop)
	default:
		p := pprof.Lookup(name)
		if p == nil {
			http.Error(w, "no such profile: GET /debug/pprof/ lists them", http.StatusNotFound)
			return
		}
		debug, _ := strconv.Atoi(r.FormValue("debug"))
		if debug == 0 {
			w.Header().Set("Content-Type", "application/octet-stream")
		}
		_ = p.WriteTo(w, debug) // the client has gone
	}
}

// over measures for as long as was asked for.
func over(w http.ResponseWriter, r *http.Request, usual time.Duration, start func() error, stop func()) {
	d := usual
	if s := r.FormValue("seconds"); s != "" {
		n, err := strconv.ParseFloat(s, 64)
		if d = time.Duration(n * float64(time.Second)); err != nil || d <= 0 || d > longestProfile {
			http.Error(w, fmt.Sprintf("seconds: want more than 0, to %.0f", longestProfile.Seconds()), http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := start(); err != nil {
		w.Header().Del("Content-Type")
		http.Error(w, err.Error(), http.StatusConflict) // somebody else measures
		return
	}
	defer stop()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// listenCode is the code of a listener that could not be had.
func listenCode(err error) sandbox.Code {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return sandbox.Conflict
	case errors.Is(err, os.ErrPermission):
		return sandbox.Denied
	}
	return sandbox.Invalid
}
