"""Thirty plays of every kind of office, on all cores, added up replication by replication."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random

from surge.plan.kinds import Kind
from surge.plan.office import NOTHING, Lifted, Setting, play
from surge.plan.tally import Tally
from surge.scenario.model import PrinterModel
from surge.scenario.visits import Visits

# Below this much work a second process costs more than it saves.
POOL_VISITS_MIN = 20_000


@dataclass(frozen=True, slots=True)
class Job:
    """One kind to be played: which replications, with what taken away or added."""

    setting: Setting
    replications: int
    lifted: Lifted = NOTHING
    printers: tuple[PrinterModel, ...] | None = None


def played(job: Job) -> list[Tally]:
    """One tally for each replication; the same job gives the same, in whichever process."""
    setting = replace(job.setting, lifted=job.lifted)
    if job.printers is not None:
        setting = replace(setting, office=replace(setting.office, printers=job.printers))
    visits = Visits(setting.scenario)
    seed, office = setting.scenario.seed, setting.office
    tallies = []
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for number in range(job.replications):
            chance = Random(f"{seed}/{office.code}/desk/{number}")
            tallies.append(play(setting, list(visits.of(office, number)), chance))
    finally:
        # A play is a web of events that point at each other: looked through once, when it is over.
        gc.collect()
        if was_enabled:
            gc.enable()
    return tallies


class Workers:
    """Plays jobs here, or in as many processes as there are cores when there is much to do."""

    def __init__(self, pool: ProcessPoolExecutor | None) -> None:
        self._pool = pool

    def play(self, jobs: Sequence[Job]) -> list[list[Tally]]:
        """The tallies of each job, in their order."""
        if self._pool is None:
            return [played(job) for job in jobs]
        # The largest first, or one core ends with the capital city while the other has gone home.
        order = sorted(range(len(jobs)), key=lambda index: -_size(jobs[index]))
        done = self._pool.map(played, [jobs[index] for index in order], chunksize=1)
        found: list[list[Tally]] = [[] for _ in jobs]
        for index, tallies in zip(order, done, strict=True):
            found[index] = tallies
        return found


@contextmanager
def workers(kinds: Sequence[Kind], replications: int) -> Iterator[Workers]:
    """Processes for as long as the plan takes."""
    visits = sum(kind.setting.office.visits for kind in kinds) * replications
    cores = os.cpu_count() or 1
    if visits < POOL_VISITS_MIN or cores < 2:
        yield Workers(None)
        return
    # Never forked: a process with threads, gRPC's say, has children that wait for them for ever.
    with ProcessPoolExecutor(max_workers=cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield Workers(pool)


def added_up(kinds: Sequence[Kind], tallies: Sequence[Sequence[Tally]], days: int) -> list[Tally]:
    """All offices together, one tally for each replication."""
    count = min((len(one) for one in tallies), default=0)
    whole = [Tally.of_days(days) for _ in range(count)]
    for kind, own in zip(kinds, tallies, strict=True):
        for number in range(count):
            whole[number].add(own[number], kind.weight)
    return whole


def _size(job: Job) -> int:
    return job.setting.office.visits * job.replications
