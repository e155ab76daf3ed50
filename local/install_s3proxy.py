"""Fetch S3Proxy, an S3 server that keeps what it is given, on which tests run blobs: `python -m local.install_s3proxy`.

It comes by Maven as one jar, in one version, and only if it is the one that is known here.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from local.install_for_tests import check_sha256, install_missing

GROUP, ARTIFACT, VERSION, CLASSIFIER = "org.gaul", "s3proxy", "2.9.0", "jar-with-dependencies"
SHA256 = "238f813ff9d6d295273f809f383d31307d88d8f56acc40109b68a5d49186a0eb"


def jar() -> Path:
    """Where the jar of this environment is; it may be missing."""
    return Path(sys.prefix) / "share" / "s3proxy" / f"s3proxy-{VERSION}.jar"


def install_s3proxy(path: Path) -> None:
    """Fetch it, whole or not at all. OSError or RuntimeError when Maven does not bring it, ValueError when it is another one."""
    from jgo.maven import MavenContext

    with tempfile.TemporaryDirectory() as folder:
        project = MavenContext(repo_cache=Path(folder)).project(GROUP, ARTIFACT)
        fetched = Path(project.at_version(VERSION).artifact(classifier=CLASSIFIER).resolve())
        check_sha256(fetched, SHA256, f"{ARTIFACT} {VERSION}")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        shutil.move(fetched, part)
    part.replace(path)


if __name__ == "__main__":
    sys.exit(install_missing(jar(), install_s3proxy, "S3Proxy", "tests of S3"))
