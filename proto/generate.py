"""Regenerate sepe/wire and sepe/rpc from proto/: `python3 run.py generate`.

`generate(into)` writes the same files below any folder, which is how the test that compares them with the
committed ones does it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "proto"
PACKAGES = {
    "sepe/wire": '"""What travels and what the hub keeps, generated from proto/ by run.py generate."""\n',
    "sepe/wire/v1": '"""Version 1 of the wire contract (generated)."""\n',
    "sepe/rpc": '"""The gRPC services, generated from proto/. Only the edges in node and hub import it."""\n',
    "sepe/rpc/v1": '"""Version 1 of the gRPC services (generated)."""\n',
}


def generate(into: Path) -> list[Path]:
    """Write every generated file below ``into``; return them sorted, relative to it."""
    protos = sorted(SOURCE.glob("sepe/**/*.proto"))
    services = [path for path in protos if "rpc" in path.parts]
    _protoc(protos, f"--python_out={into}", f"--mypy_out=quiet:{into}")
    _protoc(services, f"--grpc_python_out={into}", f"--mypy_grpc_out=quiet:{into}")
    for package, text in PACKAGES.items():
        (into / package / "__init__.py").write_text(text, encoding="utf-8", newline="\n")
    written = (path for top in ("sepe/wire", "sepe/rpc") for path in (into / top).rglob("*.py*"))
    return sorted(path.relative_to(into) for path in written if path.suffix in {".py", ".pyi"})


def _protoc(files: list[Path], *outputs: str) -> None:
    plugins = Path(sys.executable).parent
    found = [f"--plugin={tool}={plugins / tool}" for tool in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    well_known = Path(protoc.__file__).parent / "_proto"
    command = ["protoc", f"-I{SOURCE}", f"-I{well_known}", *found, *outputs, *map(str, files)]
    if protoc.main(command) != 0:
        raise SystemExit("protoc failed; its message stands above")


if __name__ == "__main__":
    for generated in generate(ROOT):
        print(generated)
