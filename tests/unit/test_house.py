"""The house rules that no linter holds."""

import re
import subprocess
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[str]:
    return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )


def test_no_other_distribution_owns_our_import_names() -> None:
    owners = packages_distributions()
    for name in ("sepe", "sepe_io", "node", "hub", "surge"):
        assert set(owners.get(name, ["sepe"])) == {"sepe"}, f"{name} is also owned by {owners[name]}"
        module = __import__(name)
        assert module.__file__ is not None
        assert Path(module.__file__).is_relative_to(ROOT), f"{name} comes from {module.__file__}"


def test_no_tests_package_shadows_ours() -> None:
    assert not [
        path for path in ("tests/node", "tests/hub", "tests/sepe", "tests/surge") if (ROOT / path).exists()
    ]


def test_the_lock_files_name_no_download_host_and_hash_everything() -> None:
    for name in ("requirements.lock", "runtime.lock", "boot.lock"):
        text = (ROOT / name).read_text()
        assert "http" not in text and "--index-url" not in text
        pinned = re.findall(r"^[a-zA-Z0-9_.-]+==", text, flags=re.M)
        assert pinned
        assert text.count("--hash=sha256:") >= len(pinned)


def test_there_are_no_symlinks() -> None:
    assert not [path for path in tracked() if path and (ROOT / path).is_symlink()]


def test_the_node_uses_nothing_posix_only() -> None:
    posix_only = re.compile(r"\bimport (fcntl|resource|pwd|grp|termios|pty)\b|os\.(fork|geteuid|killpg|setsid)\b")
    found = [path for path in (ROOT / "node").rglob("*.py") if posix_only.search(path.read_text(encoding="utf-8"))]
    assert not found
