"""Starts an IPython kernel for sandtree's server.

    python boot.py CONNECTION-FILE DIRECTORY [skills]

When the kernel's sockets are there it says so on descriptor 3, as a line of JSON: {"executable": …, "ipykernel": …}.
Exits with 69 where ipykernel is not installed. With skills, the functions of the module agentskills beside this file are
in the kernel's namespace.
"""

import faulthandler
import importlib.util
import json
import os
import sys


def skills(shell, directory):
    sys.path.append(directory)
    try:
        import agentskills

        shell.push({name: getattr(agentskills, name) for name in agentskills.__all__}, interactive=False)
    except Exception as e:  # a kernel without them is better than none
        print("agentskills:", e, file=sys.stderr)


def main(connection, directory, wanted=None):
    beside = sys.path.pop(0)
    if importlib.util.find_spec("ipykernel") is None:
        sys.stderr.flush()
        os._exit(69)
    try:
        os.chdir(directory)
    except OSError:
        pass
    sys.argv = ["ipykernel"]

    debugger = "debugpy" not in sys.modules
    if debugger:  # nobody debugs here, and loading it takes as long as the rest of ipykernel
        sys.modules["debugpy"] = None
    from ipykernel.kernelapp import IPKernelApp
    import ipykernel
    import zmq

    if debugger:
        sys.modules.pop("debugpy", None)

    class App(IPKernelApp):
        def init_iopub(self, context):
            try:  # or else what a slow reader has not read is lost after a thousand messages
                context.setsockopt(zmq.SNDHWM, 0)
            except Exception:
                pass
            super().init_iopub(context)

    stderr = os.fdopen(os.dup(2), "w")  # ipykernel takes descriptor 2 for output of cells, which is lost in a crash
    app = App.instance()
    # The handle of process 1 means that there is a parent, who is not to be looked after every second.
    app.initialize(["-f", connection, "--HistoryManager.enabled=False", "--IPKernelApp.parent_handle=1",
                    "--IPKernelApp.log_level=40"])
    faulthandler.enable(file=stderr, all_threads=False)
    try:
        app.shell.run_line_magic("colors", "nocolor")
    except Exception:
        pass
    if wanted == "skills":
        skills(app.shell, beside)

    ready = json.dumps({"executable": sys.executable or "", "ipykernel": ipykernel.__version__})
    os.write(3, ready.encode() + b"\n")
    os.close(3)
    app.start()


main(*sys.argv[1:])
