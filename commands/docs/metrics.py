"""docs/metrics.md: every metric, and the stages that have it."""

from contracts import metrics


def describe_metrics() -> str:
    """The document."""
    lines = ["# Metrics", ""]
    lines += [
        "Every process serves Prometheus metrics at `/metrics`: those of its stage, and no others. Durations are seconds,"
    ]
    lines += ["sizes octets.", ""]
    lines += ["| metric | type | labels | stages | meaning |", "|---|---|---|---|---|"]
    for one in metrics.all_metrics():
        owners = "every" if one.stages == metrics.EVERY else ", ".join(one.stages)
        kind = type(one).__name__.lower()
        lines.append(f"| `{one.name}` | {kind} | {', '.join(one.labels)} | {owners} | {one.help} |")
    return "\n".join(lines) + "\n"
