package shell

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
)

// The texts that clients and models look for, byte for byte those of OpenHands.
const (
	hint = `You may wait longer to see additional output by sending empty command '', send other commands to interact ` +
		`with the current process, send keys ("C-c", "C-z", "C-d") to interrupt/kill the previous command before sending ` +
		`your new command, or use the timeout parameter in execute_bash for future commands.`
	prefixContinued = "[Below is the output of the previous command.]\n"
	nothingToPoll   = "ERROR: No previous running command to retrieve logs from."
	nothingToFeed   = "ERROR: No previous running command to interact with."
	interrupted     = "Bash session was likely interrupted..."
	cut             = "\n[... Observation truncated due to length ...]\n"
	tooMany         = "ERROR: Cannot execute multiple commands at once.\n" +
		"Please run each command separately OR chain them into a single command via && or ;\nProvided commands:"
)

const maxContent = 30000 // characters of an observation's content that is not hidden

func suffixDone(code int, key byte) string {
	if code == 0 && key == 0 {
		return "\n[The command completed with exit code 0.]"
	}
	s := "\n[The command completed with exit code " + strconv.Itoa(code) + "."
	if key != 0 {
		s += " CTRL+" + strings.ToUpper(string(rune(key))) + " was sent."
	}
	return s + "]"
}

func suffixQuiet(limit time.Duration) string {
	seconds := strconv.FormatFloat(limit.Seconds(), 'f', -1, 64)
	return "\n[The command has no new output after " + seconds + " seconds. " + hint + "]"
}

func suffixTimeout(limit time.Duration) string {
	return "\n[The command timed out after " + pythonFloat(limit.Seconds()) + " seconds. " + hint + "]"
}

func suffixRefused(command string) string {
	return "\n[Your command \"" + command + "\" is NOT executed. The previous command is still running - You CANNOT send new " +
		"commands until the previous command is completed. By setting `is_input` to `true`, you can interact with the " +
		"current process: " + hint + "]"
}

func prefixLost(lines int) string {
	return "[Previous command outputs are truncated. Showing the last " + strconv.Itoa(lines) + " lines of the output below.]\n"
}

// pythonFloat is f as Python prints it: the shortest form that reads back as f, with a point or an exponent.
func pythonFloat(f float64) string {
	if a := max(f, -f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if strings.IndexByte(s, '.') < 0 {
		s += ".0"
	}
	return s
}

// rejection is the observation for a text of several commands. For a hidden command it is one of kind run, for there
// clients cannot decode an error.
func rejection(parts []string, c *call) sandbox.Observation {
	var b strings.Builder
	b.WriteString(tooMany)
	for i, p := range parts {
		b.WriteString("\n(" + strconv.Itoa(i+1) + ") " + p)
	}
	if c.Hidden {
		m := unknown("", "")
		m.ExitCode = 2 // what bash says of a syntax error
		return sandbox.Observation{Content: b.String(), Result: sandbox.RunResult{Command: c.command, Hidden: true, Metadata: m}}
	}
	return sandbox.Failed("", b.String())
}

// truncate takes the middle out of a long text.
func truncate(text []byte) string {
	if len(text) <= maxContent || utf8.RuneCount(text) <= maxContent {
		return string(text)
	}
	head, tail := 0, len(text)
	for range maxContent / 2 {
		_, n := utf8.DecodeRune(text[head:])
		head += n
		_, n = utf8.DecodeLastRune(text[:tail])
		tail -= n
	}
	return string(text[:head]) + cut + string(text[tail:])
}

// unknown is the metadata of an observation made before its command has ended.
func unknown(prefix, suffix string) sandbox.RunMetadata {
	return sandbox.RunMetadata{ExitCode: -1, PID: -1, Prefix: prefix, Suffix: suffix}
}
