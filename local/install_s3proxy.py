"""Fetch S3Proxy, an S3 server that keeps what it is given, on which tests run blobs: `python -m local.install_s3proxy`.

It comes by Maven as one jar, in one version, and only if it is the one that is known here.
"""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

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
        with fetched.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != SHA256:
            raise ValueError(f"{ARTIFACT} {VERSION} has the SHA-256 {found}, not {SHA256}")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        shutil.move(fetched, part)
    part.replace(path)


def main() -> int:
    """Install it where it is missing. What does not work is said, and keeps nobody from the rest: it is for tests."""
    if not jar().exists():
        try:
            install_s3proxy(jar())
        except Exception as error:  # jgo has no error of its own
            print(f"S3Proxy could not be fetched, so that tests of S3 are left out: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
