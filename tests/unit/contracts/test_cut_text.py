import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.cut_text import cut_text


@given(st.text(max_size=300), st.integers(min_value=2, max_value=400))
def test_it_fits_and_is_whole_where_it_can_be(text: str, octets: int) -> None:
    cut = cut_text(text, octets)
    assert len(msgspec.json.encode(cut)) <= max(octets, 2)
    if len(msgspec.json.encode(text)) <= octets:
        assert cut == text
    else:
        assert cut == "" or (cut.endswith("…") and text.startswith(cut[:-1]))


@pytest.mark.parametrize(
    ("text", "octets", "cut"), [("\x01" * 100, 62, "\x01" * 9 + "…"), ("a" * 100, 52, "a" * 46 + "…")]
)
def test_much_of_it_is_kept(text: str, octets: int, cut: str) -> None:
    assert len(cut_text(text, octets)) >= 0.8 * len(cut)
