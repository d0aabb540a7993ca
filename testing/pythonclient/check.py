"""Drives a sandboxd with the Python client of OpenHands itself, unchanged: its connect sequence and every kind of action.

Usage: check.py URL KEY WORKDIR [mcp-command…]   (the server listens at URL, asks for KEY and works in WORKDIR)
Prints one line for each check; the exit code is the number of those that failed.
"""

import asyncio
import os
import sys
import tempfile
import zipfile

from openhands.core.config import OpenHandsConfig
from openhands.core.config.mcp_config import MCPStdioServerConfig
from openhands.events import EventStream
from openhands.events.action import (
    BrowseInteractiveAction,
    BrowseURLAction,
    CmdRunAction,
    FileEditAction,
    FileReadAction,
    FileWriteAction,
    IPythonRunCellAction,
    MCPAction,
)
from openhands.events.event import FileEditSource, FileReadSource
from openhands.events.observation import (
    BrowserOutputObservation,
    CmdOutputObservation,
    ErrorObservation,
    FileEditObservation,
    FileReadObservation,
    FileWriteObservation,
    IPythonRunCellObservation,
    MCPObservation,
)
from openhands.llm.llm_registry import LLMRegistry
from openhands.runtime.impl.action_execution.action_execution_client import ActionExecutionClient
from openhands.runtime.plugins import AgentSkillsRequirement, JupyterRequirement, VSCodeRequirement
from openhands.storage import get_file_store

URL, KEY, WORK = sys.argv[1:4]
failed = 0


class Client(ActionExecutionClient):
    """The part of a Python runtime that finds the server; all else is as it came."""

    @property
    def action_execution_server_url(self):
        return URL

    @property
    def session_api_key(self):
        return KEY

    async def connect(self):
        self.session.headers["X-Session-API-Key"] = KEY
        self.check_if_alive()
        self.setup_initial_env()
        self._runtime_initialized = True


def check(name, ok, seen=None):
    global failed
    failed += not ok
    print(("ok   " if ok else "FAIL ") + name + ("" if ok else f": {seen!r}"), flush=True)


def run(client, command, **more):
    action = CmdRunAction(command=command, **{k: v for k, v in more.items() if k != "timeout"})
    if "timeout" in more:
        action.set_hard_timeout(more["timeout"], blocking=more.get("blocking"))
    return client.run_action(action)


def shell(c):
    o = run(c, "echo hello && pwd")
    check("run", isinstance(o, CmdOutputObservation) and o.content == f"hello\n{WORK}" and o.exit_code == 0, o)
    o = run(c, "false")
    check("exit code", o.exit_code == 1 and not o.success, o)
    o = run(c, "ls\npwd")
    check("several commands", isinstance(o, ErrorObservation) and "Cannot execute multiple commands" in o.content, o)
    o = run(c, "for i in {1..3}; do echo $i; sleep 1; done", timeout=1.5, blocking=False)
    check("hard timeout", o.exit_code == -1 and "timed out after 1.5 seconds" in o.metadata.suffix, o)
    o = run(c, "", timeout=10)
    check("poll", o.exit_code == 0 and o.content.endswith("3"), o)
    run(c, "read -p 'name: ' n && echo hi $n", timeout=1, blocking=False)
    o = run(c, "Ann", is_input=True)
    check("input", "hi Ann" in o.content and o.exit_code == 0, o)
    run(c, "sleep 100", timeout=1, blocking=False)
    o = run(c, "C-c", is_input=True)
    check("C-c", o.exit_code == 130, o)
    c.add_env_vars({"FOOBAR": 'a "quoted" $value'.replace("$", "")})
    o = run(c, "echo $FOOBAR")
    check("add_env_vars", o.content == 'a "quoted" value', o)
    o = run(c, "pwd", is_static=True, cwd="/")
    check("static", o.content == "/" and o.exit_code == 0, o)


def files(c):
    o = c.run_action(FileWriteAction(path="dir/a.txt", content="one\ntwo"))
    check("write", isinstance(o, FileWriteObservation), o)
    o = c.run_action(FileReadAction(path="dir/a.txt"))
    check("read", isinstance(o, FileReadObservation) and o.content == "one\ntwo\n", o)
    o = c.run_action(FileReadAction(path="dir/no.txt"))
    check("read what is not there", isinstance(o, ErrorObservation) and "File not found" in o.content, o)
    path = f"{WORK}/dir/a.txt"
    o = c.run_action(FileReadAction(path=path, impl_source=FileReadSource.OH_ACI))
    check("view", "cat -n" in o.content and "\ttwo" in o.content, o)
    edit = dict(path=path, impl_source=FileEditSource.OH_ACI)
    o = c.run_action(FileEditAction(command="str_replace", old_str="two", new_str="2", **edit))
    check("str_replace", isinstance(o, FileEditObservation) and "has been edited" in o.content and "2\t2" in o.content, o)
    o = c.run_action(FileEditAction(command="insert", insert_line=0, new_str="zero", **edit))
    check("insert", "has been edited" in o.content, o)
    o = c.run_action(FileEditAction(command="undo_edit", **edit))
    check("undo_edit", "Last edit to" in o.content, o)
    o = c.run_action(FileEditAction(command="create", file_text="x", **edit))
    check("create over a file", o.content.startswith("ERROR:\n"), o)

    with tempfile.TemporaryDirectory() as host:
        tree = os.path.join(host, "tree")
        os.makedirs(os.path.join(tree, "deep"))
        for name in ("a", "deep/b"):
            with open(os.path.join(tree, name), "w") as f:
                f.write(name)
        c.copy_to(tree, WORK, recursive=True)
        c.copy_to(os.path.join(tree, "a"), f"{WORK}/new")
    check("copy_to", c.list_files(f"{WORK}/tree") == ["deep/", "a"] and c.list_files("new") == ["a"], c.list_files(WORK))
    with zipfile.ZipFile(c.copy_from(f"{WORK}/tree")) as z:
        check("copy_from", sorted(z.namelist()) == ["a", "deep/b"] and z.read("deep/b") == b"deep/b", z.namelist())


