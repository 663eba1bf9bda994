"""What the product counts about itself, in Prometheus form.

No label names a tenant or an object: the number of series is bounded by the code. Whose queue it is that is late stands
in the logs.
"""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
DURATION_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)  # 0.15 and 0.3: SLOs
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Metrics:
    """The registry of one process and its metrics; built once and passed down."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each counter, which nobody reads
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)

        self.http_server_request_duration_seconds = self._histogram(
            "http_server_request_duration_seconds",
            "Time to answer a request, by the template of its route",
            "method",
            "route",
            "status_class",
        )
        self.idempotency_replays_total = self._counter(
            "idempotency_replays_total", "Requests answered from a stored response"
        )
        self.tenant_context_missing_total = self._counter(
            "tenant_context_missing_total", "Database work refused because no tenant was bound"
        )
        self.db_pool_checked_out = self._gauge("db_pool_checked_out", "Database connections in use")

        self.queue_due_messages = self._gauge("queue_due_messages", "Work whose time has come", "queue")
        self.queue_oldest_due_age_seconds = self._gauge(
            "queue_oldest_due_age_seconds", "How late the oldest due work is: the main alarm", "queue"
        )
        self.dead_letters = self._gauge("dead_letters", "Work that will not be tried again by itself", "queue")
        self.lease_expired_total = self._counter("lease_expired_total", "Work whose worker vanished")
        self.sweeper_lag_seconds = self._gauge("sweeper_lag_seconds", "Time since the last complete sweep")
        self.outbox_unsent = self._gauge("outbox_unsent", "Events without a log position")
        self.invariant_violations = self._gauge(
            "invariant_violations", "Rows that break an invariant: must be 0", "invariant"
        )

        self.message_attempts_total = self._counter(
            "message_attempts_total", "Calls of a channel's provider", "channel", "outcome"
        )
        self.message_unknown_total = self._counter(
            "message_unknown_total", "Messages of which nobody knows whether they left", "channel"
        )
        self.webhook_delivery_attempts_total = self._counter(
            "webhook_delivery_attempts_total", "Webhook attempts", "outcome"
        )
        self.webhook_oldest_pending_age_seconds = self._gauge(
            "webhook_oldest_pending_age_seconds", "Age of the oldest delivery that was never tried"
        )

    def observe_request(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Record an answered request; `route` is the template (`/v1/invoices/{id}`), never the path."""
        labels = (method if method in _METHODS else "other", route, f"{status // 100}xx")
        self.http_server_request_duration_seconds.labels(*labels).observe(duration_s)

    def render(self) -> bytes:
        """The text that Prometheus reads, with CONTENT_TYPE."""
        return generate_latest(self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, registry=self.registry)

    def _histogram(self, name: str, documentation: str, *labels: str) -> Histogram:
        return Histogram(name, documentation, labels, registry=self.registry, buckets=DURATION_BUCKETS_S)
