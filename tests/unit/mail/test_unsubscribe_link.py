"""Tokens to unsubscribe with: ours say who and what, and nobody else can make one."""

import pytest

from mail.unsubscribe_link import UnsubscribeLinks, Unsubscription

ONE = Unsubscription("01a206f7-6b43-7745-9bab-87fa221dd751", "Anna+ü@x.test", "letter")
LINKS = UnsubscribeLinks(b"key")


def test_a_token_says_who_and_what() -> None:
    token = LINKS.token(ONE)
    assert LINKS.read(token) == ONE and token.replace("-", "").replace("_", "").replace(".", "").isalnum()


CHANGES = (
    lambda token: token[:-1],
    lambda token: "A" + token[1:],
    lambda token: "",
    lambda token: "." * 9,
    lambda token: "ü" + token,
    lambda token: token + "x" * 3000,
)


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_says_nothing(change: object) -> None:
    assert LINKS.read(change(LINKS.token(ONE))) is None  # type: ignore[operator]
    assert UnsubscribeLinks(b"other").read(LINKS.token(ONE)) is None
