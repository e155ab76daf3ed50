"""Where large messages are kept: in a folder on one machine, and where it is said where there are several."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.check_config import check_config
from contracts.errors import ConfigurationError
from contracts.settings import Settings
from runtime.blobs import open_blobs


def settings(folder: Path, bootstrap: str, **blobs: str) -> Settings:
    return Settings.model_validate({"data_dir": str(folder), "kafka": {"bootstrap": bootstrap}, "blobs": blobs})


async def test_stages_that_share_no_folder_do_not_keep_a_message_where_the_next_one_does_not_look(
    tmp_path: Path,
) -> None:
    """Each would have made a folder of its own: a large message was taken, and lost for the stage behind it."""
    receiver, inbound = tmp_path / "receiver", tmp_path / "inbound"
    for folder in (receiver, inbound):
        with pytest.raises(ConfigurationError, match=r"blobs.url: Kafka \(kafka:9092\).*s3://bucket/prefix"):
            open_blobs(settings(folder, "kafka:9092"))
    shared = f"file://{tmp_path / 'blobs'}"
    blob = await open_blobs(settings(receiver, "kafka:9092", url=shared)).put(b"large")
    assert await open_blobs(settings(inbound, "kafka:9092", url=shared)).get(blob) == b"large"


def test_on_one_machine_it_is_a_folder(tmp_path: Path) -> None:
    assert open_blobs(settings(tmp_path, "127.0.0.1:9092")).url == f"file://{tmp_path}/blobs"


def test_config_check_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILSCOPE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAILSCOPE_KAFKA__BOOTSTRAP", "kafka:9092")
    told = CliRunner().invoke(check_config)
    assert told.exit_code == 78 and "blobs.url" in told.output
