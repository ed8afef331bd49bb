"""A made-up but believable result of a run, for tests of what reads results; of any number of real kecamatan."""

from __future__ import annotations

from bisect import bisect_left
from random import Random

from sepe.region import Kecamatan
from sepe_io.regions import region_table
from surge.run.result import (
    FORMAT,
    CatchUp,
    FaultRow,
    LinkLatency,
    Machine,
    OfficeRow,
    PrintersDay,
    Result,
    RunInfo,
    ScenarioInfo,
    Series,
    Threshold,
    Totals,
    Use,
)

LINKS = {
    "fibre": ("10 Mbit/s, 15 ms each way", 0.05),
    "4g": ("2 Mbit/s, 45 ms each way, 1 % loss", 0.22),
    "satellite": ("256 kbit/s, 300 ms each way, 2 % loss", 0.9),
    "2g": ("32 kbit/s, 400 ms each way, 5 % loss", 2.4),
    "night": ("64 kbit/s, 18:00 to 05:00 only", 31.0),
}
HOURS = 7 * 24
BUCKETS = tuple(round(0.001 * 1.12**step, 6) for step in range(100))


def sample(offices: int = 315, *, province: str = "53", seed: int = 1, slower: float = 1.0) -> Result:
    """A result of an election week; ``slower`` multiplies every latency, for comparisons.

    Args:
        province: of whose kecamatan; ``""`` takes all of Indonesia's.
    """
    rng = Random(seed)
    table = region_table()
    codes = [code for code in table.codes() if code.startswith(province)][:offices]
    places = [place for code in codes if (place := table.kecamatan(code)) is not None]
    links = [rng.choices(list(LINKS), (30, 40, 15, 10, 5))[0] for _ in places]
    rows = tuple(_office(rng, place, link, slower) for place, link in zip(places, links, strict=True))
    accepted, acked = sum(row.accepted for row in rows), sum(row.acked for row in rows)
    offered = sum(row.offered for row in rows)
    latency = tuple(_latency(rng, link, rows, slower) for link in LINKS if link in links)
    worst = max(row.catch_up_s or 0.0 for row in rows)
    catch = CatchUp(sum(row.catch_up_s is not None for row in rows), 2310, 3.1, 9.7, worst, 0.93)
    thresholds = (
        _le("lost", "events that an office was told are safe and are not", 0, 0, "events"),
        _le("doubled", "events that count more than once", 0, 0, "events"),
        _le("digests", "offices whose digest the hub does not share", 0, 0, ""),
        *(_le(f"ack_p99_s:{one.link}", f"commit to durable ack, 99 of 100, {one.link}", one.p99_s or 0, 60.0, "s")
          for one in latency),
        _le("catch_up_s", "slowest office to come level again", worst, 30.0, "s"),
        _le("bytes_per_event", "bytes on the line per event", 96.4, 400, "bytes/event"),
        _le("valid_cards", "valid cards per NIK and issue", 1, 1, "cards"),
        Threshold("printers_busy", "printers at work while cards wait", 0.71, ">=", 0.8, "share", False),
    )  # fmt: skip
    return Result(
        FORMAT,
        all(one.passed for one in thresholds),
        ScenarioInfo(
            "election-week-ntt", "Nusa Tenggara Timur, the week of the vote",
            "203,681 voters without a card in 22 regencies (Katantt, Sep 2024)",
            "2024-11-21T00:00", "WITA", HOURS * 3600.0, offered, len(rows),
            "Nusa Tenggara Timur, pekan pemungutan suara",
        ),
        Machine("Linux 6.1", "AMD EPYC", 2, 24 << 30, "3.11.7", "3.53.4"),
        RunInfo("0.1.0", "53564c0", 1_795_352_000_000, 312.4, 21.7, seed, 2000.0, 2, "started here", "sqlite", "live",
                False, ("hours, outages and faults pass 2000 times faster", "a line carries 2000 times the bytes"),
                ("delay and loss of lines", "the offices' and the hub's own timers"),
                "sepe surge run election-week-ntt --faster 2000"),
        Totals(offered, accepted, 0, offered - accepted, accepted, acked, accepted - acked, 0, 0, accepted - 812, 40_211,
               int(acked * 96.4), int(acked * 11.2), 96.4, len(rows) + 340, 0),
        thresholds,
        _series(rng, offered, acked, slower),
        rows,
        latency,
        catch,
        PrintersDay("simulated in the generator, 36 s a card", len(rows), 36.0,
                    tuple(float(hour * 3600) for hour in range(HOURS)),
                    tuple(_day_shape(hour) * 9 for hour in range(HOURS)),
                    tuple(min(_day_shape(hour) / 11, 1.0) for hour in range(HOURS)),
                    0.71, {"ready": 190, "waiting_blank": 44, "in_doubt": 1}, 1, 1),
        Use(171.0, 0.55, 1.21, 412 << 20),
        Use(31.0, 0.1, 0.32, 88 << 20),
        Use(202.0, 0.65, 1.3, 690 << 20),
        (
            FaultRow(3 * 86_400.0 + 36_000, "kill hub", "", 0.0, True),
            FaultRow(4 * 86_400.0 + 39_600, "purge stream", "", 0.0, True),
            FaultRow(5 * 86_400.0 + 30_000, "cut lines", "5306", 14_400.0, True),
        ),
        ("made up, for tests",),
    )  # fmt: skip


