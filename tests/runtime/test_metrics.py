"""The metrics by name, as dashboards and alarms will ask for them."""

from runtime.metrics import CONTENT_TYPE, Metrics

EXPECTED = {
    "db_pool_checked_out": (),
    "dead_letters": ("queue",),
    "http_server_request_duration_seconds": ("method", "route", "status_class"),
    "idempotency_replays_total": (),
    "invariant_violations": ("invariant",),
    "lease_expired_total": (),
    "message_attempts_total": ("channel", "outcome"),
    "message_unknown_total": ("channel",),
    "outbox_unsent": (),
    "queue_due_messages": ("queue",),
    "queue_oldest_due_age_seconds": ("queue",),
    "sweeper_lag_seconds": (),
    "tenant_context_missing_total": (),
    "webhook_delivery_attempts_total": ("outcome",),
    "webhook_oldest_pending_age_seconds": (),
}


def test_each_metric_has_its_name_and_its_labels() -> None:
    metrics = Metrics()
    for name, labels in EXPECTED.items():
        metric = getattr(metrics, name)
        assert metric._labelnames == labels, name  # noqa: SLF001 - the library tells no other way
    named = set(vars(metrics)) - {"registry"}
    assert named == set(EXPECTED)


def test_no_label_names_a_tenant_or_an_object() -> None:
    labels = {label for labels in EXPECTED.values() for label in labels}
    assert not [label for label in labels if "tenant" in label or label.endswith("_id")]


def test_render_shows_what_was_counted() -> None:
    metrics = Metrics()
    metrics.message_attempts_total.labels("email", "sent").inc(2)
    metrics.queue_oldest_due_age_seconds.labels("message").set(1.5)
    metrics.observe_request("GET", "/v1/invoices/{id}", 404, 0.2)
    lines = metrics.render().decode().splitlines()
    assert 'message_attempts_total{channel="email",outcome="sent"} 2.0' in lines
    assert 'queue_oldest_due_age_seconds{queue="message"} 1.5' in lines
    place = 'method="GET",route="/v1/invoices/{id}",status_class="4xx"'
    assert f'http_server_request_duration_seconds_bucket{{le="0.15",{place}}} 0.0' in lines
    assert f'http_server_request_duration_seconds_bucket{{le="0.3",{place}}} 1.0' in lines
    assert not [line for line in lines if "_created" in line]
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


def test_invented_method_makes_no_series() -> None:
    metrics = Metrics()
    metrics.observe_request("BREW1", "/v1/x", 405, 0.1)
    metrics.observe_request("BREW2", "/v1/x", 405, 0.1)
    text = metrics.render().decode()
    assert "BREW" not in text
    assert 'http_server_request_duration_seconds_count{method="other",route="/v1/x",status_class="4xx"} 2.0' in text


def test_registries_are_apart() -> None:
    one, other = Metrics(), Metrics()
    one.idempotency_replays_total.inc()
    assert "idempotency_replays_total 1.0" in one.render().decode()
    assert "idempotency_replays_total 0.0" in other.render().decode()
