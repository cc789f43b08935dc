"""Write the Python code of the .proto files beside them; with --check, only say whether it is what it should be.

    python proto/generate.py [--check]

The output depends on nothing but the files and the version of grpcio-tools, which the generated code then asks for at
least: raise the lower bounds of grpcio and protobuf in pyproject.toml together with it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent
SOURCES = sorted(path.relative_to(ROOT) for path in ROOT.glob("understudy_proto/v1/*.proto"))
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")


def generate(into: Path) -> None:
    """Generate all code below `into`; SystemExit if a file is not valid."""
    outputs = [f"--{kind}={into}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}", *outputs, *map(str, SOURCES)]
    if subprocess.run(protoc, check=False).returncode != 0:
        sys.exit("protoc refused the .proto files; see above")
    for source in SOURCES:
        # A file without a service has nothing for it.
        if "\nservice " not in (ROOT / source).read_text():
            (into / f"{source.with_suffix('')}_pb2_grpc.py").unlink()


def outdated() -> list[str]:
    """The generated files that are missing, superfluous, or not what `generate` makes."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, kept = _contents(Path(folder)), _contents(ROOT)
    return sorted(name for name in fresh.keys() | kept.keys() if fresh.get(name) != kept.get(name))


def _contents(root: Path) -> dict[str, bytes]:
    found = (path for suffix in SUFFIXES for path in root.glob(f"understudy_proto/v1/*{suffix}"))
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if anything is out of date")
    if not parser.parse_args().check:
        generate(ROOT)
    elif names := outdated():
        sys.exit(f"out of date: {', '.join(names)}; run python proto/generate.py")


if __name__ == "__main__":
    main()
