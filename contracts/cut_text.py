"""Texts of strangers in records that have to fit into Kafka."""

import msgspec

_ELLIPSIS = "…"


def octets_of(text: str) -> int:
    """As JSON has them, without its quotation marks: a control character is six octets."""
    return len(msgspec.json.encode(text)) - 2


def cut_text(text: str, most: int) -> str:
    """The text in at most so many octets of JSON; what was cut ends in an ellipsis, as far as there is room for one."""
    if octets_of(text) <= most:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if octets_of(text[:middle] + _ELLIPSIS) <= most:
            fits = middle
        else:
            too_long = middle
    return text[:fits] + _ELLIPSIS if octets_of(_ELLIPSIS) <= most else ""
