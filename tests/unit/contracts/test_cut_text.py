from hypothesis import given
from hypothesis import strategies as st

from contracts.cut_text import cut_text, octets_of


@given(st.text(max_size=300), st.integers(min_value=0, max_value=400))
def test_it_fits_and_is_whole_where_it_can_be(text: str, most: int) -> None:
    cut = cut_text(text, most)
    assert octets_of(cut) <= most
    assert cut == text if octets_of(text) <= most else cut == "" or (cut[-1] == "…" and text.startswith(cut[:-1]))


def test_all_that_fits_is_kept() -> None:
    assert cut_text("\x01" * 100, 60) == "\x01" * 9 + "…"
    assert cut_text("a" * 100, 50) == "a" * 47 + "…"
