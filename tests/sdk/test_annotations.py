"""Types are read as people write them: names that are defined later, names inside of types, aliases, generics; with
annotations that are evaluated late (Python 3.14), as strings (`from __future__`), and at once (before 3.14)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic
import pytest

from understudy import BadDefinition, BadInput
from understudy.building import actor_definition
from understudy.codec import CallCodec

Load = Callable[[str], ModuleType]

PYDANTIC_2 = pydantic.VERSION >= "2"
FUTURE = "from __future__ import annotations\n"
LATE = ["", FUTURE] if sys.version_info >= (3, 14) else [FUTURE]
"""How a module begins whose annotations may name what it defines further down."""
EITHER = ["", FUTURE]

IMPORTS = """
import msgspec, pydantic
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypedDict
from understudy import Actor, App, Resource, handler
from understudy.jobs import Job, done

app = App("later")
"""

since_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="syntax of Python 3.12")


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    names: list[str] = []

    def load(source: str) -> ModuleType:
        beginning, rest = (FUTURE, source[len(FUTURE) :]) if source.startswith(FUTURE) else ("", source)
        path = tmp_path / f"later{len(names)}.py"
        path.write_text(beginning + IMPORTS + rest)
        name = f"{tmp_path.name}_{path.stem}"
        spec = spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        module = sys.modules[name] = module_from_spec(spec)
        names.append(name)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in names:
        del sys.modules[name]


def there_and_back(call: CallCodec, *args: Any) -> Any:
    return call.decode(call.encode(args)[0])[0]


def kinds_of(sources: dict[str, str]) -> list[str]:
    """pydantic 2 is there later than a new Python is."""
    return [kind for kind in sources if kind != "pydantic" or PYDANTIC_2]


KINDS = {
    "dataclass": "@dataclass\nclass Later:\n    n: int\n    more: list[Later] | None = None\n",
    "struct": "class Later(msgspec.Struct):\n    n: int\n    more: list[Later] | None = None\n",
    "pydantic": "class Later(pydantic.BaseModel):\n    n: int\n    more: list[Later] | None = None\n",
}


@pytest.mark.parametrize("future", LATE)
@pytest.mark.parametrize("kind", kinds_of(KINDS))
def test_a_signature_may_name_a_class_that_is_defined_below(kind: str, future: str, load: Load) -> None:
    module = load(f"{future}@app.task\nasync def echo(x: Later, *more: list[Later]) -> Later: return x\n{KINDS[kind]}")
    later = module.Later(n=1, more=[module.Later(n=2)])
    assert there_and_back(module.echo.definition.call, later) == (later,)


HOLDERS = {
    "dataclass": "@dataclass\nclass Holder:\n    x: Later\n",
    "struct": "class Holder(msgspec.Struct):\n    x: Later\n",
    "pydantic": "class Holder(pydantic.BaseModel):\n    x: Later\n",
    "named tuple": "class Holder(NamedTuple):\n    x: Later\n",
    "typed dict": "class Holder(TypedDict):\n    x: Later\n",
}


@pytest.mark.parametrize("future", LATE)
@pytest.mark.parametrize("kind", kinds_of(HOLDERS))
def test_a_type_may_name_a_class_that_is_defined_below_the_task(kind: str, future: str, load: Load) -> None:
    below = KINDS["pydantic" if kind == "pydantic" else "struct"]
    module = load(f"{future}{HOLDERS[kind]}\n@app.task\nasync def echo(x: Holder) -> list[Holder]: return [x]\n{below}")
    holder = module.Holder(x=module.Later(n=1))
    assert there_and_back(module.echo.definition.call, holder) == (holder,)


@pytest.mark.parametrize("future", LATE)
def test_workflows_jobs_and_resources_may_name_a_class_that_is_defined_below(future: str, load: Load) -> None:
    module = load(
        f"""{future}
@app.workflow
async def flow(x: Later) -> Later: return x

@app.workflow
class Flow:
    async def run(self, x: Later) -> Later: return x
    @handler
    async def tell(self, x: Later) -> Later: return x

@app.resource
class Place(Resource[str, str]):
    async def create(self, spec: str, fence: int = 0) -> str: return str(Later)
    async def destroy(self, handle: str, fence: Later | int = 0) -> None: ...

class Work(Job[str, int]):
    async def submit(self, idempotency_key: str, x: Later) -> str: return "x"
    async def poll(self, handle: str): return done(1)
work = app.job(every="1s")(Work)
{KINDS["dataclass"]}"""
    )
    later = module.Later(1)
    definitions = [module.flow.definition, module.app.workflows["Flow"], module.work.definition]
    assert [there_and_back(each.call, later) for each in definitions] == [(later,)] * 3
    assert there_and_back(definitions[1].handlers["tell"].call, later) == (later,)


@pytest.mark.parametrize("future", LATE)
def test_the_state_of_an_actor_may_name_a_class_that_is_defined_below(future: str, load: Load) -> None:
    module = load(
        f"""{future}
@app.actor
class Box(Actor):
    items: list[Later] = []
    first: Later | None = None
    @handler
    def put(self, x: Later) -> Later: return x
{KINDS["dataclass"]}"""
    )
    definition = actor_definition("Box", module.Box, 1, {})
    actor = definition.state.new()
    actor.items.append(module.Later(1))
    assert definition.state.decode(definition.state.encode(actor)).items == [module.Later(1)]


@pytest.mark.parametrize("future", EITHER)
def test_local_classes_are_known_where_the_task_is_made(future: str, load: Load) -> None:
    module = load(
        f"""{future}
