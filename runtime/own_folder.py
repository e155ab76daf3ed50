"""The data folder is its user's alone: it holds everybody's mail, keys and tokens."""

import os
import stat
from pathlib import Path

UMASK = 0o077  # what this process and its children make is nobody else's to read


def own_folder(folder: Path) -> None:
    """Make the folder, with mode 0700; one that is there already and ours is closed to others. A folder of another user (a volume whose
    group lets us in) and a shared one (sticky, as /tmp) stay as they are. OSError when it cannot be made."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.stat()
    if state.st_uid == os.geteuid() and state.st_mode & UMASK and not state.st_mode & stat.S_ISVTX:
        folder.chmod(0o700)
