from pathlib import Path

import pytest

from local import find_kafka, install_kafka


def fake_resolve(building: Path) -> list[Path]:
    jar = building / "envs" / "a.jar"
    jar.parent.mkdir(parents=True)
    jar.write_bytes(b"jar")
    (building / "repository").mkdir()
    return [jar]


def test_missing_installation_names_the_command_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(find_kafka.KafkaNotInstalled, match=r"python -m local\.install_kafka"):
        find_kafka.classpath(tmp_path / "4.4.0")


def test_install_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []

    def resolve(building: Path) -> list[Path]:
        calls.append(building)
        return fake_resolve(building)

    monkeypatch.setattr(install_kafka, "_resolve", resolve)
    home = tmp_path / "4.4.0"
    assert install_kafka.install_jars(home) is True
    assert install_kafka.install_jars(home) is False
    assert len(calls) == 1
    assert find_kafka.classpath(home) == str(home / "envs" / "a.jar")
    assert (home / "envs" / "a.jar").read_bytes() == b"jar"


def test_killed_in_the_middle_the_next_run_finishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "4.4.0"
    half = tmp_path / "4.4.0.building" / "envs" / "half.jar"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"ha")
    monkeypatch.setattr(install_kafka, "_resolve", fake_resolve)
    install_kafka.install_jars(home)
    assert not (home / "envs" / "half.jar").exists()
    assert (home / "envs" / "a.jar").exists()


def test_a_download_that_fails_is_tried_again_from_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[bool] = []

    def resolve(building: Path) -> list[Path]:
        tries.append((building / "half").exists())
        if len(tries) < 3:
            building.mkdir(parents=True)
            (building / "half").touch()
            raise OSError("connection reset")
        return fake_resolve(building)

    monkeypatch.setattr(install_kafka, "_resolve", resolve)
    monkeypatch.setattr(install_kafka, "RETRY_PAUSES", (0.0, 0.0))
    install_kafka.install_jars(tmp_path / "4.4.0")
    assert tries == [False, False, False]


def test_a_failed_installation_never_looks_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(building: Path) -> list[Path]:
        raise OSError("no network")

    monkeypatch.setattr(install_kafka, "_resolve", resolve)
    monkeypatch.setattr(install_kafka, "RETRY_PAUSES", ())
    with pytest.raises(OSError, match="no network"):
        install_kafka.install_jars(tmp_path / "4.4.0")
    with pytest.raises(find_kafka.KafkaNotInstalled):
        find_kafka.classpath(tmp_path / "4.4.0")
