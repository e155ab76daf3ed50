"""Canonical forms: the examples of RFC 6376 §3.4.5, and agreement with dkimpy's."""

from dkim.canonicalization import Relaxed, Simple
from hypothesis import given, settings
from hypothesis import strategies as st

from mail.authentication.canonicalize import relaxed_body, relaxed_field, select_fields, simple_body, without_signature
from mail.parse_headers import Field, split_message

LINES = st.lists(st.text(alphabet="ab \t", max_size=12), max_size=8).map(
    lambda lines: "\r\n".join([*lines, ""]).encode()
)


def test_examples_of_the_rfc() -> None:
    message = split_message(b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n")
    assert [relaxed_field(field) for field in message.fields] == [b"a:X", b"b:Y Z"]
    assert relaxed_body(message.body) == b" C\r\nD E\r\n"
    assert simple_body(message.body) == b" C \r\nD \t E\r\n"


def test_empty_bodies() -> None:
    assert (relaxed_body(b""), relaxed_body(b"\r\n\r\n"), relaxed_body(b"  \r\n")) == (b"", b"", b"")
    assert (simple_body(b""), simple_body(b"\r\n\r\n")) == (b"\r\n", b"\r\n")
    assert (relaxed_body(b"x"), simple_body(b"x")) == (b"x\r\n", b"x\r\n")


@given(LINES)
def test_bodies_agree_with_dkimpy(body: bytes) -> None:
    assert relaxed_body(body) == Relaxed.canonicalize_body(body)
    assert simple_body(body) == Simple.canonicalize_body(body)


@settings(deadline=None)  # dkimpy is quadratic here
@given(st.lists(st.sampled_from([1, 3, 31, 32, 33, 511, 512, 513, 1100]), max_size=6))
def test_runs_of_any_length_become_one_space(runs: list[int]) -> None:
    body = b"a".join(b" " * run for run in runs) + b"x\r\n"
    assert relaxed_body(body) == Relaxed.canonicalize_body(body)


def test_lone_crs_at_the_end_are_text() -> None:
    assert simple_body(b"a\r\r\n\r\n") == b"a\r\r\n"


def test_names_take_fields_from_the_bottom_and_a_left_over_from_is_hashed() -> None:
    fields = split_message(b"From: 1\r\nX: a\r\nX: b\r\nFrom: 2\r\n\r\n").fields
    assert [field.raw for field in select_fields(fields, [b"x", b"X", b"x", b"from"])] == [
        b"X: b",
        b"X: a",
        b"From: 2",
        b"From: 1",
    ]


def test_only_the_b_tag_is_emptied() -> None:
    raw = b"DKIM-Signature: bh=abc; b= x\r\n y ;z=b=1; d=b"
    assert without_signature(Field(b"dkim-signature", raw, 14)).raw == b"DKIM-Signature: bh=abc; b=;z=b=1; d=b"
