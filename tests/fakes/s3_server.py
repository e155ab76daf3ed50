"""S3Proxy (local/install_s3proxy.py): the S3 API over a folder, with keys that are checked."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from local import die_with_parent
from local.find_kafka import java
from local.install_s3proxy import jar
from tests.conftest import find_free_port
from tests.wait_for import wait_for

BUCKET = "mail"
CONFIG = """s3proxy.authorization=aws-v2-or-v4
s3proxy.identity=mailscope
s3proxy.credential=a secret key
s3proxy.endpoint=http://127.0.0.1:{port}
s3proxy.ignore-unknown-headers=true
jclouds.provider=filesystem
jclouds.filesystem.basedir={folder}/data
"""


class S3Server:
    """One server with one bucket; what it holds survives `stop` and `start`."""

    def __init__(self, folder: Path) -> None:
        if not jar().exists():
            if os.environ.get("CI"):
                pytest.fail("S3Proxy is not installed: python -m local.install_s3proxy")
            pytest.skip("needs S3Proxy: python -m local.install_s3proxy")
        self.folder, self.port = folder, find_free_port()
        (folder / "data" / BUCKET).mkdir(parents=True)
        (folder / "s3.conf").write_text(CONFIG.format(port=self.port, folder=folder))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"s3://{BUCKET}/raw-messages"

    @property
    def environ(self) -> dict[str, str]:
        """What a client is given, as `blobs.url` of a deployment has it."""
        return {
            "AWS_ACCESS_KEY_ID": "mailscope",
            "AWS_SECRET_ACCESS_KEY": "a secret key",
            "AWS_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> "S3Server":
        """Listen. AssertionError when it does not."""
        command = [str(java()), "-Xmx128m", "-cp", str(jar()), "org.gaul.s3proxy.Main", "--properties", "s3.conf"]
        with (self.folder / "s3.log").open("ab") as log:
            self._process = subprocess.Popen(
                die_with_parent.command(command), cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
            )
        log_file = self.folder / "s3.log"
        assert wait_for(lambda: b"Started Server" in log_file.read_bytes(), 60), log_file.read_text()[-2000:]
        return self

    def freeze(self, on: bool) -> None:
        """Silent, or not."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            (self.folder / "s3.log").unlink()

    def files(self) -> list[Path]:
        """The blobs that it holds."""
        return [path for path in (self.folder / "data" / BUCKET).rglob("*") if path.is_file()]
