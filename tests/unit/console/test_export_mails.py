import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.export_mails import COLUMNS, as_csv, as_ndjson


async def one_page(*items: dict[str, Any]) -> AsyncIterator[list[dict[str, Any]]]:
    yield list(items)


async def exported(item: dict[str, Any]) -> dict[str, str]:
    text = b"".join([part async for part in as_csv(one_page({**dict.fromkeys(COLUMNS), **item}))]).decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    return row


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\n=1", "\uff1d1+1", "=cmd|' /C calc'!A0"]
)
async def test_text_that_a_spreadsheet_would_compute_gets_an_apostrophe(text: str) -> None:
    assert (await exported({"subject": text}))["subject"] == "'" + text


async def test_a_semicolon_does_not_begin_a_cell() -> None:
    part = b"".join([part async for part in as_csv(one_page({**dict.fromkeys(COLUMNS), "subject": "a;=1+1"}))])
    assert b',"a;=1+1",' in part


async def test_values_are_words_and_numbers() -> None:
    row = await exported({"terminal": True, "late": False, "size": 12, "reason": None, "subject": 'a "b", c\r\nd'})
    assert (row["terminal"], row["late"], row["size"], row["reason"]) == ("true", "false", "12", "")
    assert row["subject"] == 'a "b", c\r\nd'


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
async def test_no_cell_ever_begins_a_formula(text: str) -> None:
    cell = (await exported({"subject": text}))["subject"]
    assert cell.removeprefix("'") == text.removeprefix("'")
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


async def test_ndjson_is_one_item_a_line() -> None:
    parts = [part async for part in as_ndjson(one_page({"subject": "ä\n"}, {"subject": "=1"}))]
    assert [json.loads(line) for line in b"".join(parts).splitlines()] == [{"subject": "ä\n"}, {"subject": "=1"}]
