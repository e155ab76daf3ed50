"""MTA-STS policies as they are written, and which servers they cover."""

import pytest

from mail.sts_policy import MOST_AGE, StsPolicy, parse_policy

TEXT = "version: STSv1\r\nmode: enforce\r\nmx: mail.x.test\r\nmx: *.y.test\r\nmax_age: 86400\r\n"


def test_a_policy_names_hosts_and_patterns_of_one_label() -> None:
    policy = parse_policy(TEXT)
    assert policy == StsPolicy("enforce", ("mail.x.test", "*.y.test"), 86400)
    covered = ("mail.x.test", "MAIL.x.test.", "a.y.test", "y.test", "a.b.y.test", "x.test", "")
    assert [policy.covers(host) for host in covered] == [True, True, True, False, False, False, False]


@pytest.mark.parametrize(
    "change",
    [
        ("STSv1", "STSv2"),
        ("enforce", "demand"),
        ("86400", "-1"),
        ("86400", "soon"),
        ("max_age", "age"),
        ("version: STSv1", ""),
    ],
)
def test_what_is_no_policy_is_none(change: tuple[str, str]) -> None:
    assert parse_policy(TEXT.replace(*change)) is None


def test_the_age_is_bounded() -> None:
    found = parse_policy(TEXT.replace("86400", "9" * 400))
    assert found is not None and found.max_age == MOST_AGE
