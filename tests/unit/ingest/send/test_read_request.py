"""Many objects in few octets are counted, not made."""

import json
import tracemalloc

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st

from ingest.send.read_request import read_request

_VALUES = st.none() | st.booleans() | st.integers(-99, 99) | st.text()


def test_a_request_is_read_as_json_is() -> None:
    request = {
        "from": "a@x", "to": ["b@x"], "text": "a,\"b\"\n" * 20_000, "headers": {"X": "ü"}, "cc": None, "raw": "🎉",
        "attachments": [{"name": "a", "content": "aGk=" * 100_000}],
    }  # fmt: skip
    assert read_request(json.dumps(request).encode()) == request


@given(st.dictionaries(st.text(), _VALUES | st.lists(_VALUES) | st.dictionaries(st.text(), _VALUES), max_size=5))
def test_any_small_object_is_read_as_json_is(request_body: dict[str, object]) -> None:
    assert read_request(json.dumps(request_body).encode()) == request_body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"to": [' + b"1," * 4_000_000 + b"1]}", "to"),
        (b'{"attachments": [' + b"{}," * 2_000_000 + b"{}]}", "attachments"),
        (b'{"headers": {' + b'"a":"",' * 1_000_000 + b'"a":""}}', "headers"),
        (b'{"x": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}", None),
        (b"[" + b"1," * 4_000_000 + b"1]", None),
        (b"{" + b",".join(b'"%d":1' % number for number in range(1000)) + b"}", None),
        (b"{", None), (b"", None), (b"\xff", None), (b'{"to": "\xff"}', "to"),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_what_is_no_request_costs_little(body: bytes, field: str | None) -> None:
    tracemalloc.start()
    with pytest.raises(RequestValidationError) as caught:
        read_request(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.errors()[0]["loc"][1:] == ((field,) if field else ())
    assert peak < 3 * len(body) + 1_000_000
