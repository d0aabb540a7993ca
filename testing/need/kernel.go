package need

import (
	"os/exec"
	"sync"
	"testing"
)

// kernel is a Python that has ipykernel; "" if there is none.
var kernel = sync.OnceValue(func() string {
	for _, python := range []string{"/usr/bin/python3", "python3", "python"} {
		if exec.Command(python, "-c", "import ipykernel").Run() == nil {
			return python
		}
	}
	return ""
})

// Kernel needs a Python that can run an IPython kernel, and returns it. The word of the promise is "ipykernel".
func Kernel(t testing.TB) string {
	t.Helper()
	python := kernel()
	if python == "" {
		lacks(t, "ipykernel", "needs a Python with ipykernel")
	}
	return python
}