def _le(key: str, title: str, value: float, limit: float, unit: str) -> Threshold:
    return Threshold(key, title, value, "<=", limit, unit, value <= limit)


def _office(rng: Random, place: Kecamatan, link: str, slower: float) -> OfficeRow:
    code, name, regency = place.code, place.district, place.regency
    accepted = rng.randint(250, 1300)
    base = LINKS[link][1] * slower
    lag = rng.randint(2, 40) if link != "night" else rng.randint(60, 300)
    return OfficeRow(
        code, name, regency, f"{code}-1", link, accepted + (rng.random() < 0.01), accepted, accepted, 0, 0, 0, lag,
        rng.random() * HOURS * 3600, round(base * rng.uniform(3, 9), 2), round(base * rng.uniform(1.2, 2.5), 3),
        round(base * rng.uniform(2, 8), 2) if rng.random() < 0.4 else None, accepted * 96, rng.randint(1, 4),
        accepted // 2, 1, round(rng.uniform(0.4, 0.95), 3), True,
    )  # fmt: skip


def _latency(rng: Random, link: str, rows: tuple[OfficeRow, ...], slower: float) -> LinkLatency:
    ours = [row for row in rows if row.link == link]
    counts = [0] * len(BUCKETS)
    drawn = sorted(LINKS[link][1] * slower * rng.lognormvariate(-0.3, 0.5) for _ in range(4000))
    for value in drawn:
        counts[min(bisect_left(BUCKETS, value), len(BUCKETS) - 1)] += 1
    p50, p95, p99 = (round(drawn[int(4000 * share)], 4) for share in (0.5, 0.95, 0.99))
    return LinkLatency(link, LINKS[link][0], len(ours), sum(counts), p50, p95, p99, round(drawn[-1], 4), BUCKETS,
                       tuple(counts))  # fmt: skip


def _day_shape(hour: int) -> int:
    of_day = hour % 24
    return (0, 0, 0, 0, 0, 0, 0, 2, 7, 10, 11, 9, 5, 8, 9, 6, 2, 1, 1, 0, 0, 0, 0, 0)[of_day]


def _series(rng: Random, offered: int, acked: int, slower: float) -> Series:
    total = sum(_day_shape(hour) for hour in range(HOURS))
    so_far, shares = 0, []
    for hour in range(HOURS):
        so_far += _day_shape(hour)
        shares.append(so_far / total)
    busy = [_day_shape(hour) / 11 for hour in range(HOURS)]
    given = tuple(round(offered * share) for share in shares)
    heard = tuple(min(round(acked * share * (0.97 if 76 <= hour <= 80 else 1.0)), round(acked * share))
                  for hour, share in enumerate(shares))  # fmt: skip
    return Series(
        3600.0, tuple((hour + 1) * 3600.0 for hour in range(HOURS)), given, given, heard,
        tuple(round(one * 0.52) for one in given), tuple(rng.randint(0, 5) for _ in given),
        tuple(mine - theirs for mine, theirs in zip(given, heard, strict=True)),
        tuple(round(share * 4 * slower + rng.random(), 2) for share in busy),
        tuple(3 + 40 * (116 <= hour <= 120) for hour in range(HOURS)),
        tuple(round(share * 0.9 + 0.05, 3) for share in busy), tuple(180 << 20 for _ in given),
        tuple(round(share * 0.2, 3) for share in busy), tuple(60 << 20 for _ in given),
        tuple(round(share + 0.05, 3) for share in busy), tuple(round(min(share, 1.0), 3) for share in busy),
    )  # fmt: skip
