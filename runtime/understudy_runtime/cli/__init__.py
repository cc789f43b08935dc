"""The command line: workflows run in an embedded node, a look into a store's file, and what a running node is asked.

Standard output carries results and nothing else, whatever user code prints; progress, notes and errors go to
standard error. Nothing here is authoritative: each command asks the node it started or that `--connect` names, or reads
the file. Commands are thin and load what they need when they run, so that `--help` stays quick.

Exit codes:

    0    the run succeeded, or what was asked has been done
    1    the run failed or timed out, or the handler that was asked raised
    2    bad usage, bad input, a store that cannot be used, or no node that answers and lets us in
    3    the run was cancelled or terminated, or is held
    130  interrupted; the run goes on with the command that was printed
"""

from __future__ import annotations


def main() -> None:
    from understudy_runtime.cli.commands import app

    app(prog_name="understudy")
