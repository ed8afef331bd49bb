"""CUPS for real: its scheduler with one queue, and its own printer program, on loopback, in folders of a test.

Debian: ``cups`` (cupsd, lp, lpstat), ``cups-ipp-utils`` (ippeveprinter), ``avahi-daemon`` and ``dbus-daemon``, without
which ippeveprinter does not start. A machine without them fails here rather than skip.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

SBIN = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
START_S_MAX = 20.0

CUPSD = """
Listen 127.0.0.1:{port}
WebInterface No
Browsing No
DefaultAuthType None
PreserveJobHistory Yes
<Location />
Order allow,deny
Allow all
</Location>
<Policy default>
<Limit All>
Order allow,deny
Allow all
</Limit>
</Policy>
"""
QUEUE = """
<DefaultPrinter kartu>
DeviceURI {device}
State Idle
Accepting Yes
</DefaultPrinter>
"""
FILES = """
ServerRoot {folder}/root
RequestRoot {folder}/spool
CacheDir {folder}/cache
StateDir {folder}/state
TempDir {folder}/spool/tmp
AccessLog {folder}/access.log
ErrorLog {folder}/error.log
PageLog {folder}/page.log
SystemGroup root
"""
BUS = """
<busconfig><type>system</type><listen>unix:path={folder}/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy>
</busconfig>
"""
AVAHI = """
[server]
host-name=sepe-test
use-ipv4=yes
use-ipv6=no
allow-interfaces=lo
enable-dbus=yes
"""
# What makes a printer of IPP Everywhere a card printer.
CARD_PRINTER = """
ATTR keyword sides-supported "one-sided","two-sided-long-edge","two-sided-short-edge"
ATTR keyword media-supported "custom_id-1_53.98x85.6mm","iso_a4_210x297mm"
ATTR keyword media-default "custom_id-1_53.98x85.6mm"
ATTR collection media-size-supported {
    MEMBER integer x-dimension 5398
    MEMBER integer y-dimension 8560
},{
    MEMBER integer x-dimension 21000
    MEMBER integer y-dimension 29700
}
ATTR keyword print-scaling-supported "auto","none","fit"
ATTR mimeMediaType document-format-supported "application/pdf"
ATTR mimeMediaType document-format-default "application/pdf"
"""


class Cupsd:
    """A cupsd with the queue ``kartu``; its spool outlives its process."""

    def __init__(self, folder: Path, device: str) -> None:
        self._folder, self._port = folder, free_port()
        folder.chmod(0o755)
        for part in ("root", "spool/tmp", "cache", "state"):
            (folder / part).mkdir(parents=True)
        (folder / "root/cupsd.conf").write_text(CUPSD.format(port=self._port))
        (folder / "root/cups-files.conf").write_text(FILES.format(folder=folder))
        (folder / "root/printers.conf").write_text(QUEUE.format(device=device))

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self._port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """One life of the process; the next one finds the jobs of this."""
        root = self._folder / "root"
        async with _running(
            program("cupsd"), "-f", "-c", str(root / "cupsd.conf"), "-s", str(root / "cups-files.conf")
        ):
            await _listens(self._port)
            yield


@asynccontextmanager
async def cups_queue(device: str = "file:///dev/null") -> AsyncIterator[str]:
    """A running cupsd with the queue ``kartu``; gives its HOST:PORT."""
    with tempfile.TemporaryDirectory(prefix="sepe-cups-") as name:
        cupsd = Cupsd(Path(name), device)
        async with cupsd.running():
            yield cupsd.server


@asynccontextmanager
async def ippeveprinter(*, is_card_printer: bool) -> AsyncIterator[tuple[str, Path]]:
    """CUPS' own printer; gives its address and the folder in which it keeps the documents that it printed."""
    with tempfile.TemporaryDirectory(prefix="sepe-eve-") as name:
        folder, port = Path(name), free_port()
        (folder / "bus.conf").write_text(BUS.format(folder=folder))
        (folder / "avahi.conf").write_text(AVAHI)
        (folder / "card.conf").write_text(CARD_PRINTER)
        spool = folder / "spool"
        spool.mkdir()
        bus = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/bus"}
        options = ["-a", str(folder / "card.conf")] if is_card_printer else ["-f", "application/pdf"]
        async with (
            _running(program("dbus-daemon"), f"--config-file={folder}/bus.conf", "--nofork"),
            _appears(folder / "bus"),
            _running(
                program("avahi-daemon"), "-f", str(folder / "avahi.conf"), "--no-drop-root", "--no-chroot", "--no-rlimits",
                env=bus,
            ),
        ):  # fmt: skip
            # It ends at once while Avahi is not on the bus yet.
            until_s = asyncio.get_running_loop().time() + START_S_MAX
            while asyncio.get_running_loop().time() < until_s:
                async with _running(
                    program("ippeveprinter"), "-n", "localhost", "-p", str(port), *options,
                    "-c", program("true"), "-k", "-d", str(spool), "kartu",
                    env=bus,
                ) as process:  # fmt: skip
                    if await _listens_or_ends(port, process):
                        yield f"ipp://localhost:{port}/ipp/print", spool
                        return
            raise TimeoutError("ippeveprinter does not start; it needs D-Bus and Avahi")


def program(name: str) -> str:
    found = shutil.which(name, path=SBIN)
    assert found is not None, f"{name} is missing: apt-get install cups cups-ipp-utils avahi-daemon dbus-daemon"
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def _running(*command: str, env: dict[str, str] | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **(env or {})}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()


@asynccontextmanager
async def _appears(path: Path) -> AsyncIterator[None]:
    async with asyncio.timeout(START_S_MAX):
        while not path.exists():  # noqa: ASYNC110 - another program makes it
            await asyncio.sleep(0.02)
    yield


async def _listens(port: int) -> None:
    async with asyncio.timeout(START_S_MAX):
        while not await _is_open(port):  # noqa: ASYNC110 - another program opens it
            await asyncio.sleep(0.02)


async def _listens_or_ends(port: int, process: asyncio.subprocess.Process) -> bool:
    while process.returncode is None:
        if await _is_open(port):
            return True
        await asyncio.sleep(0.05)
    return False


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("localhost", port)
    except OSError:
        return False
    writer.close()
    return True
