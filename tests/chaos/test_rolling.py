"""Every stage and every broker is ended in order and started anew, one after the other, while mail goes on in both directions: what an
orchestrator does for a new configuration, a new node, or a new version."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.stages import STAGES
from tests.chaos.traffic import Traffic
from tests.e2e.deployment import ONE_SHOT, Deployment
from tests.e2e.pipeline import ROOT
from tests.e2e.test_late_news import delivered, dsn, row_once

FROM = os.environ.get("FROM", "")  # a commit, from which `make test-upgrade` upgrades
READERS_FIRST = (
    "clickhouse", "outcomes", "delivery", "handlers", "inbound", "outbound", "console", "smtp", "submission",
)  # fmt: skip


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Deployment]:
    running = Deployment(tmp_path / "deployed")
    try:
        yield running
    finally:
        running.close()


def test_every_stage_rolls_in_the_order_of_an_upgrade() -> None:
    assert set(READERS_FIRST) == {stage.name for stage in STAGES if not stage.only_with}


@pytest.mark.long
def test_a_rolling_restart_of_every_stage_and_every_broker(deployed: Deployment) -> None:
    deployed.start()
    with Traffic(deployed) as traffic:
        time.sleep(3)
        for stage in READERS_FIRST:
            deployed.roll(stage)
            assert traffic.goes_on(), f"no mail is accepted after {stage} was restarted"
        for node in range(3):
            deployed.cluster.nodes[node].stop()
            time.sleep(4)
            assert traffic.goes_on(), "two of three brokers, and no mail is accepted"
            deployed.cluster.start(node)
            time.sleep(4)
    doubled = traffic.check()
    print(f"{traffic}; every stage and every broker restarted in order: {doubled} delivered twice")
    assert not doubled  # nobody was killed


@pytest.mark.long
def test_more_partitions_while_mail_goes_on_and_a_bounce_of_before(deployed: Deployment) -> None:
    """`topics apply` with more partitions: mail under way stays where it is, and a bounce finds its mail where it was."""
    deployed.start()
    before = [
        (f"early{number}@partner.test", *delivered(deployed, f"early{number}@partner.test")) for number in range(8)
    ]
    with Traffic(deployed) as traffic:
        time.sleep(3)
        deployed.change(kafka={**deployed.kafka, "partitions": 5})
        deployed.do("topics")
        for _ in range(4):
            assert traffic.goes_on()
        time.sleep(30)  # consumers look for new partitions now and then
    doubled = traffic.check()
    for address, mail_id, bounce_address in before:
        raw = dsn(deployed, bounce_address, address, "failed", "5.1.1", "550 5.1.1 no such user here")
        assert deployed.send(raw, bounce_address, sender="")[0] == 250
        assert row_once(deployed, mail_id, "delivery_failed")["late"]
    print(
        f"{traffic}; from 2 to 5 partitions under load: {doubled} delivered twice, {len(before)} bounces of before found their mail"
    )
    assert not doubled


@pytest.mark.long
@pytest.mark.skipif(not FROM, reason="make test-upgrade FROM=<commit>")
def test_a_rolling_upgrade_from_an_earlier_version(deployed: Deployment, tmp_path: Path) -> None:
    old = tmp_path / "old"
    subprocess.run(["git", "worktree", "add", "--detach", str(old), FROM], cwd=ROOT, check=True)
    try:
        deployed.code = old
        deployed.start()
        with Traffic(deployed) as traffic:
            time.sleep(3)
            deployed.code = ROOT
            for job in ONE_SHOT:
                deployed.do(job)
            for stage in READERS_FIRST:
                deployed.roll(stage)
                assert traffic.goes_on(), f"no mail is accepted after {stage} was upgraded"
        doubled = traffic.check()
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(old)], cwd=ROOT, check=True)
    letters = deployed.get("/dead-letters").json()["items"]
    print(f"{traffic}; upgraded from {FROM} stage by stage: {doubled} delivered twice, {len(letters)} dead letters")
    assert not doubled and not letters
