"""Texts of strangers in records that have to fit into Kafka."""

import msgspec

_CUT = "…"


def cut_text(text: str, octets: int) -> str:
    """The text, or as much of its beginning as takes at most so many octets in JSON, with an ellipsis. JSON makes six octets of a control
    character."""
    size = _size(text)
    while size > octets:
        text = text.removesuffix(_CUT)
        text = text[: max(0, min(len(text) - 1, len(text) * octets // size - 1))] + _CUT
        if text == _CUT:
            return ""
        size = _size(text)
    return text


def _size(text: str) -> int:
    return len(msgspec.json.encode(text))
