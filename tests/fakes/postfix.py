"""Debian's Postfix in folders of its own: configuration, queue and log. Needs root, as Postfix does."""

import os
import shutil
import subprocess
from pathlib import Path

POSTFIX = shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MASTER = """
{listen} inet n - n - - smtpd
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """One instance that listens at `address`:`port`; `settings` are lines of main.cf, `maps` tables that they name as
    texthash:$maps/name."""

    def __init__(
        self, folder: Path, address: str, port: int, settings: dict[str, str], maps: dict[str, dict[str, str]]
    ) -> None:
        self.folder = folder
        self.address, self.port = address, port
        self.config = folder / "etc"
        self.log_file = folder / "mail.log"
        for name in ("etc", "queue", "data"):
            (folder / name).mkdir()
            (folder / name).chmod(0o755)  # whatever umask a test before has left
        for path in (folder, *folder.parents):  # Postfix's own user has to get there
            if path.stat().st_uid == os.geteuid() and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o011)
        shutil.chown(folder / "data", "postfix")
        for name, table in maps.items():
            (self.config / name).write_text("".join(f"{key} {value}\n" for key, value in table.items()))
        lines = {
            "maps": str(self.config),
            "compatibility_level": "3.6",
            "queue_directory": str(folder / "queue"),
            "data_directory": str(folder / "data"),
            "maillog_file": str(self.log_file),
            "maillog_file_prefixes": str(folder),
            "inet_interfaces": "loopback-only",  # and master.cf says where it listens
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "mydestination": "",
            "alias_maps": "",
            "alias_database": "",
            "smtp_host_lookup": "native",
            "smtpd_recipient_restrictions": "reject_unauth_destination",
            "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
            "smtputf8_enable": "yes",
            **settings,
        }
        (self.config / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
        (self.config / "master.cf").write_text(MASTER.format(listen=f"{address}:{port}"))
        for path in self.config.iterdir():
            path.chmod(0o644)
        self.run("start")

    def run(self, *words: str) -> str:
        assert POSTFIX is not None
        done = subprocess.run(
            [POSTFIX, "-c", str(self.config), *words], capture_output=True, text=True, timeout=60, umask=0o022
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.log()
        return done.stdout

    def send(self, sender: str, *to: str, text: str) -> None:
        """As a program of the machine does: sendmail."""
        argv = ["/usr/sbin/sendmail", "-C", str(self.config), "-i", "-f", sender, "--", *to]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, umask=0o022)
        assert done.returncode == 0, done.stderr

    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    def stop(self) -> None:
        assert POSTFIX is not None
        subprocess.run([POSTFIX, "-c", str(self.config), "stop"], capture_output=True, timeout=60)
