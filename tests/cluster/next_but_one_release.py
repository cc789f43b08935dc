"""The command line of the release after the next: see `next_release`."""

from __future__ import annotations

from tests.cluster.next_release import call_itself, change

if __name__ == "__main__":
    call_itself("0.3.0")
    change(releases=2)
    from understudy_runtime.cli import main

    main()
