"""A request that is repeated gets the first answer, and is sent once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.send import remember_keys
from ingest.send.remember_keys import KEPT, KeyReused, KeyStore


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys" / "keys.db")


def test_the_first_answer_is_given_again(keys: KeyStore) -> None:
    assert keys.begin("app", "k", b"body", "m1") == ("m1", None)
    keys.finish("app", "k", '{"mail_id": "m1"}')
    assert keys.begin("app", "k", b"body", "m2") == ("m1", '{"mail_id": "m1"}')


def test_repeated_before_it_was_answered_it_is_sent_under_the_first_id(keys: KeyStore, tmp_path: Path) -> None:
    keys.begin("app", "k", b"body", "m1")
    keys.close()
    assert KeyStore(tmp_path / "keys" / "keys.db").begin("app", "k", b"body", "m2") == ("m1", None)


def test_a_key_stands_for_one_request_of_one_application(keys: KeyStore) -> None:
    keys.begin("app", "k", b"body", "m1")
    with pytest.raises(KeyReused):
        keys.begin("app", "k", b"another body", "m2")
    assert keys.begin("another app", "k", b"another body", "m3") == ("m3", None)


def test_a_refused_request_frees_its_key_and_an_answered_one_does_not(keys: KeyStore) -> None:
    keys.begin("app", "k", b"body", "m1")
    keys.abandon("app", "k")
    assert keys.begin("app", "k", b"mended body", "m2") == ("m2", None)
    keys.finish("app", "k", "sent")
    keys.abandon("app", "k")
    assert keys.begin("app", "k", b"mended body", "m3") == ("m2", "sent")


def test_keys_are_forgotten_after_a_day(keys: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(remember_keys.time, "time", lambda: now)
    keys.begin("app", "k", b"body", "m1")
    now += KEPT - 1
    assert keys.begin("app", "k", b"body", "m2")[0] == "m1"
    now += 2
    assert keys.begin("app", "k", b"body", "m3")[0] == "m3"


def test_of_many_at_once_all_get_one_id(tmp_path: Path) -> None:
    stores = [KeyStore(tmp_path / "keys.db") for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda n: stores[n % 4].begin("app", "k", b"body", f"m{n}")[0], range(40)))
    assert len(ids) == 1
