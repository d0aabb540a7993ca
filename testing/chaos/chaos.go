// Package chaos is the proof of exactly-once: its test drives runtimes through a controller process of its own while it
// cuts their connections and kills sandboxes and controllers with SIGKILL at random moments, and then compares three
// accounts of what happened: what the controller was told, what the journal says, and what the commands did.
//
// The controller is the program in controller: it performs actions with ids that follow one another, each of which
// appends its number to a file in the workspace, and prints a line for each when it knows its end.
package chaos
