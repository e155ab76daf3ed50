"""Every file of dialogues/ is spoken with the receiver, word for word (smtp_dialogue.py says how they are written)."""

from pathlib import Path

import pytest
import uvloop

from tests.integration.smtp_dialogue import Dialogue, read_script

SCRIPTS = sorted((Path(__file__).parent / "dialogues").glob("*.txt"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_dialogue_goes_as_it_is_written(script: Path, tmp_path: Path) -> None:
    uvloop.run(_run(script, tmp_path))


async def _run(script: Path, folder: Path) -> None:
    await Dialogue(read_script(script), folder).run()


def test_there_are_dialogues() -> None:
    assert len(SCRIPTS) >= 25


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("S: 220\nC: NOOP\nS: 500\n", "line 3"),
        ("S: 220\nC: NOOP\n", "not expected"),
        ("S: 220\nEOF\n", "line 2"),
        ("S: 220\nC: HELO x\nS: 250\nC: MAIL FROM:<a@b.test>\nS: 250\nC: RCPT TO:<x@ours.test>\nS: 550\n", "refused as well"),
        ("S: 220\nC: NOOP\nS: /250/\n", "line 3"),
    ],
)  # fmt: skip
def test_a_dialogue_that_goes_otherwise_fails(script: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.txt").write_text(script)
    with pytest.raises(AssertionError, match=why):
        uvloop.run(_run(tmp_path / "wrong.txt", tmp_path))
