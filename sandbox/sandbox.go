// Package sandbox holds the words of the house: actions, observations, specs, limits, statuses, codes and the
// Runtime interface. It is types only: it imports nothing of ours, starts nothing and knows no wire form.
//
// An agent sends an Action (run this command, write this file); a Runtime performs it in an isolated sandbox and
// answers an Observation. A failure of the command is an observation; an error means that the runtime could not,
// or does not know. Every error that crosses a package boundary is an *Error, whose Code says what the caller can do.
package sandbox
