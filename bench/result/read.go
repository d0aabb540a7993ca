package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// most is how many bytes a file may have: a soak of hours keeps millions of samples, of ten bytes each.
const most = 1 << 30

// Read reads the JSON form of a report. What another program made of it is refused, in a sentence that says so.
func Read(r io.Reader) (*Report, error) {
	limited := &io.LimitedReader{R: r, N: most}
	var report Report
	d := json.NewDecoder(limited)
	if err := d.Decode(&report); err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("it has more than %d MB", most>>20)
		}
		return nil, fmt.Errorf("this is no report of sandtree bench: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("this is no report of sandtree bench: something follows it")
	}
	switch {
	case report.Schema == 0:
		return nil, errors.New("this is no report of sandtree bench: it has no schema")
	case report.Schema > Schema:
		return nil, fmt.Errorf("this report is of a newer sandtree (schema %d, this one knows %d): use that one", report.Schema, Schema)
	}
	return &report, nil
}
