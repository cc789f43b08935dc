"""A door to a node in another process, over gRPC: what `understudy.client.connect` opens.

    RemoteDoor ──► Session ──one stream──► node        start, wait, run, tell, ask, cancel, ...: in batches
         └───────── unary calls ─────────► node        lists and histories

Nothing here decides anything about runs. The node is authoritative, and what it has answered is durable. What breaks is
mended by asking again: every request that changes something carries an idempotency key, so that a session which comes
back sends all its open calls once more and none is carried out twice. Only when no node can be reached for as long as
the client's patience lasts do callers hear of it, as `Unreachable`.

This package is the only one of the SDK that loads grpc, and it is loaded by `connect` alone.
"""
