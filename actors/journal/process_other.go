//go:build !linux

package journal

// Where a process cannot be told from a later one of the same number, a lease ends by time alone.

func self() string { return "" }

func ended(string) bool { return false }

func lives(string) bool { return false }
