"""`config check --log-in` and `doctor` try each mailbox, and say what is wrong with it and where."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.check_config import check_config
from commands.doctor import doctor
from tests.fakes.scripted_imap import ScriptedImap


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MAILSCOPE_CONFIG", "MAILSCOPE_DATA_DIR", "MAILSCOPE_PORT_BASE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "password").write_text("correct horse\n")
    return tmp_path


def write(folder: Path, good: int, bad: int) -> None:
    (folder / "mailscope.yaml").write_text(
        'kafka: {bootstrap: "127.0.0.1:1"}\n'
        'handlers: {desk: {webhook: "http://127.0.0.1:9/"}}\n'
        "channels:\n"
        f'  good: {{imap: "imap://app@127.0.0.1:{good}", password_file: password, handle: desk}}\n'
        f'  bad: {{imap: "imap://app@127.0.0.1:{bad}", password_file: password, handle: desk}}\n'
    )


def test_each_mailbox_is_tried_and_nothing_is_marked(folder: Path) -> None:
    good, bad = ScriptedImap(), ScriptedImap().on("LOGIN", lambda line: line.tag + b" NO wrong\r\n")
    write(folder, good.port, bad.port)
    quiet = CliRunner().invoke(check_config)
    assert quiet.exit_code == 0 and not good.heard and not bad.heard  # files only, unless told
    done = CliRunner().invoke(check_config, ["--log-in"])
    assert done.exit_code == 78 and "mailscope.yaml:5: channels.bad.imap: 127.0.0.1: auth_failed" in done.output
    assert "channels.good" not in done.output
    told = CliRunner().invoke(doctor)
    assert told.exit_code == 1
    assert "ok   channel good: 127.0.0.1 lets app into INBOX (1 mails)" in told.output
    assert "FAIL channel bad: 127.0.0.1: auth_failed" in told.output
    assert any(line.startswith("EXAMINE") for line in good.heard) and not any("STORE" in line for line in good.heard)
    good.stop()
    bad.stop()
