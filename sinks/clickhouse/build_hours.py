"""The table `hours`: mails counted by hour of receipt, so that charts need not read the log.

An hour is counted anew from the log itself when it has changed (a late bounce changes the hour in which its mail was received), and its
counts are replaced whole. Nothing is added up, so that repetitions, replays and kills cannot matter; who is killed here leaves the mark
of the hour standing, and it is counted again.
"""

import asyncio
import logging
import time
from datetime import datetime

from clickhouse_connect.driver.exceptions import ClickHouseError

from contracts.errors import Unavailable
from runtime.open_store import Store

_log = logging.getLogger("mailscope.clickhouse")
INTERVAL = 5.0  # seconds between two looks at the marks
SHARE = 0.05  # of the time at most is spent on counting: inserts come first
AT_ONCE = 24  # hours of one look
# A mark holds the time at which its insert began, and one that ended later may have begun earlier. After this many seconds an hour whose
# marks have not changed is therefore counted once more; an insert takes a minute at most. So is one that a replica counted which lagged.
SETTLED = 300
MAX_COUNTS = 20_000  # of one dimension in one hour, the highest ones; a flood of made-up domains fills no memory
MEASURES = ["status", "bounce_class", "failed_check", "latency_bucket"]
DIMENSIONS = ["", "domain", "template", "channel", "bounce_class", "provider"]
_STALE = f"""
SELECT m.hour AS hour, m.marked AS marked FROM
    (SELECT hour, max(marked_at) AS marked FROM hour_marks GROUP BY hour) AS m
    LEFT JOIN (
        SELECT hour, max(seen) AS counted, max(built_at) AS built FROM hours WHERE measure = 'status' AND dimension = '' GROUP BY hour
    ) AS h ON h.hour = m.hour
WHERE m.marked > h.counted OR (h.built < m.marked + INTERVAL {SETTLED} SECOND AND now64(3) > m.marked + INTERVAL {SETTLED} SECOND)
ORDER BY hour DESC LIMIT {AT_ONCE}
"""
_COUNT = f"""
INSERT INTO hours
SELECT {{hour:DateTime('UTC')}}, measure, dimension, groupArrayIf(direction, mails > 0), groupArrayIf(value, mails > 0),
    groupArrayIf(word, mails > 0), groupArrayIf(mails, mails > 0), {{seen:DateTime64(3, 'UTC')}}, now64(3, 'UTC')
FROM (
    SELECT one.1 AS measure, one.2 AS word, two.1 AS dimension, two.2 AS value, direction, sum(same) AS mails
    FROM (
        SELECT direction, status, bounce_class, failed_checks, latency_bucket, domains, template, channel, provider, count() AS same
        FROM mails FINAL
        WHERE received_at >= {{hour:DateTime('UTC')}} AND received_at < {{hour:DateTime('UTC')}} + INTERVAL 1 HOUR
        GROUP BY ALL
    )
    ARRAY JOIN arrayConcat(
        [('status', toString(status))],
        if(bounce_class != '', [('bounce_class', toString(bounce_class))], []),
        arrayMap(one -> ('failed_check', one), failed_checks),
        if(latency_bucket != 0, [('latency_bucket', toString(latency_bucket))], [])
    ) AS one
    ARRAY JOIN arrayConcat(
        [('', '')],
        arrayMap(one -> ('domain', one), domains),
        arrayFilter(pair -> pair.2 != '', [('template', toString(template)), ('channel', toString(channel)),
            ('bounce_class', toString(bounce_class)), ('provider', toString(provider))])
    ) AS two
    GROUP BY measure, word, dimension, value, direction
    ORDER BY mails DESC, value, word, direction
    LIMIT {MAX_COUNTS} BY measure, dimension
    UNION ALL  -- a row for each measure and dimension, so that one which has nothing any more is replaced by nothing
    SELECT arrayJoin({MEASURES}), '', arrayJoin({DIMENSIONS}), '', '', 0
)
GROUP BY measure, dimension
"""


async def build_hours(store: Store, stop: asyncio.Event) -> None:
    """Count what has changed until told to stop. A store that is away is asked again later: nobody waits for this."""
    while not stop.is_set():
        took = 0.0
        try:
            began = time.monotonic()
            await asyncio.to_thread(build_once, store)
            took = time.monotonic() - began
        except (ClickHouseError, Unavailable, OSError) as error:
            _log.warning("hours were not counted, and will be later: %s", str(error)[:300])
        try:
            await asyncio.wait_for(stop.wait(), max(INTERVAL, took / SHARE))
        except TimeoutError:
            continue


def build_once(store: Store) -> int:
    """Count the hours that have changed, the newest first, at most AT_ONCE; how many they were."""
    stale = stale_hours(store)
    for hour, marked in stale:
        build_hour(store, hour, marked)
    return len(stale)


def stale_hours(store: Store) -> list[tuple[datetime, datetime]]:
    """Hours that have changed since they were counted, each with its newest mark."""
    return [(row[0], row[1]) for row in store.client.query(_STALE).result_rows]


def build_hour(store: Store, hour: datetime, marked: datetime) -> None:
    """Replace the counts of an hour. The mark was read before the rows are: what comes meanwhile leaves a newer one."""
    store.client.command(
        _COUNT,
        parameters={"hour": f"{hour:%Y-%m-%d %H:%M:%S}", "seen": f"{marked:%Y-%m-%d %H:%M:%S.%f}"[:-3]},
        settings={"max_threads": 1, "max_memory_usage": 1 << 30, "max_execution_time": 60},
    )
