"""Commands find the pipeline that was started where they are typed, while it runs, and no other."""

from pathlib import Path

import pytest

from local.lock_data import lock_data
from local.point_here import point_here, running_here


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pipeline_is_found_while_it_runs_unless_another_one_is_named(here: Path) -> None:
    data = Path("data/demo")
    with lock_data(data):
        point_here(data, {"MAILSCOPE_PORT_BASE": "7000", "MAILSCOPE_CONFIG": "", "HOME": "/root"})
        assert running_here({}) == {"MAILSCOPE_DATA_DIR": str(here / data), "MAILSCOPE_PORT_BASE": "7000"}
        assert running_here({"MAILSCOPE_DATA_DIR": "elsewhere"}) == {}
    assert running_here({}) == {}


def test_a_pipeline_whose_data_is_elsewhere_leaves_nothing_here(
    here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    point_here(tmp_path_factory.mktemp("other"), {})
    assert not (here / "data").exists() and running_here({}) == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"MAILSCOPE_DATA_DIR": "gone"}', '{"MAILSCOPE_DATA_DIR": 7}'])
def test_what_cannot_be_read_says_nothing(here: Path, text: str) -> None:
    (here / "data").mkdir()
    (here / "data/running.json").write_text(text)
    assert running_here({}) == {}
