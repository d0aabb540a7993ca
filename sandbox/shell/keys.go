package shell

import (
	"strings"

	"golang.org/x/sys/unix"
)

// controlKey is the byte that the special key named s sends: s is exactly "C-" and one character.
func controlKey(s string) (b byte, ok bool) {
	if len(s) != 3 || s[0] != 'C' || s[1] != '-' {
		return 0, false
	}
	switch c := s[2]; {
	case c >= 'a' && c <= 'z', c >= '@' && c <= '_':
		return c & 0x1f, true
	case c == '?' || c == '8':
		return 0x7f, true
	case c >= '3' && c <= '7':
		return c - '3' + 0x1b, true
	case c == '2' || c == ' ':
		return 0, true
	default:
		return c, true
	}
}

// namedKey is what the key named s sends: one of those that are pressed, not typed, when they are a whole input.
// appMode is the terminal's mode of cursor keys.
func namedKey(s string, appMode bool) (keys string, ok bool) {
	arrow := "\x1b["
	if appMode {
		arrow = "\x1bO"
	}
	switch s {
	case "Enter":
		return "\r", true
	case "Escape":
		return "\x1b\r", true
	case "Tab":
		return "\t\r", true
	case "Space":
		return " \r", true
	case "BSpace":
		return "\x7f\r", true
	case "Up":
		return arrow + "A\r", true
	case "Down":
		return arrow + "B\r", true
	case "Right":
		return arrow + "C\r", true
	case "Left":
		return arrow + "D\r", true
	}
	return "", false
}

// typeIn types c into the program that runs.
func (s *Session) typeIn(c *call) error {
	b := s.shell()
	if b == nil {
		return errClosed
	}
	if s.config.Pipes {
		return s.feedPiped(c)
	}
	var keys string
	if c.key != 0 {
		k, _ := controlKey(c.command)
		keys = string([]byte{k})
	} else {
		s.view.mu.Lock()
		appKeys := s.view.screen.keysMode()
		s.view.mu.Unlock()
		var named bool
		if keys, named = namedKey(c.command, appKeys); !named {
			keys = strings.ReplaceAll(c.command, "\n", "\r") + "\r"
			c.echo = c.command
		}
	}
	s.typed = true
	if c.key != 'c' {
		return b.press([]byte(keys))
	}
	if !b.executing() {
		return nil // the command has ended
	}
	to := b.aim()
	err := b.press([]byte(keys))
	if to.former > 0 {
		_ = unix.Kill(-b.pid, unix.SIGINT)
	}
	_ = unix.Kill(b.pid, unix.SIGCONT) // it may have stopped itself
	b.again()
	b.persist(to, false)
	return err
}

// feedHeld adds c to the command that is held because its here-document has no end, and executes it once it has.
func (s *Session) feedHeld(c *call) error {
	command := s.held
	switch c.key {
	case 'c': // the shell drops what has been typed so far
		s.held = ""
		s.view.mu.Lock()
		s.view.takeLocked([]byte("^C\r\n"))
		s.view.mu.Unlock()
		return s.execute("(exit 130)", false)
	case 'd':
		s.held = ""
		return s.execute(command, true)
	case 0:
	default:
		return nil
	}
	line := c.command
	if line == "Enter" {
		line = ""
	}
	s.held += "\n" + line
	if _, unended := inspect(s.held); unended {
		return nil
	}
	command, s.held = s.held, ""
	return s.execute(command, false)
}
