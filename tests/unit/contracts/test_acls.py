"""What each stage may do in Kafka follows from the table of the stages."""

import pytest

from contracts import topics
from contracts.acls import TOPICS_USER, principal, rights_of, users
from contracts.stages import STAGES, dead_letter_sources, stage


def allowed(user: str, operation: str, topic: str) -> bool:
    """Whether a user may do that with a topic."""
    return any(
        right.kind == "topic"
        and operation in right.operations
        and (topic.startswith(right.name) if right.prefixed else topic == right.name)
        for right in users()[user]
    )


@pytest.mark.parametrize("one", STAGES, ids=lambda one: one.name)
def test_a_stage_may_read_and_write_what_the_table_says_and_nothing_else(one) -> None:  # type: ignore[no-untyped-def]
    names = [value for name, value in vars(topics).items() if name.isupper() and str(value).startswith("mail.")]
    for topic in names:
        back = one.name == "console" and topic in dead_letter_sources()
        assert allowed(one.name, "WRITE", topic) == (topic in one.writes or back), topic
        if topic in one.reads:
            assert allowed(one.name, "READ", topic)
    for right in rights_of(one):
        assert set(right.operations) <= {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}


def test_who_sees_no_raw_mail_cannot_read_it_and_nobody_but_the_console_makes_tokens() -> None:
    for user in ("outcomes", "submission", "smtp"):
        assert not allowed(user, "READ", topics.RAW), f"{user} sees no mail of others"
    assert not allowed("clickhouse", "READ", topics.ATTEMPTS)
    assert [user for user in users() if allowed(user, "WRITE", topics.TOKENS)] == ["console"]
    assert [user for user in users() if allowed(user, "READ", topics.TOKENS)] == ["console"]
    assert [user for user in users() if allowed(user, "CREATE", topics.RAW)] == [TOPICS_USER]


@pytest.mark.parametrize(
    "topic",
    ["mail.raw", "mail.dispatch", "mail.dispatch.retry.5m", "mail.attempts", "mail.events", "mail.status.outbound"],
)
def test_the_console_may_return_a_dead_letter_to_where_it_came_from(topic: str) -> None:
    assert allowed("console", "WRITE", topic)
    assert not allowed("console", "WRITE", topics.VERDICTS)


def test_retry_topics_are_meant_by_how_they_begin() -> None:
    (right,) = [right for right in rights_of(stage("delivery")) if right.name == "mail.dispatch.retry."]
    assert right.prefixed and right.operations == ("READ", "WRITE") and principal("delivery") == "mailscope-delivery"
