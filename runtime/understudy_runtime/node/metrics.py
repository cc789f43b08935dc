"""A node's figures for Prometheus, read when somebody asks: between two scrapes they cost an addition here and there.

Names follow Prometheus' conventions (base units, `_total` for counters). Labels are bounded by what user code
defines: never a run, an id or a message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from understudy.app import App
from understudy_runtime.core.figures import Histogram
from understudy_runtime.core.workers import PoolInfo
from understudy_runtime.execution.figures import TaskFigures
from understudy_runtime.node.logs import LineWriter
from understudy_runtime.node.monitor import Monitor
from understudy_runtime.node.node import Node
from understudy_runtime.node.serving import own_version

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class NodeMetrics(Collector):
    """Of one node; collected from any thread."""

    def __init__(self, node: Node, monitor: Monitor, writer: LineWriter, apps: Sequence[App]) -> None:
        self._node = node
        self._monitor = monitor
        self._writer = writer
        self._build = next((app.build for app in apps if app.build), "")
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.registry.register(self)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)

    def describe(self) -> list[Metric]:
        """Nothing ahead of time: the registry would otherwise collect when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield self._info()
        yield from self._engine()
        yield from self._tasks()
        yield from self._loops()
        yield _counter("understudy_log_lines_lost", "Log lines that nobody read in time.", self._writer.lost)

    def _info(self) -> Metric:
        labels = ("node", "version", "build")
        info = GaugeMetricFamily("understudy_node_info", "The node behind these figures; always 1.", labels=labels)
        info.add_metric((self._node.name, own_version(), self._build), 1)
        return info

    def _engine(self) -> Iterator[Metric]:
        engine = self._node.engine
        yield _counter(
            "understudy_turns", "Turns taken: messages that actors, runs included, have handled.", engine.turns
        )
        yield _counter(
            "understudy_commits", "Commits begun: batches of turns made durable.", sum(engine.batches.counts)
        )
        turns = HistogramMetricFamily("understudy_commit_turns", "Turns made durable by one commit.")
        yield _distribution(turns, engine.batches)
        seconds = HistogramMetricFamily("understudy_commit_duration_seconds", "How long commits took.")
        yield _distribution(seconds, engine.commit_seconds)
        yield _gauge("understudy_resident_actors", "Actors, runs included, that are in memory.", engine.resident)
        yield _gauge("understudy_open_attempts", "Attempts given out that have not been reported.", engine.attempts_out)

    def _tasks(self) -> Iterator[Metric]:
        running, waiting = self._node.executor.load
        yield _gauge("understudy_running_attempts", "Attempts that run on this node itself.", running)
        pool = self._node.pool
        if pool is not None:
            yield from _workers(pool.info(), waiting)
            waits = HistogramMetricFamily(
                "understudy_queue_wait_seconds", "How long attempts waited until a worker was given them."
            )
            yield _distribution(waits, pool.waits)
        figures = self._node.executor.figures
        yield _outcomes(figures)
        seconds = HistogramMetricFamily(
            "understudy_task_duration_seconds", "From the beginning of an attempt to its end.", labels=("task",)
        )
        for task, figure in list(figures.items()):
            _distribution(seconds, figure.seconds, task)
        yield seconds

    def _loops(self) -> Iterator[Metric]:
        lag = HistogramMetricFamily("understudy_loop_lag_seconds", "How late the engine's loop called a timer back.")
        yield _distribution(lag, self._monitor.lag)
        blocked = self._monitor.blocked
        yield _gauge(
            "understudy_work_loop_blocked_seconds",
            "For how long a task has kept the loop of async tasks from answering; 0: it answers.",
            0.0 if blocked is None else blocked.lag_s,
        )


def _workers(pool: PoolInfo, waiting_here: int) -> Iterator[Metric]:
    """Attempts wait for anybody in a queue, or, once they are this node's, for a slot: as queue ""."""
    queued = {"": waiting_here}
    for line in pool.waiting:
        queued[line.need.queue] = queued.get(line.need.queue, 0) + line.count
    yield _by("understudy_queued_attempts", "Attempts that wait for a worker, by queue.", "queue", queued)
    workers = Counter(str(worker.status) for worker in pool.workers)
    yield _by(
        "understudy_workers",
        "Workers, this node's own and those lost a moment ago included, by how they are.",
        "status",
        workers,
    )
    alive = [worker for worker in pool.workers if worker.status != "lost"]
    yield _gauge("understudy_worker_slots", "Slots of all workers.", sum(worker.slots for worker in alive))
    yield _gauge("understudy_worker_slots_used", "Slots in use.", sum(worker.used for worker in alive))


def _outcomes(figures: dict[str, TaskFigures]) -> Metric:
    attempts = CounterMetricFamily(
        "understudy_task_attempts", "Attempts that have ended, by how they did.", labels=("task", "outcome")
    )
    for task, figure in list(figures.items()):
        for outcome, count in list(figure.ended.items()):
            attempts.add_metric((task, outcome), count)
    return attempts


def _counter(name: str, help: str, value: float) -> Metric:
    return CounterMetricFamily(name, help, value=value)


def _gauge(name: str, help: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help, value=value)


def _by(name: str, help: str, label: str, values: Mapping[str, float]) -> Metric:
    metric = GaugeMetricFamily(name, help, labels=(label,))
    for value, count in values.items():
        metric.add_metric((value,), count)
    return metric


def _distribution(metric: HistogramMetricFamily, histogram: Histogram, *labels: str) -> HistogramMetricFamily:
    bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    metric.add_metric(labels, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.total)
    return metric
