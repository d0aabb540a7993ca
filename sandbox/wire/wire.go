// Package wire holds the forms that actions, observations and events have between machines.
//
// There are two. The OpenHands form is that of OpenHands' events: one JSON object per action or observation, with the
// names, the order and the defaults that its Python clients and its recorded trajectories have. ParseAction is as strict
// as the server that those clients know; ParseObservation and Event are lenient and lose nothing. The native form
// (native*.go) has events of its own that say all that the OpenHands form does and go to it and back without loss, and
// adds what that one lacks: frames in which output streams while it is produced, errors that carry a code, and the
// routes, headers and shapes of the server in the sandbox. docs/protocol.md tells of both.
//
// What a type of package sandbox has no field for travels in Meta: a member of the event under its name, a member of
// args or extras under "args.NAME" or "extras.NAME", one of run's metadata under "extras.metadata.NAME".
//
// Everything here reads what strangers send, and all of it is on the path of every action: the JSON is read and written
// by hand, input that is not JSON in UTF-8 is Invalid, and no parsed value aliases the input.
package wire
