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
    assert set(READERS_FIRST) == {stage.name for stage in STAGES} - {"mailboxes"}


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
