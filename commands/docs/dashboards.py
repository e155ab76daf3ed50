"""deploy/grafana/dashboards/: what an operator looks at first, made from a table of panels. A test holds them to metrics that exist."""

import json
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT, ACROSS = 8, 8, 3  # of a panel in Grafana's grid of 24 columns; panels in a row
SOURCE = {"type": "prometheus", "uid": "prometheus"}


@dataclass(frozen=True)
class Panel:
    """One chart: each query with the words of its legend."""

    title: str
    unit: str  # Grafana's name of it
    queries: tuple[tuple[str, str], ...]
    says: str = ""  # what to read from it


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def _quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    buckets = f"sum by (le) (rate({metric}_bucket[$__rate_interval]))"
    return tuple((f"histogram_quantile({q}, {buckets})", f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99))


OVERVIEW = (
    Panel(
        "Messages received",
        "reqps",
        ((_rate("mailscope_ingest_messages_total", "reply"), "{{reply}}"),),
        "deferred is trouble of ours",
    ),
    Panel(
        "Status changes",
        "reqps",
        ((_rate("mailscope_processors_statuses_total", "direction, status"), "{{direction}} {{status}}"),),
    ),
    Panel(
        "Age of the log",
        "s",
        (("time() - max(mailscope_clickhouse_complete_until_seconds)", "complete until"),),
        "how old the newest moment is up to which the log is complete",
    ),
    Panel(
        "Until Kafka holds it",
        "s",
        _quantiles("mailscope_ingest_ack_seconds"),
        "from the last octet to the acknowledgement",
    ),
    Panel("Until the verdict", "s", _quantiles("mailscope_ingest_verdict_seconds")),
    Panel(
        "Records that wait",
        "short",
        (
            ("sum by (app) (mailscope_processors_lag_records)", "{{app}}"),
            ("sum by (sink) (mailscope_sinks_lag_records)", "{{sink}}"),
        ),
    ),
    Panel("Delivery attempts", "reqps", ((_rate("mailscope_delivery_attempts_total", "outcome"), "{{outcome}}"),)),
    Panel(
        "Bounces by class",
        "reqps",
        ((_rate("mailscope_processors_bounces_total", "bounce_class"), "{{bounce_class}}"),),
    ),
    Panel(
        "Authentication",
        "reqps",
        ((_rate("mailscope_processors_authentication_results_total", "method, result"), "{{method}} {{result}}"),),
    ),
    Panel("Handlers", "reqps", ((_rate("mailscope_handlers_calls_total", "outcome"), "{{outcome}}"),)),
    Panel(
        "Status webhooks",
        "reqps",
        ((_rate("mailscope_subscriptions_calls_total", "subscription, outcome"), "{{subscription}} {{outcome}}"),),
    ),
    Panel(
        "Dead letters",
        "short",
        (("sum by (stage, reason) (increase(mailscope_dead_letters_total[1h]))", "{{stage}} {{reason}}"),),
    ),
    Panel("Complaints of Kafka's clients", "reqps", ((_rate("mailscope_kafka_errors_total", "kind"), "{{kind}}"),)),
    Panel("Rows inserted", "reqps", ((_rate("mailscope_clickhouse_rows_total", "table"), "{{table}}"),)),
    Panel("One insert", "s", _quantiles("mailscope_clickhouse_insert_seconds")),
    Panel("Console requests", "reqps", ((_rate("mailscope_console_requests_total", "status"), "{{status}}"),)),
)


def dashboards() -> dict[str, str]:
    """The text of every dashboard by its file name."""
    return {
        "overview.json": json.dumps(_dashboard("mailscope-overview", "Mailscope: overview", OVERVIEW), indent=1) + "\n"
    }


def _dashboard(uid: str, title: str, panels: tuple[Panel, ...]) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": title,
        "tags": ["mailscope"],
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "schemaVersion": 41,
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, ACROSS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": row * HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(panel.queries)
        ],
    }
