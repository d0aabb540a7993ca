package shell

import "os"

// writeNow writes what fits without waiting.
func writeNow(f *os.File, p []byte) error { _, err := f.Write(p); return err }
