"""What a journal may hold is what the families of records say, and nothing is left out."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import get_args

from understudy_runtime.core import records
from understudy_runtime.core.kinds import Record


def test_a_journal_can_hold_every_record_there_is() -> None:
    defined: set[type] = set()
    for module in iter_modules(records.__path__):
        found = vars(import_module(f"{records.__name__}.{module.name}")).values()
        defined |= {each for each in found if isinstance(each, type) and issubclass(each, Record)}
    bases = {each for each in defined if each.__module__.endswith(".kinds")}
    assert len(defined) > 80
    assert defined - bases == set(get_args(records.AnyRecord))
