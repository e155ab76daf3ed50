"""Addresses in any text that the console answers are masked, their domains stay, and what is no address does too."""

import json

import pytest

from console.answer_errors import Problem
from console.conditions import leaves
from console.limit_search import limit_search
from console.mask_addresses import mask_addresses
from console.parse_filters import parse_filters
from console.read_query import read_query
from contracts import clock

OURS = {"ours.example"}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("anna@acme.example", "an…@acme.example"), ("bo@acme.example", "b…@acme.example"), ("b@acme.example", "…@acme.example"),
        ("550 5.1.1 <anna.k+x@acme.example>: unknown", "550 5.1.1 <an…@acme.example>: unknown"),
        ("Anna K <anna@acme.example>, bo.b@x.example.", "Anna K <an…@acme.example>, bo…@x.example."),
        ('""anna k""@acme.example', "…@acme.example"), ('"to":"@acme.example"', '"to":"@acme.example"'),
        ("&#34;anna k&#34;@acme.example", "…@acme.example"),
        ('"\\"anna k\\"@acme.example"', '"…@acme.example"'), ("o&#39;brien@acme.example", "o…@acme.example"),
        ("obrien&#39;s@acme.example", "ob…@acme.example"), ("&#39;anna@acme.example&#39;", "&#39;an…@acme.example&#39;"),
        ("&lt;anna@acme.example&gt;", "&lt;an…@acme.example&gt;"), ("rfc822;anna@acme.example", "rfc822;an…@acme.example"),
        ('"a\\nanna@acme.example"', '"a\\nan…@acme.example"'), ("anna@[192.0.2.1]", "an…@[192.0.2.1]"),
        ("änna@bücher.example", "än…@bücher.example"),
        ("/?q=to%3Aanna%40acme.example&x=1", "/?q=to%3Aan%E2%80%A6%40acme.example&x=1"),
        ("/?to=anna%2Bx%40acme.example", "/?to=an%E2%80%A6%40acme.example"), ("q=a+anna%40acme.example", "q=a+an%E2%80%A6%40acme.example"),
        ("bounce+anna=acme.example@ours.example", "bo…@ours.example"), ("support@ours.example", "support@ours.example"),
        ("SRS0=ab=cd=acme.example=anna@ours.example", "SR…@ours.example"), ("x@ours.example.evil.example", "…@ours.example.evil.example"),
        ("/?to=anna%3Dacme.example%40ours.example", "/?to=an%E2%80%A6%40ours.example"), ("{anna}@acme.example", "{an…@acme.example"),
        ("'anna|k@acme.example'", "'an…@acme.example'"), ("%22anna%20k%22%40acme.example", "%E2%80%A6%40acme.example"),
        ('"\\"anna\\\\\\"k\\"@acme.example"', '"…@acme.example"'), ("anna@-x.example anna@@x", "an…@-x.example an…@@x"),
        ("anna%acme.example@ours.example", "an…@ours.example"), ("acme.example!anna@ours.example", "ac…@ours.example"),
        ("anna@ours.example@acme.example", "an…@acme.example"), ("anna＠acme.example", "an…＠acme.example"),
        ("anna&commat;acme.example", "an…&commat;acme.example"), ("anna&#x40;acme.example", "an…&#x40;acme.example"),
        ("bo@known.example", "bo@known.example"), ("@acme.example", "@acme.example"), ("a @ b", "a @ b"), ("anna@", "anna@"),
    ],
)  # fmt: skip
def test_an_address_is_masked_wherever_it_stands(text: str, masked: str) -> None:
    assert mask_addresses(text, OURS, {"bo@known.example"}) == masked


def test_json_stays_json() -> None:
    said = {"to": "anna@acme.example", "said": 'no "anna k"@acme.example\n\tbo.b@x.example \u00e9ric@x.example \\n@x'}
    for ascii_only in (True, False):
        masked = json.loads(mask_addresses(json.dumps(said, ensure_ascii=ascii_only)))
        assert masked["to"] == "an…@acme.example"
        assert not any(one in masked["said"] for one in ("anna", "bo.b", "ric@"))


def test_a_hostile_text_is_masked_as_another() -> None:
    """Whoever looks back to the beginning from each @ does not come to an end here."""
    for text in (
        "a" * 500_000,
        "@" * 50_000,
        ("a" * 600 + "@b ") * 1000,
        '"' * 50_000 + "@b",
        "%41" * 100_000 + "%40b",
    ):
        assert mask_addresses(f"{text} anna@acme.example").endswith(" an…@acme.example")


def _search(**filters: str) -> object:
    return limit_search(parse_filters(filters.items(), clock.now()).terms)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("to", "anna"), ("to", "a*@acme.example"), ("from", "*nna@acme.example"), ("to", "anna@*"), ("to", "*@*e"), ("to", "anna@"),
        ("to", "an…@acme.example"),
        ("to", "x@y.example,an"), ("to", "!ann"), ("message_id", "anna*"), ("q", "NOT (status:failed OR to:ann)"),
        ("source_id", "a*"),
    ],
)  # fmt: skip
def test_who_sees_masks_searches_by_no_part_of_an_address(name: str, value: str) -> None:
    with pytest.raises(Problem):
        _search(**{name: value})


def test_who_sees_masks_searches_by_whole_addresses_domains_and_texts() -> None:
    for value in ("anna@acme.example", "@acme.example", "*@acme.example", "!anna@acme.example,bo@x.example"):
        assert _search(to=value) and _search(**{"from": value})
    terms = limit_search(read_query("anna", lambda *_: None))
    assert {one.name for one in leaves(terms)} == {"subject", "from_name", "smtp_text", "host", "reference"}
    assert all(one.hidden for one in leaves(terms) if one.name != "reference")
    assert {one.name for one in leaves(limit_search(read_query("anna@acme.example", lambda *_: None)))} == {
        "address",
        "message_id",
    }
