"""Coordination of nodes: implementations of the port `core.membership.Coordinator`."""
