// Package supervisor is how a program embeds sandtree: open a System, get a Runtime by id, do actions.
//
// A System is the supervision tree of one process: below the root the herald, which calls the embedder's function, and
// the runtimes, each looked after by a steward that restarts what fails, and a janitor for each backend (see package actors).
// Drivers are handed in, so a program links only what it uses. Everything that must outlive the process stands in the state directory: the
// journal, and what drivers keep. Two Systems may share a state directory; one runtime is driven by one of them at a
// time, the one that holds its lease.
//
// Letting go and ending are two things: Close leaves the sandbox running, for the next process to find by its id; Kill
// ends it.
package supervisor
