"""Where the pipeline runs that was started in this folder, for commands that are typed here and name no data folder."""

import contextlib
import fcntl
import json
from collections.abc import Mapping
from pathlib import Path

from runtime.own_folder import own_folder

FOLDER = Path("data")
POINTER = FOLDER / "running.json"
NAMES = ("MAILSCOPE_DATA_DIR", "MAILSCOPE_CONFIG", "MAILSCOPE_PORT_BASE")


def point_here(data: Path, environ: Mapping[str, str]) -> None:
    """Write down which pipeline is about to run, where its data is under `./data`; elsewhere it is for those to find who have named it."""
    if not data.resolve().is_relative_to(FOLDER.resolve()):
        return
    found = {name: environ[name] for name in NAMES if environ.get(name)} | {"MAILSCOPE_DATA_DIR": str(data.resolve())}
    with contextlib.suppress(OSError):  # a full disk; whoever looks is told where the data is
        own_folder(FOLDER)
        POINTER.write_text(json.dumps(found))


def running_here(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the pipeline that runs here; none where these name one, or none runs."""
    if any(environ.get(name) for name in NAMES):
        return {}
    try:
        found = json.loads(POINTER.read_text())
        if not _runs(Path(found["MAILSCOPE_DATA_DIR"])):
            return {}
        return {name: str(found[name]) for name in NAMES if name in found}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _runs(data: Path) -> bool:
    with (data / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
