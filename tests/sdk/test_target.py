"""Targets name user code; a wrong one is answered with one clear line."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from understudy import BadRequest
from understudy.target import load_app, load_module, load_task, load_workflow

SHOP = """
from helper import RATE
from understudy import App
app = App("shop")
@app.task(name="price")
def price_of(n: int) -> int: return n * RATE
@app.workflow
async def checkout(n: int) -> int: return await price_of(n)
@app.workflow(name="approval")
class Approval:
    async def run(self) -> None: ...
number = 3
"""


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    path, known = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("RATE = 2")
    file = tmp_path / "shop.py"
    file.write_text(SHOP)
    return file


def test_a_file_is_loaded_as_a_script_would_be_with_its_folder_on_the_path(shop: Path) -> None:
    target = load_workflow(f"{shop}:checkout")

    assert (target.app.name, target.workflow.name) == ("shop", "checkout")


def test_a_class_workflow_is_found_by_the_name_of_the_class(shop: Path) -> None:
    assert load_workflow(f"{shop}:Approval").workflow.name == "approval"


def test_a_module_is_found_by_its_name(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(shop.parent), *sys.path])

    assert load_workflow("shop:checkout").workflow.name == "checkout"


def test_a_file_is_the_same_module_however_often_it_is_loaded(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.parent)

    assert load_module("shop.py") is load_module(str(shop)) is load_module("./shop.py")


def test_without_a_name_the_one_app_and_its_one_workflow_are_meant(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text("from understudy import App\na = App('a')\n@a.workflow\nasync def only() -> None: ...\n")

    assert load_app(str(file)).name == "a"
    assert load_workflow(str(file)).workflow.name == "only"
    assert load_workflow(f"{file}:a").workflow.name == "only"


def test_another_process_finds_the_tasks_of_a_file(shop: Path) -> None:
    target = load_app(str(shop)).tasks["price"].target
    script = f"from understudy.target import load_task; print(load_task(*{target!r}).fn(21))"

    run = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout == "42\n"


def test_a_task_of_a_program_that_is_run_by_its_path_is_found_by_another_process(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(
        "from understudy import App\na = App('a')\n@a.task\ndef t() -> int: return 7\n"
        "if __name__ == '__main__': print(*t.definition.target)\n"
    )

    run = subprocess.run(
        [sys.executable, str(file)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.split() == [str(file), "t"]
    assert load_task(str(file), "t").fn() == 7


BROKEN = {
    "raises.py": "x = 1\n1 / 0\n",
    "syntax.py": "def f(:\n",
    "exits.py": "import sys\nsys.exit('no licence')\n",
    "imports.py": "import nowhere_at_all\n",
    "empty.py": "",
    "two.py": "from understudy import App\na = App('a')\nb = App('b')\n",
}


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("{}/nothing.py:f", "no such file"),
        ("no_such_package.module:f", "no_such_package.module: no such module"),
        ("{}/raises.py:f", "ZeroDivisionError: division by zero (line 2 of "),
        ("{}/syntax.py:f", "SyntaxError: "),
        ("{}/exits.py:f", "SystemExit: no licence (line 2 of "),
        ("{}/imports.py:f", "ModuleNotFoundError: No module named 'nowhere_at_all' (line 1 of "),
        ("{}/shop.py:chekout", "no 'chekout' in it; its workflows are: Approval, checkout"),
        ("{}/shop.py:price_of", "'price_of' is a task, not a workflow"),
        ("{}/shop.py:number", "'number' is of type int, not a workflow"),
        ("{}/shop.py", "app shop has the workflows approval, checkout; write "),
        ("{}/empty.py", "0 apps in it"),
        ("{}/two.py", "2 apps in it, so say which"),
        ("{}/shop.py:", "is no target"),
        (":x", "is no target"),
        ("", "is no target"),
    ],
)
def test_a_wrong_target_is_answered_with_one_line(target: str, complaint: str, shop: Path) -> None:
    for name, text in BROKEN.items():
        (shop.parent / name).write_text(text)

    with pytest.raises(BadRequest) as refused:
        load_workflow(target.format(shop.parent))

    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_task_that_is_not_in_its_file_is_unknown(shop: Path) -> None:
    with pytest.raises(BadRequest, match="no task nothing in it"):
        load_task(str(shop), "nothing")


def test_a_file_that_failed_is_loaded_anew_when_it_was_mended(tmp_path: Path) -> None:
    file = tmp_path / "mended.py"
    file.write_text("1 / 0")
    with pytest.raises(BadRequest):
        load_module(str(file))
    file.write_text("x = 1  # and now it is another size")

    assert load_module(str(file)).x == 1
