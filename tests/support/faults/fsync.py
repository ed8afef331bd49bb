"""A disk that refuses to sync: fsync and fdatasync of one process fail with EIO, from a moment on or once.

A library that the dynamic linker loads before libc stands in front of both calls. Works for every program that
calls libc through the linker: Python, and the SQLite inside pysqlite3 (`tests/integration/test_faults_fsync.py`
proves it); not for nats-server, which makes its system calls itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.faults.parts import call

# Without libc's headers and start files, so that the compiler alone is needed; libc is there when it is loaded.
_SOURCE = r"""
extern void *dlsym(void *, const char *);
extern int *__errno_location(void);
extern char *getenv(const char *);
extern int access(const char *, int);
extern int unlink(const char *);
#define NEXT ((void *)-1L)
#define EIO 5

static int fails(void) {
    const char *always = getenv("SEPE_FSYNC_FAILS_WHILE"), *once = getenv("SEPE_FSYNC_FAILS_ONCE");
    return (once && unlink(once) == 0) || (always && access(always, 0) == 0);
}
static int run(const char *name, int file) {
    if (fails()) { *__errno_location() = EIO; return -1; }
    return ((int (*)(int))dlsym(NEXT, name))(file);
}
int fsync(int file) { return run("fsync", file); }
int fdatasync(int file) { return run("fdatasync", file); }
"""


@dataclass(frozen=True, slots=True)
class BadSync:
    """How to give a process a disk that refuses to sync.

    Attributes:
        environment: for the process.
    """

    folder: Path
    environment: dict[str, str]

    def fail_once(self) -> None:
        """The process's next sync fails."""
        (self.folder / "once").touch()

    def fail(self) -> None:
        """Every sync of the process fails until `heal`."""
        (self.folder / "while").touch()

    def heal(self) -> None:
        for name in ("once", "while"):
            (self.folder / name).unlink(missing_ok=True)

    @property
    def has_failed(self) -> bool:
        """Whether the sync that `fail_once` asked for has failed."""
        return not (self.folder / "once").exists()


def bad_sync(folder: Path) -> BadSync:
    """Build the library in ``folder`` (made here). Syncs work until `BadSync.fail` or `BadSync.fail_once`."""
    folder.mkdir(parents=True)
    source, library = folder / "bad_sync.c", folder / "bad_sync.so"
    source.write_text(_SOURCE)
    call("cc", "-shared", "-fPIC", "-O1", "-nostdlib", "-o", library, source)
    environment = {
        "LD_PRELOAD": str(library),
        "SEPE_FSYNC_FAILS_ONCE": str(folder / "once"),
        "SEPE_FSYNC_FAILS_WHILE": str(folder / "while"),
    }
    return BadSync(folder, environment)
