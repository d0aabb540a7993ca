package jail

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/doors"
	"github.com/sandtree/sandtree/internal/held"
)

// doorsLimit is how long the first process of a jail may take to give its doors, which it does at once or never.
const doorsLimit = 5 * time.Second

// askDoors has the first process of a jail give them.
func askDoors(ctx context.Context, h homes.Home, _ *held.Process) (doors.Set, error) {
	set, err := home{h}.askDoors(ctx)
	if err != nil {
		return set, fmt.Errorf("its doors: %w", err)
	}
	return set, nil
}

func (h home) askDoors(ctx context.Context) (doors.Set, error) {
	ctx, cancel := context.WithTimeout(ctx, doorsLimit)
	defer cancel()
	path, done, err := h.socket(doorsSocket)
	if err != nil {
		return doors.Set{}, err
	}
	defer done()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return doors.Set{}, err
	}
	defer conn.Close()
	until, _ := ctx.Deadline()
	conn.SetDeadline(until)
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	return doors.Receive(conn.(*net.UnixConn))
}
