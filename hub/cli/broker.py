"""``sepe hub stream`` and ``sepe hub broker``: the pipe between offices and hub, on one server or on a cluster."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.common import AsJson, Directory, emit, opened, say
from sepe.errors import InvalidInputError
from sepe_io.sqlite import transaction

if TYPE_CHECKING:
    from hub.ingest.policy import StreamPolicy


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(stream)
    app.command()(broker)


def stream(
    directory: Directory,
    *,
    replicas: Annotated[
        int | None, typer.Option(help="On how many servers each frame lies: 1, 3 or 5; 3 for a cluster of three.")
    ] = None,
    age_days: Annotated[
        int | None,
        typer.Option(help="How many days a frame that nobody fetched stays: over the hub's longest outage."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or change how the stream of frames must be. A running hub makes it so within seconds.

    What the stream is now, and whether it differs, says `sepe hub doctor`.

    Example, once three servers run: sepe hub stream ./hub --replicas 3
    """
    from hub.ingest.policy import StreamPolicy, read_policy, set_policy

    with opened(directory) as store:
        policy = read_policy(store.connection)
        if replicas is not None or age_days is not None:
            policy = StreamPolicy(
                policy.replicas if replicas is None else replicas,
                policy.age_days if age_days is None else age_days,
            )
            with transaction(store.connection):
                set_policy(store.connection, policy)
            say("a running hub makes it so within seconds; sepe hub doctor shows whether it could")
    _show(policy, as_json=as_json)


def broker(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The hub's directory, or a copy of it on another machine.")
    ],
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="This server's own name in the cluster, as n1.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where hub and offices reach it.")],
    cluster: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the other servers reach it.")],
    route: Annotated[
        list[str], typer.Option(metavar="HOST:PORT", help="The --cluster of another server; one --route for each.")
    ],
    leaves: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where provinces' servers (deploy/nats/leaf.conf) reach it.")
    ] = "",
    leaf_key: Annotated[
        str, typer.Option(metavar="U…", help="With --leaves: the public key that all of them prove.")
    ] = "",
    store: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where its frames lie; else DIR/nats-NAME.")
    ] = None,
    tls: Annotated[
        str, typer.Option(metavar="auto|on|off", help="TLS, also between servers; auto: beyond this machine.")
    ] = "auto",
    insecure_lab: Annotated[
        bool, typer.Option("--insecure-lab", help="Plain lines beyond this machine. Never with people's data.")
    ] = False,
) -> None:
    """Run one nats-server of a cluster until SIGTERM or Ctrl-C. Prints one JSON line when it is ready.

    It is watched and started again like the embedded one, and told of every office that is enrolled or shut out.
    A server whose disk is lost is replaced by an empty one of the same name: it fetches what it lacks.

    Example, the first of three: sepe hub broker ./hub --name n1 --listen 10.0.0.1:4222 --cluster 10.0.0.1:6222
    --route 10.0.0.2:6222 --route 10.0.0.3:6222; then sepe hub run ./hub --nats
    tls://10.0.0.1:4222,tls://10.0.0.2:4222,tls://10.0.0.3:4222
    """
    # Server libraries load only now: the other commands start without them.
    from hub.broker_config import Leaves, Seat
    from hub.broker_run import BrokerOptions, run_broker
    from hub.cli.run import check_tls
    from sepe_io.address import split_address
    from sepe_io.logs import set_up

    check_tls(tls)
    if bool(leaves) != bool(leaf_key):
        raise InvalidInputError(
            "leaves need an address and a key", field="--leaves", value=leaves,
            hint="Give both --leaves HOST:PORT and --leaf-key U…, or neither.",
        )  # fmt: skip
    of_leaves = Leaves(split_address(leaves, field="--leaves"), leaf_key) if leaves else None
    seat = Seat(name, split_address(cluster, field="--cluster"), tuple(route), of_leaves)
    options = BrokerOptions(
        directory, seat, split_address(listen, field="--listen"), store, tls, insecure_lab=insecure_lab
    )
    set_up()
    asyncio.run(run_broker(options, _print_ready))


def _print_ready(url: str) -> None:
    print(json.dumps({"ready": True, "nats": url}), flush=True)


def _show(policy: StreamPolicy, *, as_json: bool) -> None:
    if as_json:
        emit({"replicas": policy.replicas, "age_days": policy.age_days, "guarded": policy.is_guarded})
        return
    guard = "the servers refuse purge and delete" if policy.is_guarded else "its users may only publish and listen"
    print(f"{policy.replicas} replicas, {policy.age_days} days, {guard}")
