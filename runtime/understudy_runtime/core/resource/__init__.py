"""The machine of resources, locks and semaphores: something shared that has a life of its own, and leases on it.

    stateDiagram-v2
        [*] --> absent
        absent --> creating: a lease is wanted
        absent --> ready: a lease is wanted of what is there already (static)
        creating --> ready: created, and healthy if that can be checked
        creating --> failed: given up, unfit, or out of time
        creating --> draining: created, but meanwhile told to go
        creating --> uncertain: nobody can tell whether it was created
        uncertain --> creating: settled by a person, or `find` tells
        uncertain --> absent: it was not created, and nobody waits
        ready --> draining: idle, too old, or told to
        ready --> failed: unhealthy, or gone
        draining --> ready: resumed
        draining --> destroying: no lease, no operation
        draining --> absent: gone by itself
        destroying --> absent: destroyed
        failed --> destroying: no lease, no operation
        failed --> creating: a lease is wanted, and nothing is left of it
        failed --> absent: resumed, or nothing is left of it
        failed --> ready: healthy again

The journal of the resource's actor is authoritative for its life, its leases and their order; the outside system is for
what there really is. They are kept together by three rules:

* **One actor, one turn at a time.** The idle rule and a request for a lease are decided on the same counts, so that no
  request is accepted by what is about to end: leases are granted in `ready` alone, and a request that comes while it
  drains or is destroyed waits for the next incarnation.
* **Intents first.** Whatever is asked of the driver is in the journal before the call is made. If the node is lost, the
  outcome is looked up (`find`, `check`) before anything that conflicts with it is asked; where it cannot be looked up
  the resource is `uncertain`, and a person settles it (`driving.py` draws this). What comes into being late, because an
  owner was only paused, is no one's: `list` finds it, and it is ended.
* **Fences.** One number grows with every grant, creation and end, for ever. A lease is known by its fence, and whoever
  comes with an old one is told what became of his lease.

A run's lease ends when the run returns it, which it does however it ends; a client's has a time to live and expires.
A healthy resource takes no turns and writes nothing: checks are one call to the executor that reports only news.

| Module | What is in it |
|---|---|
| `states.py` | the table above |
| `messages.py` | what it is told and answers; what it notes down is in `core/records/resources.py` |
| `state.py`, `apply.py` | what it knows; how records change that |
| `decide.py`, `plan.py` | a turn: from the message to the decision |
| `leases.py` | the queue, grants, and how leases end |
| `operations.py` | `@operation` methods: rate, concurrency, unknown outcomes |
| `living.py` | from state to state |
| `driving.py` | calls to the driver and what their answers mean |
| `commands.py`, `describe.py` | operators |
| `duties.py` | what goes by time |

Nothing is imported here, because the records of all actors name its states: `machine.py` has `ResourceMachine`.
"""
