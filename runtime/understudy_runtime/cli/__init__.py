"""The command line: one workflow run in an embedded node, and a look into a store's file.

Standard output carries results and nothing else, whatever user code prints; progress, notes and errors go to
standard error. Nothing here is authoritative: each command asks the node it started, or reads the file.
Commands are thin and load what they need when they run, so that `--help` stays quick.

Exit codes:

    0    the run succeeded
    1    the run failed or timed out
    2    bad usage, bad input, or a store that cannot be used: nothing was started
    3    the run was cancelled or terminated, or is held
    130  interrupted; the run goes on with the command that was printed
"""

from __future__ import annotations


def main() -> None:
    from understudy_runtime.cli.commands import app

    app(prog_name="understudy")
