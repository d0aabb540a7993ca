package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/runsc/config"
	"gvisor.dev/gvisor/runsc/container"
	"gvisor.dev/gvisor/runsc/flag"
)

// hold makes the sandbox that it is told of, and returns how its first process ended. It is the first process of its
// namespaces: when it ends, for whatever reason, the kernel ends all that gVisor has started.
func hold() (code int, err error) {
	runtime.LockOSThread() // gVisor's processes end with the thread that started them
	if err := alone(); err != nil {
		return 0, err
	}
	o, err := readOrder()
	if err != nil {
		return 0, err
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	killed := o.killed()
	c, err := o.start()
	if err != nil {
		return 0, err
	}
	// They are the sandbox's from here on: as long as this process had them too, nobody would see them end.
	for _, f := range []*os.File{os.Stdin, os.Stdout} {
		f.Close()
	}
	go func() { // ends with the process
		for range asked {
			_ = c.SignalContainer(unix.SIGTERM, false) // one that has ended needs none
		}
	}()
	if err := leave(); err != nil {
		return 0, err
	}
	if err := o.resign(); err != nil {
		return 0, err
	}
	debug.FreeOSMemory() // it waits from here on, for days perhaps
	status, err := c.Wait()
	switch {
	case o.killed() > killed:
		return starved, nil
	case err != nil:
		fmt.Fprintln(os.Stderr, "sandtree-gvisor: gVisor has ended:", err)
		return broken, nil
	case status.Signaled():
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// start makes the sandbox, and starts its first process.
func (o *order) start() (*container.Container, error) {
	if err := o.assemble(); err != nil {
		return nil, fmt.Errorf("%w: %w", errCannot, err)
	}
	if err := forbidSetIDs(); err != nil {
		return nil, fmt.Errorf("%w: %w", errCannot, err)
	}
	spec, err := o.describe()
	if err != nil {
		return nil, err
	}
	conf, err := o.config()
	if err != nil {
		return nil, err
	}
	c, err := container.New(conf, container.Args{ID: o.ID, Spec: spec, BundleDir: bundleDir, Attached: true})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCannot, err)
	}
	if err := c.Start(conf); err != nil {
		return nil, fmt.Errorf("%w: %w", errCannot, err)
	}
	return c, nil
}

// config is gVisor's.
func (o *order) config() (*config.Config, error) {
	network := "host" // of this process: a network namespace with nothing but lo, and the doors that somebody has opened there
	if o.Loopback {
		network = "none"
	}
	overlay := "none"
	if o.Overlay {
		overlay = "root:memory"
	}
	args := []string{
		"--root=" + stateDir, "--platform=systrap", "--network=" + network, "--overlay2=" + overlay,
		"--ignore-cgroups", // it was born in the one that bounds it
		// The server makes a socket in a directory that its caller sees. None that is there can be connected to.
		"--host-uds=create",
		"--gofer-network-namespace=new", "--host-settings=ignore", "--net-raw=false", "--allow-suid=false",
	}
	if o.Debug != "" {
		args = append(args, "--debug", "--debug-log="+o.Debug+"/", "--log="+o.Debug+"/runsc.log")
	} else {
		log.SetTarget(&log.GoogleEmitter{Writer: &log.Writer{Next: io.Discard}})
	}
	fs := flag.NewFlagSet("sandtree-gvisor", flag.ContinueOnError)
	config.RegisterFlags(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return config.NewFromFlags(fs)
}

// killed is how many processes of the control group the kernel has killed for want of memory; 0 if it does not count. The file stays
// open: later it is not to be seen from here.
func (o *order) killed() int {
	if o.OOM == "" {
		return 0
	}
	if o.counter == nil {
		f, err := os.Open(o.OOM)
		if err != nil {
			return 0
		}
		o.counter = f
	}
	for s := bufio.NewScanner(io.NewSectionReader(o.counter, 0, 1<<16)); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), "oom_kill "); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 0
}
