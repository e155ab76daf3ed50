"""What a browser keeps during a log-in, and what a person may do: neither can be made up."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from console.know_person import groups_of, person, role_of
from console.login_state import LASTS, challenge, is_answer_to, new_state, seal, unseal
from contracts.login_settings import Oidc

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SETTINGS: dict[str, Any] = {
    "issuer": "https://id.example", "client_id": "mailscope", "client_secret_file": Path("secret"),
    "roles": [
        {"group": "admins", "scopes": ["read", "manage"]},
        {"group": "support", "scopes": ["read"], "domains": ["EXAMPLE.com"], "masked": True},
    ],
}  # fmt: skip


def test_a_log_in_is_known_again_by_whoever_has_the_secret_for_ten_minutes() -> None:
    state = new_state("https://id.example", "/mails/1", NOW)
    cookie = seal(state, "secret")
    assert unseal(cookie, "secret", NOW + LASTS - timedelta(seconds=1)) == state
    assert unseal(cookie, "secret", NOW + LASTS) is None
    assert unseal(cookie, "other", NOW) is None
    assert is_answer_to(state, state.state) and not is_answer_to(state, "") and not is_answer_to(state, "é\udcff")
    for forged in (
        "",
        ".",
        "a.b",
        "é.é",
        cookie[:-1],
        "A" + cookie,
        cookie + "=",
        cookie.split(".")[0] + ".",
        "x" * 9000,
    ):
        assert unseal(forged, "secret", NOW) is None


def test_nothing_of_a_log_in_is_used_twice() -> None:
    one, other = (new_state("https://id.example", "/", NOW) for _ in range(2))
    assert len({one.state, one.nonce, one.verifier, other.state, other.nonce, other.verifier}) == 6
    # The example of RFC 7636, appendix B.
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_first_role_of_a_group_counts_and_roles_are_not_added_up() -> None:
    oidc = Oidc(**SETTINGS)
    assert role_of(["support", "admins"], oidc.roles) is oidc.roles[0]
    assert role_of(["support"], oidc.roles) is oidc.roles[1]
    assert role_of(["Admins", "cooks", ""], oidc.roles) is None
    assert groups_of({"groups": "admins"}, "groups") == ["admins"] and groups_of({}, "groups") is None
    assert (
        groups_of({"groups": ["a", 7, None]}, "groups") == ["a"]
        and groups_of({"groups": {"admins": 1}}, "groups") is None
    )


def test_a_person_is_their_sub_and_is_called_by_an_address_that_was_verified() -> None:
    oidc = Oidc(**SETTINGS)
    lena = person({"sub": "7", "email": "lena@staff.example"}, oidc.roles[1], oidc)
    assert lena.name == "lena@staff.example (https://id.example)" and lena.domains == {"example.com"} and lena.masked
    assert person({"sub": "7", "email": "new@staff.example"}, oidc.roles[1], oidc).id == lena.id
    assert person({"sub": "8", "email": "lena@staff.example"}, oidc.roles[1], oidc).id != lena.id
    assert person({"sub": "7", "email": "boss@x", "email_verified": False}, oidc.roles[0], oidc).name.startswith("7 (")


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://id.example"}, {"issuer": "https://id.example/?a=b"}, {"issuer": "https://id.example/#x"},
        {"issuer": "id.example"}, {"issuer": "http://127.0.0.1.evil.example"}, {"scopes": ["email"]}, {"roles": []},
        {"roles": [{"group": "a", "scopes": ["root"]}]},
        {"roles": [{"group": "a", "scopes": ["read", "raw"], "masked": True}]}, {"name": ""},
        {"roles": [{"group": "", "scopes": ["read"]}]},
    ],
)  # fmt: skip
def test_settings_that_are_unsafe_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Oidc(**{**SETTINGS, **change})
