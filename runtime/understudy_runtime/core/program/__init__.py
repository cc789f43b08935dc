"""What goes for everything that runs user code step by step: workflow runs, and the handlers of user-defined actors.

Both call tasks, children and other actors, hold leases, have jobs, take in messages, are held and released, and are
recovered by the node that loads them. All of that is decided and taken note of here, once. A run adds what only runs
have (executions, results, ends: `core.run`), an actor what only actors have (state, a queue, reminders: `core.actor`).

    state      what both know (`ProgramState`), and what each kind says of itself
    apply      the records both take note of
    commands   what user code asks for
    leaving    what becomes of calls that nobody awaits any more
    decide     the messages both take
    machine    how a message and a record come to these

An *execution* is that of a run, or one handler of an actor, which the number of its delivery stands for.
"""
