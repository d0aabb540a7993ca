package main

// olderModes are those that only some processors have.
var olderModes = map[uint32]uint32{}
