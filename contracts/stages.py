"""The one table of the stages: what each is called and started by, which topics it reads, in which consumer group, and which it writes.

The command line, the supervisor of one machine, the watermark of completeness, the topics' ACLs and the documents follow from it; a
test finds a group or a topic that it does not know.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from contracts import topics

GROUP_PREFIX = "mailscope-"
SUBSCRIPTION_PREFIX = f"{GROUP_PREFIX}subscription-"  # of the groups of status webhooks, one for each subscription
READER_PREFIX = (
    f"{GROUP_PREFIX}reader-"  # of groups that are only a name: their one member assigns itself and commits nothing
)


@dataclass(frozen=True)
class Group:
    """A consumer group and the topics that its members share. A topic's name may end in `*`: all that begin so; the group's own, too."""

    name: str
    topics: tuple[str, ...]


@dataclass(frozen=True)
class Stage:
    """One kind of process."""

    name: str
    command: tuple[str, ...]  # `mailscope ...`
    summary: str  # one sentence: the help of its command
    groups: tuple[Group, ...] = ()  # topics whose partitions are shared among its processes, with committed offsets
    follows: tuple[str, ...] = ()  # topics that each process reads for itself, without committing
    writes: tuple[str, ...] = ()
    observes: tuple[str, ...] = ()  # groups whose positions it asks for
    dates: bool = False  # of what waits for them it reads the oldest record, to say since when
    describes: tuple[str, ...] = ()  # topics whose configuration and newest times it asks for
    replays: bool = False  # dead letters, to wherever they came from
    health_offset: int | None = (
        None  # from `metrics.port`, of its first process; None: it serves its health on its own port
    )
    instances_setting: str = ""  # the setting that says how many of it one machine runs; "": one
    only_with: str = ""  # the property of the settings without which one machine runs none of it

    @property
    def reads(self) -> tuple[str, ...]:
        """Every topic that it reads."""
        return (*(topic for group in self.groups for topic in group.topics), *self.follows)


STATUS_TOPICS = (topics.STATUS_INBOUND, topics.STATUS_OUTBOUND)
_DISPATCHED = (topics.DISPATCH, topics.retry_topic("*"))
_DECIDES = (topics.EVENTS, topics.STATUS_INBOUND, topics.STATUS_OUTBOUND, topics.DEADLETTER)

STAGES = (
    Stage(
        "inbound",
        ("processors", "inbound"),
        "Authenticate and route every mail (Faust).",
        groups=(Group("mailscope-inbound", (topics.RAW,)),),
        follows=(topics.EVENTS, topics.CLAIMS, topics.THREADS),
        writes=(*_DECIDES, topics.DISPATCH, topics.VERDICTS, topics.RAW, topics.ATTEMPTS, topics.CLAIMS),
        health_offset=0,
    ),
    Stage(
        "outbound",
        ("processors", "outbound"),
        "Decide who gets the mail that we send (Faust).",
        groups=(Group("mailscope-outbound", (topics.RAW,)),),
        follows=(topics.EVENTS, topics.SUPPRESSIONS, topics.PREFERENCES, topics.QUOTAS),
        writes=(*_DECIDES, topics.DISPATCH, topics.VERDICTS, topics.RAW, topics.QUOTAS, topics.THREADS),
        health_offset=71,
    ),
    Stage(
        "outcomes",
        ("processors", "outcomes"),
        "Say what became of every attempt (Faust).",
        groups=(Group("mailscope-outcomes", (topics.ATTEMPTS,)),),
        follows=(topics.SUPPRESSIONS, topics.PREFERENCES, topics.EVENTS),
        writes=(*_DECIDES, topics.ATTEMPTS, topics.RAW, topics.SUPPRESSIONS, topics.PREFERENCES, topics.THREADS),
        health_offset=1,
    ),
    Stage(
        "delivery",
        ("sinks", "delivery"),
        "Deliver forwards and outbound mail over SMTP.",
        groups=(Group("mailscope-delivery", _DISPATCHED),),
        follows=(topics.RAW,),
        writes=(topics.ATTEMPTS, topics.retry_topic("*"), topics.DEADLETTER),
        health_offset=2,
    ),
    Stage(
        "handlers",
        ("sinks", "handlers"),
        "Give mail to webhooks and Python functions.",
        groups=(Group("mailscope-handlers", _DISPATCHED),),
        follows=(topics.RAW,),
        writes=(topics.ATTEMPTS, topics.retry_topic("*"), topics.DEADLETTER),
        health_offset=3,
    ),
    Stage(
        "subscriptions",
        ("sinks", "subscriptions"),
        "Call status webhooks.",
        groups=(Group(f"{SUBSCRIPTION_PREFIX}*", STATUS_TOPICS),),
        follows=(topics.SUBSCRIPTIONS,),
        writes=(topics.SUBSCRIPTIONS, topics.CALLS, topics.DEADLETTER),
        health_offset=74,
        only_with="subscriptions",
    ),
    Stage(
        "clickhouse",
        ("sinks", "clickhouse"),
        "Insert the log into ClickHouse.",
        # Bodies in a group of their own, so that they never delay what the log is known to be complete of.
        groups=(
            Group(
                "mailscope-clickhouse",
                (topics.EVENTS, topics.DEADLETTER, topics.CONNECTIVITY, topics.AUDIT, topics.CALLS),
            ),
            Group("mailscope-clickhouse-raw", (topics.RAW,)),
        ),
        follows=(topics.ERASURES,),
        writes=(topics.DEADLETTER, topics.ERASURES, topics.ATTEMPTS),  # the last for mail that is open beyond its limit
        observes=("mailscope-inbound", "mailscope-outbound", "mailscope-outcomes"),  # before it the log is not complete
        health_offset=70,
    ),
    Stage(
        "console",
        ("console",),
        "Serve the console, the API and the send hook.",
        follows=(
            topics.TOKENS,
            topics.CLAIMS,
            topics.SUPPRESSIONS,
            topics.PREFERENCES,
            topics.ERASURES,
            topics.VERDICTS,
        ),
        writes=(
            topics.RAW,
            topics.ATTEMPTS,
            topics.TOKENS,
            topics.CLAIMS,
            topics.SUPPRESSIONS,
            topics.PREFERENCES,
            topics.AUDIT,
            topics.ERASURES,
        ),
        observes=(f"{GROUP_PREFIX}*",),
        dates=True,
        describes=(f"{topics.PREFIX}*",),  # until when Kafka holds what was erased
        replays=True,
    ),
    Stage(
        "smtp",
        ("ingest", "smtp"),
        "Receive mail over SMTP.",
        follows=(topics.VERDICTS,),
        writes=(topics.RAW,),
        observes=("mailscope-inbound",),  # whether mail waits for too long
        health_offset=4,
        instances_setting="smtp.processes",
    ),
    Stage(
        "submission",
        ("ingest", "submission"),
        "Take mail that our applications submit over SMTP.",
        follows=(topics.VERDICTS,),
        writes=(topics.RAW,),
        health_offset=72,
    ),
    Stage(
        "mailboxes",
        ("ingest", "mailboxes"),
        "Poll mailboxes over IMAP.",
        groups=(Group("mailscope-mailboxes", (topics.MAILBOXES,)),),  # whose partitions say who polls what
        writes=(topics.RAW, topics.MAILBOXES, topics.CONNECTIVITY),
        health_offset=73,
        only_with="mailboxes",
    ),
)


def observed_by(one: Stage) -> list[Group]:
    """The groups that a stage observes."""
    groups = [group for other in STAGES for group in other.groups]
    return [group for group in groups if any(fnmatchcase(group.name, pattern) for pattern in one.observes)]


def dead_letter_sources() -> set[str]:
    """The topics that a dead letter may come from."""
    return {
        topic for one in STAGES if topics.DEADLETTER in one.writes for group in one.groups for topic in group.topics
    }


def stage(name: str) -> Stage:
    """The stage of this name. KeyError when there is none."""
    for one in STAGES:
        if one.name == name:
            return one
    raise KeyError(name)


def subscription_group(name: str) -> Group:
    """The group in which the processes of a stage call one subscriber."""
    return Group(f"{SUBSCRIPTION_PREFIX}{name}", STATUS_TOPICS)


def group_of(name: str, topic: str) -> str:
    """The consumer group in which a stage reads a topic. KeyError when it does not."""
    for group in stage(name).groups:
        if any(fnmatchcase(topic, pattern) for pattern in group.topics):
            return group.name
    raise KeyError(f"{name} does not read {topic}")


def readers_before(topic: str) -> Iterator[tuple[str, str]]:
    """(group, topic) of everything that the stages which write `topic` read in a group: what has to be passed before `topic` can be
    known to hold all that follows from it."""
    for one in STAGES:
        if topic in one.writes:
            for group in one.groups:
                for read in group.topics:
                    yield group.name, read
