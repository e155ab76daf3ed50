"""The key of bounce addresses: made on one machine, given where there are several."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.check_config import check_config
from contracts.errors import ConfigurationError
from contracts.settings import Settings
from runtime.load_secret import load_secret


def settings(folder: Path, bootstrap: str = "127.0.0.1:9092", **more: object) -> Settings:
    return Settings.model_validate({"data_dir": str(folder), "kafka": {"bootstrap": bootstrap}, **more})


@pytest.mark.parametrize("bootstrap", ["127.0.0.1:9092", "localhost:9092", "[::1]:9092", "127.0.0.1:1, 127.9.9.9:2"])
def test_on_one_machine_it_is_made_once(tmp_path: Path, bootstrap: str) -> None:
    secret = load_secret(settings(tmp_path, bootstrap))
    assert len(secret) == 64 and load_secret(settings(tmp_path, bootstrap)) == secret
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "bootstrap", ["kafka:9092", "192.0.2.1:9092", "127.0.0.1:9092,kafka:9092", "localhost.example:9092"]
)
def test_where_kafka_is_elsewhere_it_must_be_given(tmp_path: Path, bootstrap: str) -> None:
    with pytest.raises(ConfigurationError, match=r"secret_file: Kafka \(.*openssl rand"):
        load_secret(settings(tmp_path, bootstrap))
    assert not list(tmp_path.iterdir())
    file = tmp_path / "given"
    file.write_text("abc\n")
    assert load_secret(settings(tmp_path, bootstrap, secret_file=str(file))) == b"abc"


def test_a_file_that_is_empty_or_missing_is_told(tmp_path: Path) -> None:
    file = tmp_path / "given"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_secret(settings(tmp_path, secret_file=str(file)))
    file.write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        load_secret(settings(tmp_path, secret_file=str(file)))


def test_config_check_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSCOPE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAILSCOPE_KAFKA__BOOTSTRAP", "kafka:9092")
    told = CliRunner().invoke(check_config)
    assert told.exit_code == 78 and "secret_file" in told.output and "openssl rand" in told.output
