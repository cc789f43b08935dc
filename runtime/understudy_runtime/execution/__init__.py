"""Where attempts of tasks run, and how their end comes back.

    engine's loop ──start/cancel──> LocalExecutor ─┬─> WorkLoop   one thread, one loop: `async def`
         ^                                         ├─> Threads    daemon threads: `def`
         └────────reports, in batches──────────────┴─> Processes  child programs: `isolate="process"`

Who knows what: the engine's run machine decides whether an attempt is tried again; the executor knows when one really
began, so it counts the start-to-finish and heartbeat timeouts. An attempt belongs to the executor from
`start` until it is reported, which happens exactly once, unless the process dies or the executor is closed: then the
next incarnation of the node dispatches it again.

What each failure does:

* user code raises, whatever it is: that attempt fails, nothing else does;
* a child process dies: the attempt it was running is `lost`, the ones handed to it ahead of time go to another;
* user code blocks the work loop: async tasks wait, the engine, threads and processes do not; `blocked()` names it;
* user code ignores its cancellation: after a timeout it is reported all the same, and keeps its slot until it ends;
* this process dies: its children end with it.
"""
