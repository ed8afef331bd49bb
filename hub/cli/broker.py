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
    from hub.broker_config import Seat
    from hub.broker_leaf import Leaf
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
        Path,
        typer.Argument(
            metavar="DIR",
            help="The hub's directory, or a copy of it on another machine; with --up one from `sepe hub leaf`.",
        ),
    ],
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="This server's own name, as n1.")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where hub and offices reach it.")],
    cluster: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the other servers reach it.")] = "",
    route: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="The --cluster of another server; one --route for each."),
    ] = None,
    up: Annotated[
        list[str] | None,
        typer.Option(
            metavar="tls://HOST:PORT",
            help="Instead of --cluster: be a province's leaf below the cluster whose --leaves is there; one --up"
            " for each server.",
        ),
    ] = None,
    leaves: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where provinces' leaves reach it.")] = "",
    leaf_key: Annotated[
        str,
        typer.Option(metavar="U…", help="With --leaves: the public key that all of them prove; see `hub leaf`."),
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
    """Run one nats-server of a cluster, or of a province below it, until SIGTERM or Ctrl-C.

    Prints one JSON line when it is ready.

    It is watched and started again like the embedded one, and told of every office that is enrolled or shut out.
    A server whose disk is lost is replaced by an empty one of the same name: it fetches what it lacks.

    Example, the first of three: sepe hub broker ./hub --name n1 --listen 10.0.0.1:4222 --cluster 10.0.0.1:6222
    --route 10.0.0.2:6222 --route 10.0.0.3:6222; then sepe hub run ./hub --nats
    tls://10.0.0.1:4222,tls://10.0.0.2:4222,tls://10.0.0.3:4222

    A leaf (--up) holds one line to the cluster for all offices of a province. It keeps no frame, needs neither the
    hub's key nor its database, and knows offices by accounts.conf in DIR, which it reads again when it changes.

    Example, in a province: sepe hub broker ./ntt --name nats-ntt --listen 0.0.0.0:4222 --up tls://10.0.0.1:7522
    --up tls://10.0.0.2:7522
    """
    # Server libraries load only now: the other commands start without them.
    from hub.broker_run import BrokerOptions, run_broker
    from hub.cli.run import check_tls
    from sepe_io.address import split_address
    from sepe_io.logs import set_up

    check_tls(tls)
    if up:
        _check_leaf(
            {
                "--cluster": cluster,
                "--route": ", ".join(route or ()),
                "--leaves": leaves,
                "--leaf-key": leaf_key,
                "--store": store,
            },
            plain="--insecure-lab" if insecure_lab else "--tls off" if tls == "off" else "",
        )
        seat: Seat | Leaf = _leaf(name, up, listen)
    else:
        seat = _seat(name, cluster, route or [], leaves, leaf_key)
    options = BrokerOptions(
        directory, seat, split_address(listen, field="--listen"), store, tls, insecure_lab=insecure_lab
    )
    set_up()
    asyncio.run(run_broker(options, _print_ready))


def _check_leaf(others: dict[str, object], *, plain: str) -> None:
    """Refuse with ``--up`` what only a server of the cluster has, and a line in clear."""
    if given := [option for option, value in others.items() if value]:
        raise InvalidInputError(
            "a leaf is no server of the cluster and keeps no frame", field=given[0], value=str(others[given[0]]),
            hint=f"Leave {' and '.join(given)} out, or --up.",
        )  # fmt: skip
    if plain:
        raise InvalidInputError(
            "a leaf's lines are by TLS alone",
            field=plain.partition(" ")[0],
            value=plain,
            hint=f"Leave {plain} out.",
        )


def _leaf(name: str, up: list[str], listen: str) -> Leaf:
    from hub.broker_config import check_name
    from hub.broker_leaf import Leaf

    leaf = Leaf.to(check_name(name), tuple(up))
    if f"tls://{listen}" in leaf.up:
        raise InvalidInputError(
            "a leaf cannot be below itself", field="--up", value=listen,
            hint="--up is the --leaves of a server of the cluster, at the centre.",
        )  # fmt: skip
    return leaf


def _seat(name: str, cluster: str, route: list[str], leaves: str, leaf_key: str) -> Seat:
    from hub.broker_config import Leaves, Seat
    from sepe_io.address import split_address

    if not cluster or not route:
        raise InvalidInputError(
            "a server of a cluster has an address for the others and knows theirs",
            field="--route" if cluster else "--cluster", value="",
            hint="Give --cluster HOST:PORT and a --route for each other server; a province's leaf has --up.",
        )  # fmt: skip
    if bool(leaves) != bool(leaf_key):
        raise InvalidInputError(
            "leaves need an address and a key", field="--leaves", value=leaves,
            hint="Give both --leaves HOST:PORT and --leaf-key U…, or neither.",
        )  # fmt: skip
    of_leaves = Leaves(split_address(leaves, field="--leaves"), leaf_key) if leaves else None
    return Seat(name, split_address(cluster, field="--cluster"), tuple(route), of_leaves)


def _print_ready(url: str) -> None:
    print(json.dumps({"ready": True, "nats": url}), flush=True)


def _show(policy: StreamPolicy, *, as_json: bool) -> None:
    if as_json:
        emit({"replicas": policy.replicas, "age_days": policy.age_days, "guarded": policy.is_guarded})
        return
    guard = "the servers refuse purge and delete" if policy.is_guarded else "its users may only publish and listen"
    print(f"{policy.replicas} replicas, {policy.age_days} days, {guard}")
