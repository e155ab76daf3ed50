"""A search in words, and its line again."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.answer_errors import Problem
from console.explain_search import describe, suggest, write_query
from console.parse_filters import parse_filters

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("status:failed,rejected", "status is failed or rejected"),
        ("-to:*@x.test", "recipient is not “*@x.test”"),
        ("from:anna", "sender contains “anna”"),
        ("size:>1MiB", "size is >1048576"),
        ("IT-74", "reference is IT-74, or subject contains “IT-74”"),
        ("a@b.test", "address or Message-ID is a@b.test"),
        ("tag:x OR -stream:y", "(tag is “x” or stream is not “y”)"),
        ("-invoice", "not so: subject, address, name, answer or host contain “invoice”"),
        ("5.1.1", "enhanced code is “5.1.1”"),
    ],
)
def test_a_search_is_told_as_it_was_read(line: str, said: str) -> None:
    assert [describe(term) for term in parse_filters([("q", line)], NOW).terms] == [said]


def test_a_word_of_a_filter_is_suggested_as_one() -> None:
    assert suggest("anna Failed") == ["anna status:failed"]
    assert suggest("delivery-failed") == ["status:delivery_failed"]
    assert suggest("greylisted") == ["bounce_class:greylisted"]
    assert suggest("invoice") == []


parts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "AND",
            "OR",
            "NOT",
            "(",
            ")",
            "-(",
            "to:a@b.test",
            "-tag:x,y",
            "size:>1k",
            '"status:failed"',
            "IT-7",
            "5.1.1",
            "a.b",
            "<x@y>",
            "550",
        ]
    ),
)


@given(st.lists(parts, max_size=8).map(" ".join))
def test_the_line_that_is_written_reads_as_the_same(line: str) -> None:
    try:
        terms = parse_filters([("q", line)], NOW).terms
    except Problem:
        return
    assert parse_filters([("q", write_query(terms))], NOW).terms == terms, write_query(terms)
