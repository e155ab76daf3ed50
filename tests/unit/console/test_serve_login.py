from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.serve_login import local_path


@pytest.mark.parametrize("target", ["/", "/mails/1", "/?q=a%20b&status=sent", "/?q=https://x.example", "/a//b"])
def test_a_path_of_ours_is_kept(target: str) -> None:
    assert local_path(target) == target


@pytest.mark.parametrize(
    "target",
    [
        "", "mails", "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/\n/evil.example", " //evil.example", "/login", "/login?next=/", "/logout", "/a\x00b",
        "///evil.example",
    ],
)  # fmt: skip
def test_anything_else_leads_to_the_log(target: str) -> None:
    assert local_path(target) == "/"


@given(st.text(alphabet=st.sampled_from("/\\:@?#.a \t\r\n%"), max_size=12))
def test_no_target_leaves_the_site(target: str) -> None:
    assert urlsplit(urljoin("http://console.example/login", local_path(target))).netloc == "console.example"
