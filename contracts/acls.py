"""What each stage may do in Kafka, and no more: it follows from the table of the stages (`mailscope topics acls`)."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from contracts import topics
from contracts.stages import GROUP_PREFIX, READER_PREFIX, STAGES, Stage, dead_letter_sources, observed_by

Operation = Literal["READ", "WRITE", "DESCRIBE", "CREATE", "ALTER", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"]
TOPICS_USER = "topics"  # who runs `mailscope topics apply`


@dataclass(frozen=True, order=True)
class Right:
    """What one user may do with one topic or group, or with all whose names begin so. READ and WRITE contain DESCRIBE."""

    kind: Literal["topic", "group"]
    name: str
    prefixed: bool
    operations: tuple[Operation, ...]


def users() -> dict[str, list[Right]]:
    """The rights of every user by its name: one for each stage, and one for `mailscope topics apply`."""
    rights = {one.name: rights_of(one) for one in STAGES}
    owns: tuple[Operation, ...] = ("CREATE", "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS")
    return {**rights, TOPICS_USER: [Right("topic", topics.PREFIX, True, owns)]}


def rights_of(stage: Stage) -> list[Right]:
    """What a stage needs."""
    found: dict[tuple[Literal["topic", "group"], str], set[Operation]] = defaultdict(set)
    observed = observed_by(stage)
    waiting = [topic for group in observed for topic in group.topics]
    for topic in (*stage.reads, *(waiting if stage.dates else ())):
        found["topic", topic].add("READ")
    for topic in (*stage.writes, *(dead_letter_sources() if stage.replays else ())):
        found["topic", topic].add("WRITE")
    for topic in waiting:
        if not found["topic", topic]:
            found["topic", topic].add("DESCRIBE")
    for topic in stage.describes:
        found["topic", topic].update(("DESCRIBE", "DESCRIBE_CONFIGS"))
    for group in observed:
        found["group", group.name].add("DESCRIBE")
    for group in stage.groups:
        found["group", group.name].add("READ")
    if stage.follows or observed:
        found["group", f"{READER_PREFIX}*"].add("READ")
    return sorted(
        Right(kind, name.rstrip("*"), name.endswith("*"), tuple(sorted(operations)))
        for (kind, name), operations in found.items()
    )


def principal(user: str) -> str:
    """The name under which a user of ours logs in to Kafka."""
    return f"{GROUP_PREFIX}{user}"
