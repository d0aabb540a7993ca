package sandbox

import (
	"slices"
	"strings"
	"testing"
)

func TestAuditCheck(t *testing.T) {
	for _, good := range []Audit{{}, {Exec: true, Rate: 1}, {Files: AuditFilesAll, Syscalls: []string{"ptrace", "io_uring_setup"}}, {Rate: MaxAuditRate}} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for field, bad := range map[string]Audit{
		"files": {Files: "some"}, "rate": {Rate: -1}, "rate: want": {Rate: MaxAuditRate + 1}, "syscalls: \"": {Syscalls: []string{"rm -rf"}},
		"syscalls: dup3": {Syscalls: []string{"dup3"}}, "syscalls: \"\"": {Syscalls: []string{""}}, "syscalls: want": {Syscalls: slices.Repeat([]string{"ptrace"}, MaxAuditSyscalls+1)},
	} {
		if err := bad.Check(); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestAuditEqual(t *testing.T) {
	if a := (Audit{Files: AuditFilesOff, Rate: 7}); !a.IsZero() || !a.Equal(Audit{}) {
		t.Error("an audit of nothing is one")
	}
	a := Audit{Exec: true, Syscalls: []string{"ptrace"}}
	if b := a; !a.Equal(b) || a.IsZero() {
		t.Error("an audit is not equal to itself")
	}
	for _, b := range []Audit{{Exec: true}, {Exec: true, Syscalls: []string{"bpf"}}, {Exec: true, Syscalls: a.Syscalls, Rate: 1}} {
		if a.Equal(b) {
			t.Errorf("%+v equals %+v", a, b)
		}
	}
}
