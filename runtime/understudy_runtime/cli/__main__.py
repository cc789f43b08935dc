"""`python -m understudy_runtime.cli` is the command `understudy`."""

from understudy_runtime.cli import main

main()
