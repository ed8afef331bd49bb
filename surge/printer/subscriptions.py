"""What the virtual printer answers to the operations on subscriptions: RFC 3995 section 11, RFC 3996 section 5."""

from __future__ import annotations

from collections.abc import Callable

from node.printing.ipp.codec import Attribute, Group, IntegerRange, Message, Tag, attribute
from node.printing.ipp.registry import Operation, Status
from surge.printer.engine import Engine
from surge.printer.notices import (
    EVENT_LIFE_S,
    EVENTS,
    EVENTS_MAX,
    LEASE_S_DEFAULT,
    LEASE_S_MAX,
    Event,
    Subscription,
)

PULL_METHOD = "ippget"
# How soon a client that is not kept waiting should ask again, seconds.
GET_INTERVAL_S = 30

Answer = tuple[Status, tuple[Attribute, ...], tuple[Group, ...]]


def is_quiet(request: Message, engine: Engine) -> bool:
    """Whether a Get-Notifications that wants to wait has nothing to hear yet."""
    operation = request.group(Tag.OPERATION)
    if not operation.boolean("notify-wait"):
        return False
    asked = _asked(operation)
    return all(
        engine.events.get(id_) is not None and not engine.events.since(id_, sequence) for id_, sequence in asked
    )


def answer_subscription(operation: Operation, request: Message, engine: Engine, uri: str) -> Answer:
    """Carry the request out: status, further operation attributes, groups."""
    return ANSWERS[operation](request, engine, uri)


def printer_capabilities() -> tuple[Attribute, ...]:
    """What a printer that keeps events says of itself."""
    return (
        attribute(Tag.KEYWORD, "notify-pull-method-supported", PULL_METHOD),
        attribute(Tag.KEYWORD, "notify-events-supported", *EVENTS),
        attribute(Tag.KEYWORD, "notify-events-default", "job-completed"),
        attribute(Tag.INTEGER, "notify-max-events-supported", EVENTS_MAX),
        attribute(Tag.INTEGER, "notify-lease-duration-default", LEASE_S_DEFAULT),
        attribute(Tag.RANGE, "notify-lease-duration-supported", IntegerRange(0, LEASE_S_MAX)),
        attribute(Tag.INTEGER, "ippget-event-life", EVENT_LIFE_S),
    )


def _create(request: Message, engine: Engine, uri: str) -> Answer:
    user = request.group(Tag.OPERATION).text("requesting-user-name") or "anonymous"
    groups = [_created(wish, engine, user) for wish in request.all_groups(Tag.SUBSCRIPTION)]
    if not groups:
        return Status.BAD_REQUEST, (), ()
    made = sum(one.integer("notify-subscription-id") is not None for one in groups)
    status = Status.OK if made == len(groups) else Status.OK_IGNORED_SUBSCRIPTIONS
    return status if made else Status.IGNORED_ALL_SUBSCRIPTIONS, (), tuple(groups)


def _created(wish: Group, engine: Engine, user: str) -> Group:
    names = wish.texts("notify-events") or ("job-completed",)
    if wish.text("notify-pull-method") != PULL_METHOD:
        return Group(Tag.SUBSCRIPTION, (_status_code(Status.ATTRIBUTES_NOT_SUPPORTED),))
    made = engine.events.subscribe(user, set(names) & set(EVENTS), wish.integer("notify-lease-duration"))
    if made is None:
        return Group(Tag.SUBSCRIPTION, (_status_code(Status.TOO_MANY_SUBSCRIPTIONS),))
    return Group(
        Tag.SUBSCRIPTION,
        (
            attribute(Tag.INTEGER, "notify-subscription-id", made.id),
            attribute(Tag.INTEGER, "notify-lease-duration", made.lease_s),
            *(() if set(names) <= set(EVENTS) else (_status_code(Status.OK_SUBSTITUTED),)),
        ),
    )


def _get_attributes(request: Message, engine: Engine, uri: str) -> Answer:
    found = _one(request, engine)
    return (Status.NOT_FOUND, (), ()) if found is None else (Status.OK, (), (_described(found, engine, uri),))


def _get_all(request: Message, engine: Engine, uri: str) -> Answer:
    return Status.OK, (), tuple(_described(one, engine, uri) for one in engine.events.all())


def _renew(request: Message, engine: Engine, uri: str) -> Answer:
    found = _one(request, engine)
    if found is None:
        return Status.NOT_FOUND, (), ()
    engine.events.renew(found, request.group(Tag.SUBSCRIPTION).integer("notify-lease-duration"))
    lease = attribute(Tag.INTEGER, "notify-lease-duration", found.lease_s)
    return Status.OK, (), (Group(Tag.SUBSCRIPTION, (lease,)),)


