"""ClickHouse's own server in a folder of its own (local/install_clickhouse.py), with the users of deploy/clickhouse."""

import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from local.install_clickhouse import LIBRARY
from tests.conftest import find_free_port
from tests.wait_for import wait_for

ROOT = Path(__file__).resolve().parents[2]
USERS = ROOT / "deploy" / "clickhouse" / "users.d" / "mailscope.xml"
PASSWORDS = {role: f"the {role}'s password" for role in ("owner", "writer", "reader")}
# The library runs a query, not a server: a query that opens its ports and does not end makes it one.
LISTEN = (
    "SYSTEM START LISTEN HTTP; SELECT sleepEachRow(1) FROM numbers(1000000000) "
    "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null"
)
LAUNCH = """
import ctypes, sys
run = ctypes.CDLL(sys.argv[1]).chdb_query_cmdline
run.restype = ctypes.c_void_p
words = [b"clickhouse", b"--config-file=" + sys.argv[2].encode(), b"--query=" + sys.argv[3].encode()]
run(len(words), (ctypes.c_char_p * len(words))(*words))
"""
CONFIG = """<clickhouse>
    <path>{folder}/data/</path>
    <tmp_path>{folder}/tmp/</tmp_path>
    <user_files_path>{folder}/user_files/</user_files_path>
    <http_port>{port}</http_port>
    <listen_host>127.0.0.1</listen_host>
    <users_config>{folder}/users.xml</users_config>
    <mark_cache_size>134217728</mark_cache_size>
    <logger><level>warning</level><log>{folder}/server.log</log></logger>
</clickhouse>
"""
# The library's query runs as `default`, who may do nothing else.
DEFAULT = """<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users><default>
        <password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
        <grants><query>GRANT SYSTEM LISTEN ON *.*</query><query>GRANT SELECT ON system.numbers</query></grants>
    </default></users>
</clickhouse>
"""


class ClickHouseServer:
    """One server; its users are those that deploy/clickhouse makes."""

    def __init__(self, folder: Path) -> None:
        if not LIBRARY.path.exists():
            if os.environ.get("CI") and platform.machine() == "x86_64":
                pytest.fail("ClickHouse's server is not installed: python -m local.install_clickhouse")
            pytest.skip("needs ClickHouse's server: python -m local.install_clickhouse")
        self.folder, self.port = folder, find_free_port()
        (folder / "users.d").mkdir(parents=True)
        (folder / "config.xml").write_text(CONFIG.format(folder=folder, port=self.port))
        (folder / "users.xml").write_text(DEFAULT)
        shutil.copy(USERS, folder / "users.d")
        for role, password in PASSWORDS.items():
            (folder / role).write_text(password + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "ClickHouseServer":
        """Listen. AssertionError when it does not."""
        environ = {f"MAILSCOPE_{role.upper()}_PASSWORD": password for role, password in PASSWORDS.items()}
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, str(LIBRARY.path), str(self.folder / "config.xml"), LISTEN],
                cwd=self.folder,
                env={**os.environ, **environ},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        assert wait_for(self._answers, 60), (self.folder / "output.log").read_text()[-2000:]
        return self

    def store(self, role: str) -> dict[str, str]:
        """The setting `store` of one of its users."""
        return {
            "dsn": f"clickhouse://mailscope_{role}@127.0.0.1:{self.port}/mailscope",
            "password_file": str(self.folder / role),
        }

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As an operator stops it."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(30)
            finally:
                self._process.kill()
                self._process.wait()
                self._process = None

    def _answers(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
