"""``node hand-over``: a card goes over the desk."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.common import EXIT_PART, AsJson, Dir, note, opened, print_json, print_table
from node.cli.printing import job_document
from node.cli.words import say
from node.clock import now_ms
from sepe.errors import InvalidInputError
from sepe.nik import Nik
from sepe.products import PRODUCTS

Operator = Annotated[str, typer.Option("--operator", help="Who does it; goes into the event.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="hand-over")(hand_over_card)


def hand_over_card(  # noqa: PLR0917 - options of a command
    folder: Dir,
    nik: Annotated[str, typer.Argument(metavar="NIK")],
    product: Annotated[str | None, typer.Option(help="Which document, if several lie ready.")] = None,
    to: Annotated[str, typer.Option("--to", help="Who takes it: self, family, or proxy.")] = "self",
    name: Annotated[str, typer.Option("--name", help="Of family or proxy.")] = "",
    document: Annotated[str, typer.Option("--document", help="Number of the document that they showed.")] = "",
    police_letter: Annotated[str, typer.Option(help="Its number: the old card is lost.")] = "",
    old_card: Annotated[str, typer.Option(help="Serial of the old card; it is taken back.")] = "",
    from_elsewhere: Annotated[
        bool, typer.Option("--from-elsewhere", help="The old card is another office's; nobody here knows it.")
    ] = False,
    proof: Annotated[str, typer.Option(help="Number of the paper that proves the change of data.")] = "",
    skpwni: Annotated[str, typer.Option(help="Number of the moving letter.")] = "",
    substitute: Annotated[
        str, typer.Option("--substitute", help="The suket or biodata in his hand: returned, or lost.")
    ] = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Give one printed document to its owner: its newest valid issue, for a reprint against what must be shown.

    What the recording named (police_letter, old_card, proof, skpwni) need not be given again. Older cards of his
    that lie here are named: they are to be taken back. Exit code 1: nothing was handed over, and why.

    Example: sepe node hand-over ./oebobo 5371044101909001 --to proxy --name "YOHANES LAY" --document SIM-12
    """
    from node.desk.hand_over import hand_over, name_of, receivers
    from sepe.handing import SUBSTITUTE_FATES, receiver_of

    number = Nik.parse(nik).number
    if product is not None and product not in PRODUCTS:
        raise InvalidInputError(
            say("jenis dokumen tidak dikenal", "no such document"), field="--product", value=product,
            hint=", ".join(PRODUCTS),
        )  # fmt: skip
    if substitute and substitute not in SUBSTITUTE_FATES:
        raise InvalidInputError(
            say("surat pengganti dikembalikan atau hilang", "the substitute was returned or lost"),
            field="--substitute", value=substitute, hint=", ".join(SUBSTITUTE_FATES),
        )  # fmt: skip
    receiver = receiver_of(to, name, document)
    shown = {"police_letter": police_letter, "old_card": old_card, "proof": proof, "skpwni": skpwni}
    with opened(folder) as store:
        try:
            handed = hand_over(
                store, number, product=product, operator=operator, now_ms=now_ms(),
                evidence={key: value for key, value in shown.items() if value}, receiver=receiver,
                substitute=substitute, from_elsewhere=from_elsewhere,
            )  # fmt: skip
        except InvalidInputError as exc:
            note(f"sepe: {exc}")
            if as_json:
                print_json([])
            raise typer.Exit(EXIT_PART) from None
        taken = receivers(store, [handed.job])
    left = [{"product": one.product, "issue": one.issue, "serial": one.serial} for one in handed.left]
    swapped = [{"product": one.product, "issue": one.issue} for one in handed.swapped]
    job = handed.job
    if as_json:
        print_json([job_document(job, taken.get(job.id)) | {"to_take_back": left, "swapped": swapped}])
        return
    print_table(
        ("job", "nik", "product", "issue", "state", "serial", say("diterima", "received by")),
        [(job.id, f"{job.nik:016d}", job.product, job.issue, str(job.state), job.serial, receiver.received_by)],
    )
    for one in handed.left:
        note(say(f"Harus ditarik: {name_of(one)}", f"To be taken back: {name_of(one)}"))
    for one in handed.swapped:
        note(say(f"Tidak berlaku lagi: {name_of(one)}", f"Counts no more: {name_of(one)}"))
