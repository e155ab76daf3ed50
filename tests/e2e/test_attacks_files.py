"""Another user of the machine: mail, keys and tokens are not theirs to read, whatever the umask of whoever starts the pipeline."""

import os
import stat
from pathlib import Path

from tests.e2e.pipeline import Pipeline


def open_to_others(folder: Path) -> list[str]:
    """What is in the folder, and the folder itself, as far as others may read, write or enter it."""
    found = [folder, *folder.rglob("*")]
    modes = {path: path.lstat().st_mode for path in found if path.exists()}
    return [str(path) for path, mode in modes.items() if not stat.S_ISLNK(mode) and mode & 0o077]


def test_nothing_in_the_data_folder_is_for_others(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, {"blobs": {"threshold": "1KiB"}})
    pipeline.data.mkdir(mode=0o755)  # of an earlier release
    pipeline.data.chmod(0o755)
    before = os.umask(0o022)
    try:
        pipeline.start()
        raw, message_id = pipeline.mail("desk@ours.test", body="large " * 1000 + "\n")
        assert pipeline.send(raw, "desk@ours.test")[0] == 250
        pipeline.settled(message_id)
        assert any((pipeline.data / "blobs").rglob("*")) and not open_to_others(pipeline.data)
    finally:
        os.umask(before)
        pipeline.close()
    assert not open_to_others(pipeline.data)