def _cancel(request: Message, engine: Engine, uri: str) -> Answer:
    id_ = request.group(Tag.OPERATION).integer("notify-subscription-id")
    is_there = id_ is not None and engine.events.cancel(id_)
    engine.notify()
    return (Status.OK if is_there else Status.NOT_FOUND), (), ()


def _get_notifications(request: Message, engine: Engine, uri: str) -> Answer:
    asked = _asked(request.group(Tag.OPERATION))
    if not asked:
        return Status.BAD_REQUEST, (), ()
    if any(engine.events.get(id_) is None for id_, _ in asked):
        return Status.NOT_FOUND, (), ()
    told = (
        attribute(Tag.INTEGER, "printer-up-time", engine.up_time_s),
        attribute(Tag.INTEGER, "notify-get-interval", GET_INTERVAL_S),
    )
    groups = [
        _event(event, id_, engine, uri) for id_, sequence in asked for event in engine.events.since(id_, sequence)
    ]
    return Status.OK, told, tuple(groups)


ANSWERS: dict[Operation, Callable[[Message, Engine, str], Answer]] = {
    Operation.CREATE_PRINTER_SUBSCRIPTIONS: _create,
    Operation.GET_SUBSCRIPTION_ATTRIBUTES: _get_attributes,
    Operation.GET_SUBSCRIPTIONS: _get_all,
    Operation.RENEW_SUBSCRIPTION: _renew,
    Operation.CANCEL_SUBSCRIPTION: _cancel,
    Operation.GET_NOTIFICATIONS: _get_notifications,
}


def _asked(operation: Group) -> list[tuple[int, int]]:
    """(subscription, first sequence number wanted) of each that is asked for."""
    ids, sequences = (
        _integers(operation, "notify-subscription-ids"),
        _integers(operation, "notify-sequence-numbers"),
    )
    return [(id_, sequences[place] if place < len(sequences) else 1) for place, id_ in enumerate(ids)]


def _integers(group: Group, name: str) -> list[int]:
    found = group.get(name)
    return [one.data for one in found.values if isinstance(one.data, int)] if found else []


def _one(request: Message, engine: Engine) -> Subscription | None:
    id_ = request.group(Tag.OPERATION).integer("notify-subscription-id")
    return None if id_ is None else engine.events.get(id_)


def _described(one: Subscription, engine: Engine, uri: str) -> Group:
    return Group(
        Tag.SUBSCRIPTION,
        (
            attribute(Tag.INTEGER, "notify-subscription-id", one.id),
            attribute(Tag.INTEGER, "notify-sequence-number", one.last_sequence),
            attribute(Tag.KEYWORD, "notify-pull-method", PULL_METHOD),
            attribute(Tag.KEYWORD, "notify-events", *sorted(one.names)),
            attribute(Tag.INTEGER, "notify-lease-duration", one.lease_s),
            attribute(Tag.INTEGER, "notify-printer-up-time", engine.up_time_s),
            attribute(Tag.NAME, "notify-subscriber-user-name", one.user),
            attribute(Tag.URI, "notify-printer-uri", uri),
            attribute(Tag.CHARSET, "notify-charset", "utf-8"),
            attribute(Tag.LANGUAGE, "notify-natural-language", "en"),
        ),
    )


def _event(event: Event, id_: int, engine: Engine, uri: str) -> Group:
    if event.job is None:
        state = 5 if engine.stoppers else 4 if engine.current is not None else 3
        what = (
            attribute(Tag.ENUM, "printer-state", state),
            attribute(Tag.KEYWORD, "printer-state-reasons", *engine.reasons),
            attribute(Tag.BOOLEAN, "printer-is-accepting-jobs", engine.is_accepting),
        )
    else:
        job_id, job_state, reasons = event.job
        what = (
            attribute(Tag.INTEGER, "notify-job-id", job_id),
            attribute(Tag.ENUM, "job-state", int(job_state)),
            attribute(Tag.KEYWORD, "job-state-reasons", *reasons),
        )
    return Group(
        Tag.EVENT,
        (
            attribute(Tag.INTEGER, "notify-subscription-id", id_),
            attribute(Tag.URI, "notify-printer-uri", uri),
            attribute(Tag.KEYWORD, "notify-subscribed-event", event.name),
            attribute(Tag.INTEGER, "printer-up-time", event.up_time_s),
            attribute(Tag.INTEGER, "notify-sequence-number", event.sequence),
            attribute(Tag.CHARSET, "notify-charset", "utf-8"),
            attribute(Tag.LANGUAGE, "notify-natural-language", "en"),
            attribute(Tag.TEXT, "notify-text", event.name),
            *what,
        ),
    )


def _status_code(status: Status) -> Attribute:
    return attribute(Tag.ENUM, "notify-status-code", int(status))
