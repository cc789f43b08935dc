"""The gRPC door: `understudy.v1`, served from whatever runs the runs.

    client ──unary──────────┐
                            ├─► Calls ──► ServedDoor, Definitions, Cluster      (ports: the node gives them)
    client ──SessionService─┘     │
                                  └─ wire: protobuf to our types and back, nowhere else

Everything here lives on one event loop, the engine's. Nothing is kept between calls: a session is only a way to carry
them, so a broken one loses nothing that the client cannot ask for again. A client that vanishes is noticed by its
broken connection, or by the lack of answers to pings; its waits are taken back then.

Who fails how: the caller's fault is a status and its details (`errors`); a run's or handler's failure is data; a fault
of ours is INTERNAL and a log entry. Every resource a client can use up has a bound in `limits`.
"""
