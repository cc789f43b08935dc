"""Version 1 of the protocol. Begin reading at runs.proto; workers.proto is the specification for workers."""
