"""Jobs: tasks whose work happens in an outside system, which is told to begin, looked at, and told to stop.

    submitting ──handle──► open ──► succeeded
       │    ▲                ├────► failed: the attempt is over, and perhaps retried
       │    └─ not there     └────► timed out, given up, run ended: stopping, beside what goes on
       ▼
    finding ──handle──► open           (the node died, or the submit timed out, and nobody knows what came of it)
       │
       └── cannot be told: by policy failed, submitted again, or uncertain until a person says

The handle is journalled, in the turn that begins the watch, before the first poll; so a node that loads the actor goes
on watching, and never submits again what has a handle. Each attempt has an idempotency key of its own.

A job that nobody awaits any more is *stopped*: that is kept beside the open calls, outlives its execution and its run,
is tried again after a failure and after a crash, and a retry of the task does not begin before it is done. A submit
that is under way when it is given up is not interrupted, because then nobody would know its handle.
"""