def make():
    @dataclass
    class Local:
        n: int
    @app.task
    async def echo(x: Local) -> list[Local]: return [x]
    @app.workflow
    class Flow:
        async def run(self, x: Local) -> Local: return x
    return Local, echo, Flow
Local, echo, Flow = make()"""
    )
    for each in (module.echo.definition, module.app.workflows["Flow"]):
        assert there_and_back(each.call, module.Local(1)) == (module.Local(1),)


@pytest.mark.parametrize("future", LATE)
def test_local_classes_are_still_known_when_a_name_below_is_waited_for(future: str, load: Load) -> None:
    module = load(
        f"""{future}
def make():
    @dataclass
    class Local:
        n: int
    @app.task
    async def echo(x: Local, y: Later) -> Local: return x
    return Local, echo
Local, echo = make()
{KINDS["dataclass"]}"""
    )
    given = (module.Local(1), module.Later(2))
    assert there_and_back(module.echo.definition.call, *given) == given


@pytest.mark.skipif(sys.version_info < (3, 14), reason="strings do not know what encloses them")
def test_local_classes_may_be_defined_below_the_task(load: Load) -> None:
    module = load(
        """
def make():
    @app.task
    async def echo(x: Local) -> Local: return x
    @dataclass
    class Local:
        n: int
        more: list[Local]
    return Local, echo
Local, echo = make()"""
    )
    given = module.Local(1, [module.Local(2, [])])
    assert there_and_back(module.echo.definition.call, given) == (given,)


UNKNOWN = {
    "signature": "@app.task\nasync def echo(x: Decimal) -> int: return 1\n",
    "result": "@app.task\nasync def echo(x: int) -> Decimal: return 1\n",
    "union": "@app.task\nasync def echo(x: Decimal | None) -> int: return 1\n",
    "attribute": "@app.task\nasync def echo(x: msgspec.Decimal) -> int: return 1\n",
    "dataclass": "@dataclass\nclass Data:\n    x: Decimal\n@app.task\nasync def echo(x: Data) -> int: return 1\n",
    "pydantic": "class M(pydantic.BaseModel):\n    x: Decimal\n@app.task\nasync def echo(x: M) -> int: return 1\n",
}


@pytest.mark.parametrize("future", LATE)
@pytest.mark.parametrize("where", kinds_of(UNKNOWN))
def test_a_name_only_for_type_checkers_is_refused_and_says_what_to_do(where: str, future: str, load: Load) -> None:
    module = load(f"{future}if TYPE_CHECKING:\n    from decimal import Decimal\n{UNKNOWN[where]}")
    with pytest.raises(BadDefinition, match=r"echo\(\).*Decimal.*imported without `if TYPE_CHECKING:`"):
        _ = module.echo.definition


@since_3_12
@pytest.mark.parametrize("future", EITHER)
def test_aliases_are_what_they_stand_for(future: str, load: Load) -> None:
    module = load(
        f"""{future}
type Number = int
type Pair[T] = tuple[T, T]
type Laters = list[Later]
class Named(msgspec.Struct):
    numbers: list[Number]
@app.task
async def echo(x: Number, y: Pair[Number], z: Laters, named: Named) -> Laters: return z
@dataclass
class Later:
    n: int
"""
    )
    call = module.echo.definition.call
    given = (1, (2, 3), [module.Later(4)], module.Named([5]))
    assert there_and_back(call, *given) == given
    with pytest.raises(BadInput, match="Expected `int`"):
        there_and_back(call, "1", *given[1:])


@since_3_12
def test_an_alias_that_refers_to_itself_is_refused_and_says_what_to_do(load: Load) -> None:
    with pytest.raises(BadDefinition, match=r"echo\(\).*refers to itself; use Any"):
        load("type Json = dict[str, Json] | list[Json] | int\n@app.task\nasync def echo(x: Json) -> int: return 1\n")


@since_3_12
@pytest.mark.parametrize("future", EITHER)
def test_generic_functions_and_classes_are_read_as_what_their_parameters_allow(future: str, load: Load) -> None:
    module = load(
        f"""{future}
@dataclass
class Box[T]:
    content: T
class Crate[T: int](msgspec.Struct):
    content: T
@app.task
async def echo[T, N: int](any: T, number: N, box: Box[int], crate: Crate) -> list[T]: return [any]
"""
    )
    call = module.echo.definition.call
    given = ("any", 1, module.Box(2), module.Crate(3))
    assert there_and_back(call, *given) == given
    for number, wrong in ((1, "no"), (2, module.Box("no")), (3, module.Crate("no"))):
        with pytest.raises(BadInput, match="Expected `int`"):
            there_and_back(call, *given[:number], wrong, *given[number + 1 :])


@since_3_12
@pytest.mark.parametrize("parameters", ["[**P](*x: P.args, **y: P.kwargs)", "[*Ts](*x: *Ts)"])
def test_parameters_for_whole_signatures_are_refused_by_name(parameters: str, load: Load) -> None:
    with pytest.raises(BadDefinition, match=r"echo\(\): parameter 'x'"):
        load(f"@app.task\nasync def echo{parameters} -> int: return 1\n")
