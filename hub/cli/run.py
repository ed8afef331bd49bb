"""``sepe hub run`` and ``sepe hub worker``."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.common import now_ms
from hub.engine import place
from hub.ingest.partitions import Share
from hub.merge import log
from hub.merge.move import move
from hub.merge.store import HubStore
from sepe.errors import InvalidInputError

if TYPE_CHECKING:
    from hub.endpoints import Endpoints

_PARTITIONS_HELP = (
    "auto: the hub and its workers share the partitions out among those that live. Or fixed ones, as in 0-3 or"
    " 0,2,5, of 0-7; 0-7/16 is half of sixteen: beyond the last it begins again at 0, so shares of one kind cover"
    " any `hub partitions`. Give all processes auto, or each fixed ones of its own."
)
_DATABASE_HELP = "Its PostgreSQL database, postgresql://…; needed once, then it is known."
_PROVERS_HELP = (
    "Processes that check frames beside the one that writes, started when it falls behind. By default as many as"
    " there are cores, at most 4; 0 where each core has a worker of its own."
)
_AUTO = "auto"


def register(app: typer.Typer) -> None:
    """Add the commands to ``sepe hub``."""

    @app.command("run")
    def run(
        directory: Annotated[Path, typer.Argument(metavar="DIR", help="The hub's directory; see `hub init`.")],
        *,
        db: Annotated[str, typer.Option(metavar="URL", help=_DATABASE_HELP)] = "",
        grpc: Annotated[
            str,
            typer.Option(
                metavar="HOST:PORT",
                help="Where gRPC listens, at first 127.0.0.1:7443, then where it was last. Port 0 is a free one.",
            ),
        ] = "",
        nats: Annotated[
            str, typer.Option(metavar="URL|embedded", help="An outside NATS, or a nats-server of our own.")
        ] = "embedded",
        nats_port: Annotated[
            int | None,
            typer.Option(
                min=0, max=65535,
                help="Port of the embedded NATS, at first 7422, then the one of last time. 0 is a free one.",
            ),
        ] = None,
        http: Annotated[
            str,
            typer.Option(metavar="HOST:PORT", help="Where the status page listens, at first 127.0.0.1:7480."),
        ] = "",
        advertise: Annotated[
            str, typer.Option(metavar="HOST", help="Under which name offices reach this machine's NATS.")
        ] = "",
        partitions: Annotated[str, typer.Option(metavar="auto|N-M", help=_PARTITIONS_HELP)] = _AUTO,
        provers: Annotated[
            int | None, typer.Option(min=0, max=64, metavar="N", help=_PROVERS_HELP, show_default=False)
        ] = None,
        tls: Annotated[
            str,
            typer.Option(metavar="auto|on|off", help="TLS for gRPC and NATS; auto: always beyond this machine."),
        ] = "auto",
        insecure_lab: Annotated[
            bool, typer.Option("--insecure-lab", help="Plain lines beyond this machine. Never with people's data.")
        ] = False,
    ) -> None:  # fmt: skip
        """Run the hub until SIGTERM or Ctrl-C. Prints one JSON line when it is ready; logs go to stderr.

        Example: sepe hub run ./hub --grpc 0.0.0.0:7443 --advertise hub.kupang.go.id
        """
        _check_nats(nats, allow_embedded=True)
        check_tls(tls)
        if db:
            _place(directory, db)
        # Server libraries load only now: the other commands start without them.
        from hub.run import HubOptions, run_hub
        from sepe_io.address import split_address
        from sepe_io.logs import set_up

        options = HubOptions(
            directory,
            grpc=split_address(grpc, field="--grpc") if grpc else None,
            nats=nats,
            nats_port=nats_port,
            http=split_address(http, field="--http") if http else None,
            advertise=advertise,
            partitions=_share(partitions),
            tls=tls,
            insecure_lab=insecure_lab,
            provers=provers,
        )
        set_up()
        asyncio.run(run_hub(options, _print_ready))

    @app.command("worker")
    def worker(
        directory: Annotated[Path, typer.Argument(metavar="DIR", help="The directory of the hub it helps.")],
        partitions: Annotated[str, typer.Option(metavar="auto|N-M", help=_PARTITIONS_HELP)] = _AUTO,
        db: Annotated[str, typer.Option(metavar="URL", help=_DATABASE_HELP)] = "",
        *,
        nats: Annotated[str, typer.Option(metavar="URL", help="NATS; by default the one of the hub in DIR.")] = "",
        name: Annotated[
            str,
            typer.Option(
                metavar="NAME",
                help="Its own over restarts: it then goes on at once with the partitions it had.",
            ),
        ] = "",
        http: Annotated[
            str,
            typer.Option(metavar="HOST:PORT", help="Where its page for probes and Prometheus listens; else none."),
        ] = "",
        provers: Annotated[
            int | None, typer.Option(min=0, max=64, metavar="N", help=_PROVERS_HELP, show_default=False)
        ] = None,
    ) -> None:
        """Run one more merge worker on the hub's database and NATS, until SIGTERM or Ctrl-C.

        Hub and workers share the partitions of the stream out among themselves. One that ends gives its own back,
        one that dies or hangs is without them after some 10 seconds, and a new one gets its part within seconds.

        Example, on the database server's other cores: sepe hub worker ./hub --name w1
        """
        _check_nats(nats, allow_embedded=False)
        if db:
            _check_place(directory, db)
        chosen = _share(partitions)
        from hub.run import WorkerOptions, run_worker
        from sepe_io.address import split_address
        from sepe_io.logs import set_up

        set_up()
        page = split_address(http, field="--http") if http else None
        asyncio.run(run_worker(WorkerOptions(directory, nats, chosen, name, page, provers), _print_ready))


def _share(text: str) -> Share | None:
    """``None`` for shares by lease."""
    return None if text == _AUTO else Share.parse(text)


def _print_ready(found: Endpoints) -> None:
    parts = {"grpc": found.grpc, "nats": found.nats, "http": found.http, "tls": found.tls}
    print(json.dumps({"ready": True} | {name: value for name, value in parts.items() if value}), flush=True)


def _place(directory: Path, url: str) -> None:
    """Store in this database from now on. A hub that took in nothing yet is moved there with its keys."""
    if place.url_of(directory) == place.check_url(url):
        return
    with HubStore.open(directory) as store:
        is_new = log.last_number(store.connection) == 0
    if not is_new or place.url_of(directory):
        _check_place(directory, url)
    move(directory, url, progress=lambda done, total: None, clock_ms=now_ms)


def _check_place(directory: Path, url: str) -> None:
    if place.url_of(directory) != place.check_url(url):
        raise InvalidInputError(
            "this hub's data is in another database", field="--db", value=url.partition(":")[0],
            hint=f"Leave --db out, or move the data: sepe hub copy {directory} --to URL",
        )  # fmt: skip


def _check_nats(url: str, *, allow_embedded: bool) -> None:
    from sepe_io.address import split_urls

    if not url or (allow_embedded and url == "embedded"):
        return
    urls = split_urls(url)
    if not urls or not all(one.startswith(("nats://", "tls://")) for one in urls):
        raise InvalidInputError(
            "an outside NATS is nats://HOST:PORT, a cluster several with commas between", field="--nats",
            value=url, hint="Example: --nats tls://n1:4222,tls://n2:4222,tls://n3:4222",
        )  # fmt: skip


def check_tls(mode: str) -> None:
    """Raises InvalidInputError: no way of TLS is called so."""
    if mode not in ("auto", "on", "off"):
        raise InvalidInputError("one of auto, on, off", field="--tls", value=mode)
