package server

// A crew performs actions on goroutines that stay for the next: a new one would have to grow its stack anew for each
// action, which takes longer than most of what it does.
type crew struct {
	work chan *action
	idle chan struct{} // has room for as many as stay
}

// maxIdle is how many goroutines wait for work.
const maxIdle = 16

func newCrew() crew { return crew{work: make(chan *action), idle: make(chan struct{}, maxIdle)} }

// assign has somebody perform act; the server must not be stopping.
func (s *Server) assign(act *action) {
	select {
	case s.crew.work <- act:
	default:
		s.working.Go(func() { s.serveCrew(act) })
	}
}

func (s *Server) serveCrew(act *action) {
	for {
		s.work(act)
		select {
		case s.crew.idle <- struct{}{}:
		default:
			return
		}
		select {
		case act = <-s.crew.work:
			<-s.crew.idle
		case <-s.life.Done():
			// An action that came just before that is with somebody, or has its own goroutine.
			<-s.crew.idle
			return
		}
	}
}
