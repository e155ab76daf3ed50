"""From the declarations of `contracts/metrics.py` to Prometheus: each process exposes the metrics of the stages that it is.

A metric that is counted by a process whose stage does not have it is a mistake that `expose` cannot see: tests/unit/runtime looks.
"""

from functools import cache

import prometheus_client
from prometheus_client import REGISTRY

from contracts import metrics


@cache
def counter(declared: metrics.Counter) -> prometheus_client.Counter:
    """The counter of this process."""
    return prometheus_client.Counter(declared.name, declared.help, declared.labels, registry=None)


@cache
def gauge(declared: metrics.Gauge) -> prometheus_client.Gauge:
    """The gauge of this process."""
    return prometheus_client.Gauge(declared.name, declared.help, declared.labels, registry=None)


@cache
def histogram(declared: metrics.Histogram) -> prometheus_client.Histogram:
    """The histogram of this process."""
    return prometheus_client.Histogram(
        declared.name, declared.help, declared.labels, buckets=declared.buckets, registry=None
    )


def expose(*stages: str) -> None:
    """Register the metrics of these stages with the process's registry; what `/metrics` then says.

    May be called for each stage of a process on its own: what an earlier call registered stays.
    """
    for declared in metrics.all_metrics():
        if set(stages) & set(declared.stages):
            register(declared)


@cache
def register(declared: metrics.Metric) -> None:
    """Register one metric, once a process."""
    if isinstance(declared, metrics.Counter):
        REGISTRY.register(counter(declared))
    elif isinstance(declared, metrics.Gauge):
        REGISTRY.register(gauge(declared))
    elif isinstance(declared, metrics.Histogram):
        REGISTRY.register(histogram(declared))