def git(c):
    o = run(c, "mkdir repo && cd repo && git init -q && git config user.email a@b.c && git config user.name a && "
            "echo 1 > f && git add f && git commit -qm 1 && echo 2 > f && echo u > g && git diff")
    check("git without a pager", o.exit_code == 0 and "+2" in o.content, o)
    c.git_handler.set_cwd(f"{WORK}/repo")
    changes = c.git_handler.get_git_changes()
    check("git changes", [x["path"] for x in changes or []] == ["f", "g"], changes)
    run(c, "cd ..")


def cells(c):
    o = c.run_action(IPythonRunCellAction(code="x = 20\nprint('Hello')\nx + 1"))
    check("cell", isinstance(o, IPythonRunCellObservation) and o.content.startswith("Hello\n21"), o)
    check("cell's directory", f"[Jupyter current working directory: {WORK}]" in o.content, o)
    o = c.run_action(IPythonRunCellAction(code="print(x * 2)"))
    check("state of cells", o.content.startswith("40\n"), o)
    o = c.run_action(IPythonRunCellAction(code="import no_such_module"))
    check("traceback", "ModuleNotFoundError: No module named 'no_such_module'" in o.content, o)
    o = c.run_action(IPythonRunCellAction(code="import os; print(os.environ['FOOBAR'])"))
    check("variables in cells", 'a "quoted" value' in o.content, o)
    o = c.run_action(IPythonRunCellAction(code=f"print(file_editor(command='view', path='{WORK}/dir/a.txt'))"))
    check("agent skills", "oh_aci_output" in o.content and "cat -n" in o.content, o)
    action = IPythonRunCellAction(code="import time; time.sleep(60)")
    action.set_hard_timeout(1)
    o = c.run_action(action)
    check("cell's timeout", "[Execution timed out (" in o.content, o)


def browser(c):
    o = run(c, "python3 -m http.server 8123 > server.log 2>&1 &")
    check("job notice", "[1]" in o.content, o)
    run(c, "for i in $(seq 50); do curl -s localhost:8123 > /dev/null && break; sleep 0.1; done")
    o = c.run_action(BrowseURLAction(url="http://localhost:8123"))
    check("browse", isinstance(o, BrowserOutputObservation) and not o.error and "Directory listing for /" in o.content
          and o.open_pages_urls == ["http://localhost:8123/"] and o.last_browser_action == 'goto("http://localhost:8123")', o)
    o = c.run_action(BrowseInteractiveAction(browser_actions='goto("http://localhost:8123/dir/")\nnoop(50)', return_axtree=True))
    check("browse_interactive", not o.error and "[Action executed successfully.]" in o.content and "a.txt" in o.content
          and o.screenshot.startswith("data:image/png;base64,"), o)
    run(c, "kill %1")


def tools(c):
    command = sys.argv[4:]
    servers = [MCPStdioServerConfig(name="tools", command=command[0], args=command[1:])]
    config = c.get_mcp_config(servers)
    check("mcp config", any(s.url == f"{URL}/mcp/sse" for s in config.sse_servers), config)

    async def call():
        from openhands.mcp.utils import call_tool_mcp, create_mcp_clients
        clients = await create_mcp_clients(config.sse_servers, config.shttp_servers, "check")
        names = [t.name for client in clients for t in client.tools]
        return names, await call_tool_mcp(clients, MCPAction(name="echo", arguments={"message": "hi"}))

    names, o = asyncio.run(call())
    check("mcp tools", "echo" in names, names)
    check("mcp call", isinstance(o, MCPObservation) and "hi" in o.content and '"isError": false' in o.content, o)


def main():
    config = OpenHandsConfig()
    config.workspace_mount_path_in_sandbox = WORK
    with tempfile.TemporaryDirectory() as store:
        stream = EventStream("check", get_file_store("local", store))
        client = Client(config, stream, LLMRegistry(config), sid="check",
                        plugins=[AgentSkillsRequirement(), JupyterRequirement(), VSCodeRequirement()])
        asyncio.run(client.connect())
        check("connect", client.runtime_initialized)
        check("vscode token", isinstance(client.get_vscode_token(), str))
        parts = [shell, files, git, cells, browser]
        if len(sys.argv) > 4:
            parts.append(tools)
        for part in parts:
            try:
                part(client)
            except Exception as e:  # the next part may tell more
                check(part.__name__, False, e)
        client.close()
        stream.close()
    print(f"{failed} failed")
    os._exit(min(failed, 100))  # the client leaves threads


main()
