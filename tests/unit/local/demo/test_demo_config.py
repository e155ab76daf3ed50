from pathlib import Path

from local.demo.config import DemoPorts, prepare, read_keys, read_secret
from runtime.load_settings import load_settings


def test_the_pipeline_accepts_the_settings_written_for_it(tmp_path: Path) -> None:
    settings = load_settings({}, prepare(tmp_path, DemoPorts(dns=5454, remote_smtp=2626, desk=9191)))
    assert settings.delivery.port == 2626 and settings.delivery.allow_private
    assert settings.dns.nameservers == ["127.0.0.1:5454"]
    assert settings.handlers["desk"].webhook == "http://127.0.0.1:9191/mail"


def test_a_second_start_keeps_keys_and_secrets(tmp_path: Path) -> None:
    prepare(tmp_path, DemoPorts())
    keys, secret = read_keys(tmp_path), read_secret(tmp_path, "desk")
    prepare(tmp_path, DemoPorts(desk=9001))
    assert (read_keys(tmp_path), read_secret(tmp_path, "desk")) == (keys, secret)
    assert len(keys) == 5


def test_secrets_are_for_the_owner_only(tmp_path: Path) -> None:
    prepare(tmp_path, DemoPorts())
    for path in [*(tmp_path / "keys").iterdir(), *(tmp_path / "secrets").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path
