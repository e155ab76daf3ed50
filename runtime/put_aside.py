"""What becomes of a record that cannot be used: kept as a dead letter, said in the log, counted, and told of its mail.

The one answer to trouble with a single record, for every stage (docs/flow.md, Trouble).
"""

import logging
from collections.abc import Callable

from contracts import metrics
from contracts.dead_letter import dead_letter
from contracts.errors import InvalidEvent
from contracts.records import ConsumedRecord, Record
from runtime.expose_metrics import counter

_log = logging.getLogger("mailscope.dead_letter")
Tell = Callable[[ConsumedRecord, str], list[Record]]


def put_aside(stage: str, why: Exception, source: ConsumedRecord, tell: Tell | None = None) -> list[Record]:
    """The dead letter of a record that cannot be read (InvalidEvent) or that crashed us (anything else), and what `tell` has to say of
    its mail for the reason. Publish them, and only then commit the record; what cannot be published stops the stage."""
    invalid = isinstance(why, InvalidEvent)
    reason = why if isinstance(why, InvalidEvent) else InvalidEvent("crashed", f"{type(why).__name__}: {why}")
    counter(metrics.DEAD_LETTERS).labels(stage, reason.reason).inc()
    _log.error("%s put aside %s: %s", stage, source, reason, exc_info=None if invalid else why)
    told: list[Record] = []
    if tell is not None:
        try:
            told = tell(source, reason.reason)
        except Exception as unreadable:  # it does not even say of which mail it is
            _log.error("%s cannot tell of which mail %s is: %s", stage, source, unreadable)
    return [dead_letter(stage, reason, source), *told]
