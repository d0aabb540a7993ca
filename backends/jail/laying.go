package jail

import (
	"fmt"
	"os"
)

// laying lays the layers over each other that a living jail is to have, in a mount namespace of its own and in two steps: all that can
// be done while its programs go on, and the rest while they stand still.
type laying struct {
	ready   chan struct{} // closed after the first step
	proceed chan bool     // whether there is to be a second
	done    chan error
	ended   bool

	root  *os.File // that it is to have too, if it is rooted
	files []*os.File
}

// layAhead makes the first step for the label that there is to be; base is the root, if that is rooted. It must be ended by finish or drop.
func (d *Driver) layAhead(h home, next label, base *os.File) (*laying, error) {
	y := &laying{ready: make(chan struct{}), proceed: make(chan bool, 1), done: make(chan error, 1)}
	go func() {
		err := privately(func() error { return y.lay(d, h, next, base) })
		if err != nil {
			err = fmt.Errorf("lay %d layers over each other: %w", len(next.Layers), err)
		}
		y.done <- err
	}()
	select {
	case <-y.ready:
		return y, nil
	case err := <-y.done:
		return nil, err
	}
}

func (y *laying) lay(d *Driver, h home, next label, base *os.File) error {
	o, err := d.compose(next, d.layers().Path(next.Layers[0]))
	defer o.close()
	if err != nil {
		return err
	}
	close(y.ready)
	if !<-y.proceed {
		return nil
	}
	if base != nil {
		if y.root, err = d.layRoot(h, next, base); err != nil {
			return err
		}
	}
	names, _ := d.parts(next)
	y.files, err = o.mount(names)
	return err
}

// finish makes the second step, after which root and files are there.
func (y *laying) finish() error { return y.end(true) }

// drop lets go of all. Idempotent, also of none and after finish.
func (y *laying) drop() {
	if y == nil {
		return
	}
	_ = y.end(false)
	closeAll(append(y.files, y.root))
	y.root, y.files = nil, nil
}

func (y *laying) end(proceed bool) error {
	if y.ended {
		return nil
	}
	y.ended = true
	y.proceed <- proceed
	return <-y.done
}
