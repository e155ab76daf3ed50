"""The table of hours says what the log says, however often the one who counts is killed."""

import gc
import random
import subprocess
import sys
import time
from pathlib import Path

from sinks.clickhouse.build_hours import build_once, stale_hours
from tests.integration.dying_counter import Rows

ROOT = Path(__file__).resolve().parents[2]
HOURS = """SELECT hour, one, sum(many) FROM hours FINAL ARRAY JOIN word AS one, mails AS many
WHERE measure = '{0}' AND dimension = 'provider' GROUP BY hour, one ORDER BY hour, one"""
LOG = """SELECT toStartOfHour(toDateTime(received_at, 'UTC')) AS hour, toString({0}) AS one, count() FROM mails FINAL
WHERE provider != '' AND one NOT IN ('', '0') GROUP BY hour, one ORDER BY hour, one"""


def test_killed_again_and_again_the_hours_are_exact(tmp_path: Path) -> None:
    for _ in range(3):
        argv = [sys.executable, "-m", "tests.integration.dying_counter", str(tmp_path)]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None and process.stdout.readline()
            time.sleep(random.uniform(0.1, 1.5))
            process.kill()
    rows = Rows(tmp_path)
    try:
        while build_once(rows.store):
            pass
        assert stale_hours(rows.store) == []
        ask = rows.store.client.query
        for measure in ("status", "bounce_class", "latency_bucket"):
            counted = ask(HOURS.format(measure)).result_rows
            assert counted == ask(LOG.format(measure)).result_rows and counted, measure
    finally:
        rows.store.client.close()
        rows.store.forget()
        gc.collect()
