package stage

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/sandtree/sandtree/internal/doors"
)

// network brings the jail's own loopback up, which is all the network there is, with the doors through which somebody
// outside lets out what may go out.
func network(s *Spec) (doors.Set, error) {
	set, err := doors.Open()
	if err != nil || s.Doors > 0 {
		return set, err
	}
	set.Close() // nobody will ask
	return doors.Set{}, nil
}

// KeepDoors gives the doors to whoever asks for them at the socket that the Spec names, for as long as the jail lives: the
// one who lets out can end, and another one take over.
func (s *Spec) KeepDoors(set doors.Set) error {
	if s.Doors == 0 {
		return nil
	}
	f := os.NewFile(uintptr(s.Doors), "doors")
	if f == nil {
		return fmt.Errorf("descriptor %d is none", s.Doors)
	}
	l, err := net.FileListener(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	asked, ok := l.(*net.UnixListener)
	if !ok {
		return errors.New("the doors are asked for at a Unix socket")
	}
	go set.Settle() // not before privileges are gone: it would hold up every thread
	go func() {     // ends with the process
		_ = set.Keep(asked)
	}()
	return nil
}
