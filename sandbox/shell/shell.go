// Package shell runs commands in a persistent interactive bash on a real terminal, and opens such terminals for people.
//
// # How a command gets in and its end comes out
//
// Nothing is typed into the terminal but input for programs. Bash is interactive, with job control and the terminal as
// its controlling one, but its standard input is a socket. A command goes out on it as one line,
//
//	eval -- $'…' <&57
//
// whose quoted word is the command, of any size and with any bytes, and whose redirection makes the terminal the
// standard input of what runs in it. A second line has bash write a report back on the same socket: exit status, $!,
// working directory, PATH. (In a session on pipes, commands and reports have a pipe each: a socket takes longer.) So the end of a command is known at once, without looking at the terminal, without a marker
// in the output, and without polling; and `true` costs no fork.
//
// When the report is there, everything that the command has written to the terminal has been accepted by the kernel, and
// a read of the terminal until nothing is left gets it all. Completion never depends on an end of file: a background
// process may hold the terminal as long as it likes, and what it prints later belongs to the next command.
//
// What the terminal receives is drawn on a screen of 1000 × 1000 with a bounded history, and an observation's content is
// the text to be seen there: no escape sequences, progress bars in their last state, wrapped lines joined.
//
// # What a command can and cannot do to the report
//
// A program cannot write reports: bash marks the descriptor close-on-exec when it sets it aside for the
// redirection, or has copied one that it had marked so before. A report counts only between two copies of the secret made for its command, which bash reads after that
// command has ended; so what runs in the background, or an earlier command, cannot make one up. What a command *can* do,
// because it runs in or beside bash as the same user, is find the descriptor by shell code or through /proc or a
// debugger, and read the line ahead; or send bash an interrupt just when it reads a line (ours are sent only when it
// does not, see bash.executing). It thereby gains a wrong exit code, odd output or a dead shell, for its own session,
// which then starts a new bash. What comes as reports and from the terminal is parsed within fixed bounds and never
// trusted otherwise.
//
// # Life and death
//
// A bash that exits, crashes or is killed is replaced in the directory where it was, and the observation of the command
// that ended it carries its exit code. Close kills what belongs to the session: everything in its cgroup if it has one,
// else the process groups of its kernel sessions and their descendants in others. Without a cgroup, a process that has
// left the session and whose parent has died is out of reach. Who runs what strangers send is guarded by the sandbox that
// all of this runs in, not by this package.
package shell
