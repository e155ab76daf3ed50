"""Three workers of every stage: they share the work, and killing, joining and leaving loses and doubles nothing."""

import signal
import time

import pytest

from tests.chaos.conftest import Brew
from tests.chaos.traffic import Traffic, start_more


@pytest.mark.long
def test_three_workers_of_every_stage(brew: Brew) -> None:
    storm = brew()
    workers = start_more(storm, 2)
    with Traffic(storm) as traffic:
        time.sleep(6.0)
        for _ in range(6):
            name, command, port = storm.random.choice(workers)
            process = storm.processes[name]
            process.send_signal(storm.random.choice([signal.SIGKILL, signal.SIGTERM]))
            process.wait(20)
            time.sleep(storm.random.uniform(0.2, 1.5))
            storm.worker(*command, name=name, port=port)
            storm.kill(storm.random.choice(["inbound", "outbound", "outcomes", "delivery", "handlers"]))
            time.sleep(storm.random.uniform(0.5, 2.0))
    doubled = traffic.check()
    print(f"{traffic}, 12 killed or stopped: all right, {doubled} delivered twice (on the wire at a kill)")
    assert doubled <= 30
