//go:build !linux

package backends

// thisHost knows nothing here, so that every start is let through.
func thisHost(string) (Host, error) { return Host{}, nil }
