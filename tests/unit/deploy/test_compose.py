"""docker-compose.yml runs every stage of the table, within bounds, after what it needs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.settings import Settings
from contracts.stages import STAGES

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("mailscope:")}


def test_every_stage_is_a_service_and_no_service_is_no_stage() -> None:
    commands = [tuple(one["command"]) for name, one in OURS.items() if name != "secrets"]
    stages = {
        (*stage.command, *(("--health-port", "0") if stage.health_offset is not None else ())) for stage in STAGES
    }
    assert set(commands) == stages | {("topics", "apply"), ("schema", "apply")} and len(commands) == len(set(commands))


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_bounded_pinned_and_made_again(name: str) -> None:
    service = SERVICES[name]
    assert ":" in service["image"] and not service["image"].endswith(":latest")
    assert service["mem_limit"] and service["cpus"] and service["logging"]["options"]["max-size"]
    once = name in ("secrets", "topics", "schema")
    assert service["restart"] == ("no" if once else "unless-stopped")
    for port in service.get("ports", ()):
        assert name in ("smtp", "submission") or port.startswith("127.0.0.1:"), "only mail is for everybody"


@pytest.mark.parametrize("name", OURS)
def test_a_stage_may_nothing_that_it_does_not_need(name: str) -> None:
    service = OURS[name]
    assert (
        service["read_only"] and service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"]
    )
    if name not in ("secrets", "topics", "schema"):
        waits = {one: word["condition"] for one, word in service["depends_on"].items()}
        assert waits == dict.fromkeys(("topics", "schema"), "service_completed_successfully")
    user = service.get("environment", {}).get("MAILSCOPE_STORE__DSN", "").partition("//")[2].partition("@")[0]
    assert user == {"schema": "mailscope_owner", "sink": "mailscope_writer", "console": "mailscope_reader"}.get(
        name, ""
    )


def test_the_configuration_is_one_and_prometheus_asks_every_stage() -> None:
    settings = Settings.model_validate(yaml.safe_load((ROOT / "deploy/compose/mailscope.yaml").read_text()))
    assert settings.secret_file and settings.console.admin_token_file and not settings.kafka_is_local
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text())["scrape_configs"][0]
    by_stage = {one["labels"]["stage"]: one["targets"][0] for one in scraped["static_configs"]}
    assert set(by_stage) == {stage.name for stage in STAGES}
    for target in by_stage.values():
        host, _, port = target.partition(":")
        assert host in OURS and port == ("8025" if host == "console" else "9101")


def test_nobody_but_the_users_of_the_log_comes_into_clickhouse_from_another_container() -> None:
    """The image shuts `default`, who may do everything and has no password, out of the network, unless one of these is set."""
    said = str(SERVICES["clickhouse"].get("environment", {})) + str(SERVICES["clickhouse"]["command"])
    for name in ("SKIP_USER_SETUP", "CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD", "DEFAULT_ACCESS_MANAGEMENT"):
        assert name not in said
