"""Series for Prometheus as the collectors of hub and node give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric


def gauge(name: str, text: str, value: float) -> Metric:
    """One value without labels."""
    return GaugeMetricFamily(name, text, value=value)


def gauges(rows: Iterable[tuple[str, str, float]]) -> Iterator[Metric]:
    """One `gauge` of each (name, text, value)."""
    return (gauge(*row) for row in rows)


def gauge_by(name: str, text: str, label: str, counts: Mapping[str, float]) -> Metric:
    """A value for each value of one label."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
