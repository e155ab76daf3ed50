import json
import os
import stat
from pathlib import Path

from console.tokens import SCOPES, Tokens, create_token, ensure_admin_token
from contracts.settings import Settings


def test_a_token_is_known_by_its_hash_only(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    token = create_token(path, "desk", ["read"], ["Example.COM"])
    found = Tokens(path).find(token)
    assert found is not None
    assert (found.name, found.scopes, found.domains) == ("desk", {"read"}, {"example.com"})
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_other_tokens_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    token = create_token(path, "desk", ["read"], [])
    tokens = Tokens(path)
    for other in ("", token[:-1], token + "x", token.upper(), json.loads(path.read_text())[0]["sha256"]):
        assert tokens.find(other) is None


def test_a_new_token_counts_at_once_and_a_removed_one_no_more(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    tokens = Tokens(path)
    assert tokens.find("ms_x") is None
    first = create_token(path, "one", ["read"], [])
    assert tokens.find(first) is not None
    second = create_token(path, "two", ["read"], [])
    assert tokens.find(first) and tokens.find(second)
    kept = [entry for entry in json.loads(path.read_text()) if entry["name"] == "two"]
    path.write_text(json.dumps(kept))
    os.utime(path, ns=(1, 1))
    assert tokens.find(first) is None
    path.unlink()
    assert tokens.find(second) is None


def test_the_admin_token_is_made_once_and_survives_a_lost_tokens_file(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    path = ensure_admin_token(settings)
    token = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings.tokens_path.unlink()
    assert ensure_admin_token(settings).read_text().strip() == token
    found = Tokens(settings.tokens_path).find(token)
    assert found is not None and found.scopes == set(SCOPES)
