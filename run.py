#!/usr/bin/env python3
"""Everything on a fresh machine with only python3 (3.11+) and pip.

    python3 run.py demo [--headless] [--seconds N]   three offices, a cut line, a purged broker, a verdict
    python3 run.py test [pytest arguments]           set everything up and run every check and test
    python3 run.py bench [--json FILE]               the benchmarks, each beside its reference
    python3 run.py sepe ...                          the program itself
    python3 run.py generate                          regenerate sepe/wire and sepe/rpc from proto/
    python3 run.py lock                              compile the lock files anew

Standard library only: it makes .venv from the hashed lock file (through uv, which it puts in .boot,
because Debian refuses a bare `pip install`), then hands over. A second start skips all of that.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BOOT = ROOT / ".boot"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "sepe-environment"
LOCKS = ("boot.lock", "requirements.lock")
PYTHON_MIN = (3, 11)

# Debian packages that tests drive for real: the program that must exist, and the package that has it.
SYSTEM_PARTS = {
    "ipptool": "cups-ipp-utils",
    "systemd-analyze": "systemd",
    "mkfs.ext4": "e2fsprogs",
    "mount": "mount",
    "cc": "gcc",
    "faketime": "faketime",
    "pg_ctlcluster": "postgresql",
    "cupsd": "cups",
    "lp": "cups-client",
    "avahi-daemon": "avahi-daemon",
    "dbus-daemon": "dbus-daemon",
    "chromium": "chromium",
    "promtool": "prometheus",
}
# Some of them live where an ordinary user's PATH does not look.
PROGRAM_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def say(text: str) -> None:
    print(f"run.py: {text}", file=sys.stderr, flush=True)


def call(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a step of the set-up; its output goes to stderr so that stdout stays the command's own."""
    try:
        subprocess.run([str(part) for part in command], cwd=ROOT, check=True, stdout=sys.stderr, env=env)
    except subprocess.CalledProcessError as exc:
        say(f"set-up failed with exit code {exc.returncode}: {' '.join(map(str, command))}")
        raise SystemExit(2) from exc


def uv(*arguments: str | Path) -> None:
    call(sys.executable, "-m", "uv", *arguments, env={**os.environ, "PYTHONPATH": str(BOOT)})


def wanted_stamp() -> str:
    """What the environment was made from: the lock files and the packaging, not the settings of linters."""
    import tomllib

    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packaging = [document["project"], document["build-system"], document["tool"]["hatch"]]
    content = b"".join((ROOT / name).read_bytes() for name in LOCKS) + json.dumps(packaging).encode()
    return hashlib.sha256(content + sys.version.encode()).hexdigest()


def bring_uv() -> None:
    if not (BOOT / "uv").exists():
        say("fetching uv")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        call(*pip, "--root-user-action=ignore", "--target", BOOT, "--require-hashes", "-r", ROOT / "boot.lock")


def prepare() -> None:
    """Make the environment if its stamp is not that of the lock files; takes well under 2 s when it is."""
    if STAMP.exists() and STAMP.read_text() == wanted_stamp():
        return
    bring_uv()
    say("making .venv from requirements.lock")
    uv("venv", "--quiet", "--allow-existing", "--python", sys.executable, VENV)
    # sync also removes what the lock no longer names.
    uv("pip", "sync", "--quiet", "--python", PYTHON, "--require-hashes", ROOT / "requirements.lock")
    uv("pip", "install", "--quiet", "--python", PYTHON, "--no-deps", "--no-build-isolation", "-e", ROOT)
    STAMP.write_text(wanted_stamp())


def bring_system_parts() -> None:
    """Install what tests drive for real and PyPI does not carry, where apt may; else the tests will say so."""
    missing = sorted(
        {package for program, package in SYSTEM_PARTS.items() if not shutil.which(program, path=PROGRAM_PATH)}
    )
    if not missing:
        return
    if not shutil.which("apt-get") or (hasattr(os, "geteuid") and os.geteuid() != 0):
        say(f"not installed and apt is not ours to use: {', '.join(missing)}; tests that need them will fail")
        return
    say(f"installing {', '.join(missing)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    call("apt-get", "update", "-qq", env=env)
    call("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=env)


def environment() -> dict[str, str]:
    """Ours, with compiled modules kept beside the packages: starting a program takes half as long then.

    Some containers tell Python to keep none (PYTHONDONTWRITEBYTECODE), so that each of the hundreds of processes
    that a test run starts would compile everything anew.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(VENV / "pycache")}


def hand_over(*command: str | Path) -> int:
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False, env=environment()).returncode


def test(arguments: list[str]) -> int:
    """Lint, types, architecture and wire contract first (seconds), then pytest; with arguments, pytest alone."""
    bring_system_parts()
    checks: list[list[str | Path]] = []
    if not arguments:
        checks = [
            [BIN / "ruff", "check", "."],
            [BIN / "ruff", "format", "--check", "."],
            [BIN / "mypy"],
            [BIN / "lint-imports"],
            [BIN / "buf", "lint"],
        ]
    failed = [Path(check[0]).name for check in checks if hand_over(*check) != 0]
    # Three at once on two cores, a file to one worker: much of a test's time is a real process being waited for.
    everything = ("-n", "3", "--dist", "loadfile")
    code = hand_over(PYTHON, "-m", "pytest", *(arguments or everything))
    if failed:
        say(f"failed before pytest: {', '.join(failed)}")
        return 1
    return code


def sepe(arguments: list[str]) -> int:
    """Run the program in the caller's folder, so that the paths he types mean what he means."""
    command = [str(PYTHON), "-m", "surge.program", *arguments]
    if os.name == "nt":
        return subprocess.run(command, check=False, env=environment()).returncode
    os.execve(command[0], command, environment())


def main(arguments: list[str]) -> int:
    if sys.version_info < PYTHON_MIN:
        say(f"python {sys.version.split()[0]} is too old: Sepe needs {PYTHON_MIN[0]}.{PYTHON_MIN[1]} or later")
        return 2
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(__doc__)
        return 0 if arguments else 2
    name, rest = arguments[0], arguments[1:]
    if name not in {"demo", "test", "bench", "sepe", "generate", "lock"}:
        say(f"unknown command {name!r}: one of demo, test, bench, sepe, generate, lock")
        return 2
    if name == "lock":
        bring_uv()
        compile_lock = ("pip", "compile", "-q", "--universal", "--generate-hashes", "--no-emit-index-url",
                        "--python-version", "3.11")  # fmt: skip
        uv(*compile_lock, "--extra", "dev", "pyproject.toml", "-o", "requirements.lock")
        # The same versions without the tools, for machines that only run Sepe (deploy/).
        uv(*compile_lock, "-c", "requirements.lock", "pyproject.toml", "-o", "runtime.lock")
        return 0
    prepare()
    if name == "test":
        return test(rest)
    if name == "sepe":
        return sepe(rest)
    if name == "demo":
        return sepe(["demo", *rest])
    module = {"bench": "bench", "generate": "proto.generate"}[name]
    return hand_over(PYTHON, "-m", module, *rest)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
