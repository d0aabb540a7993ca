package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	benchreport "github.com/sandtree/sandtree/bench/report"
	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/sandbox"
)

func benchReportCommand(a *app) *cobra.Command {
	var html string
	var markdown bool
	cmd := &cobra.Command{
		Use:   "report FILE.json",
		Short: "Show a report of bench again: as a table, a page with plots, or Markdown",
		Long: `Show what an earlier run of bench found, from its report.json; "-" is standard input. Without flags, as a table. --html
writes one file with everything in it, plots too, to look at in a browser, light or dark; it needs no network.`,
		Example: `  sandtree bench report jail/report.json
  sandtree bench report jail/report.json --html jail.html
  sandtree bench report jail/report.json --markdown | gh pr comment --body-file -`,
		Args: wants(1, 1, "the report.json of a run"),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.readReport(args[0])
			if err != nil {
				return err
			}
			if html != "" {
				err = writeWhole(html, func(w io.Writer) error { return benchreport.HTML(w, r) })
			}
			switch {
			case err != nil:
				return err
			case markdown:
				return benchreport.Markdown(a.call.Stdout, r)
			case a.json:
				return writeJSON(a.call.Stdout, r)
			case html == "":
				return benchreport.Terminal(a.call.Stdout, r, bool(a.paint(a.call.Stdout)))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&html, "html", "", "write the page to this `file`")
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print Markdown, for a pull request")
	return cmd
}

// readReport reads a report; "-" is standard input, and a directory is that of --out.
func (a *app) readReport(path string) (*result.Report, error) {
	in := a.call.Stdin
	if path != "-" {
		if stat, err := os.Stat(path); err == nil && stat.IsDir() {
			path = filepath.Join(path, "report.json")
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, &sandbox.Error{Code: sandbox.NotFound, Op: "report", Err: err}
		}
		defer f.Close()
		in = f
	}
	r, err := result.Read(in)
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "report", Err: fmt.Errorf("%s: %w", path, err)}
	}
	return r, nil
}

// writeWhole writes a file, whole or not at all. Codes: Invalid, Exhausted (the disk is full).
func writeWhole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".sandtree-report-*")
	if err == nil {
		err = write(f)
		err = errors.Join(err, finish(f, path, err == nil))
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return &sandbox.Error{Code: sandbox.Exhausted, Op: "report", Err: err}
	}
	return &sandbox.Error{Code: sandbox.Invalid, Op: "report", Err: err}
}
