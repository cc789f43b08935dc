"""PostgreSQL's errors: which pass, which are one value's fault, and how all of them are told to the operator."""

from __future__ import annotations

from typing import Final

import asyncpg

PASSING_CLASSES: Final = ("08", "40", "53", "57")
"""Connections, lost races, resources (disk, memory, connections), and servers that stop, start or give up waiting."""

PASSING: Final = frozenset({"25006", "25P03", "26000", "42P05", "55P03"})
"""A primary that became a replica; a transaction left idle; statements that a pooler lost; a lock held for long."""

REFUSING_CLASSES: Final = ("22", "23", "54")
"""Values that cannot be stored, rows that exist already, and limits."""

CONNECTION_STAYS_CLASSES: Final = ("40", "55")

POOLER: Final = frozenset({"26000", "42P05"})
"""Prepared statements come and go: the server behind the connection changes."""

ADVICE: Final = {
    "28000": "it refuses this user: check the URL and the server's pg_hba.conf",
    "28P01": "the password is wrong: check PGPASSWORD, ~/.pgpass or the URL",
    "3D000": "there is no such database: create it with `createdb`, or name another",
    "42501": "this user lacks a right: it must own the schema, or be given USAGE on it and all rights on its tables",
    "53100": "the server's disk is full: free some space",
    "53300": "the server has no connection to spare: raise max_connections, or end some clients",
    "57P03": "the server is starting, stopping or recovering",
    "25006": "the server is a replica: name the primary, or all hosts with ?target_session_attrs=read-write",
    "55P03": "a row stayed locked: look for a forgotten transaction in pg_stat_activity",
    "57014": "it took too long: the server is overloaded, or its disk is",
}


def state_of(error: BaseException) -> str:
    """The SQLSTATE; empty if the error is not the server's."""
    return getattr(error, "sqlstate", None) or ""


def passes(error: BaseException) -> bool:
    """Whether the same may succeed on another try: the connection broke, or the server says so."""
    state = state_of(error)
    if state:
        return state in PASSING or state[:2] in PASSING_CLASSES
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)
    # The driver's internal errors are about one connection, too: such as one that the server ended while it was idle.
    return isinstance(error, OSError | EOFError | asyncpg.InternalClientError)


def is_refusal(error: BaseException) -> bool:
    """Whether the database, or the driver, cannot take some value: another batch may do."""
    return state_of(error)[:2] in REFUSING_CLASSES or isinstance(error, ValueError | OverflowError | TypeError)


def keeps_connection(error: BaseException) -> bool:
    return state_of(error)[:2] in CONNECTION_STAYS_CLASSES or is_refusal(error)


def explain(shown: str, error: BaseException) -> str:
    """`shown` is the database, without a password."""
    state = state_of(error)
    said = str(error).partition("\n")[0] or type(error).__name__
    if isinstance(error, TimeoutError) and not state:
        return f"store {shown}: no answer in time: check that the server is reachable and not overloaded"
    if isinstance(error, OSError):
        return f"store {shown}: cannot be reached ({said}): check host and port, and that the server runs"
    advice = ADVICE.get(state, "")
    told = f"{advice} ({said})" if advice else said
    return f"store {shown}: {told}" + (f" (SQLSTATE {state})" if state else "")
