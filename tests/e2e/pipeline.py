"""The pipeline as its users have it: `mailscope up` in a folder of its own, driven through SMTP, HTTP and Kafka only."""

import base64
import json
import os
import random
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import dkim
import httpx

from tests.fakes.outside import Outside
from tests.wait_for import wait_for

ROOT = Path(__file__).resolve().parents[2]
OFFSETS = (
    25,
    80,
    87,
    92,
    93,
    101,
    102,
    103,
    104,
    105,
    106,
    150,
    153,
    172,
    173,
    174,
    175,
    180,
    181,
    182,
    183,
    184,
    185,
    190,
)


def free_base() -> int:
    """A port base whose ports are all free, chosen at random so that two runs rarely meet, and below the ports that the
    system gives to clients."""
    for _ in range(200):
        base = random.randrange(10_000, 32_400, 200)
        try:
            for offset in OFFSETS:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        return base
    raise RuntimeError("no free ports")


class Pipeline:
    """One running Mailscope and the world around it."""

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.base = free_base()
        self.outside = Outside(self.base)
        self.data = folder / "data"
        self.api = f"http://127.0.0.1:{self.base + 80}"
        self.bootstrap = f"127.0.0.1:{self.base + 92}"
        self._client = httpx.Client(trust_env=False, timeout=60)
        self._settings = settings or {}
        self._write_settings(self._settings)
        self._process: subprocess.Popen[bytes] | None = None

    def change(self, **settings: Any) -> None:
        """Sections of the settings as they shall be at the next start."""
        self._settings = {**self._settings, **settings}
        self._write_settings(self._settings)

    def _write_settings(self, changes: dict[str, Any]) -> None:
        key_file = self.folder / "s1.pem"
        key_file.write_bytes(self.outside.keys["ours.test"])
        password = self.folder / "password"
        password.write_text("correct horse\n")
        base, changes = self.base, dict(changes)
        settings: dict[str, Any] = {
            "authserv_id": "mx.ours.test",
            "dns": {"nameservers": [f"127.0.0.1:{base + 153}"]},
            "inbound": {
                "domains": {
                    "ours.test": {"reject_on": ["dmarc-reject"]},
                    "open.test": {"reject_on": []},
                    "spf.test": {"reject_on": ["spf-fail"], "allow": ["127.0.0.8/32"]},
                    "dkim.test": {"reject_on": ["dkim-fail"]},
                    "onefrom.test": {"reject_on": ["bad-from"]},
                    "quarantine.test": {"reject_on": ["dmarc-quarantine"]},
                    "watch.test": {"reject_on": ["spf-fail", "dmarc-reject"], "monitor": True},
                },
                "reports": ["fbl@ours.test"],
                "routes": [
                    {"match": {"to": "desk@ours.test"}, "handle": "desk"},
                    {"match": {"to": "lists@ours.test", "header": {"List-Id": "*"}}, "drop": "lists are not read here"},
                    {"match": {"to": "postmaster@ours.test"}, "drop": "read by nobody in a test"},
                    {"match": {"to": "drop@ours.test"}, "drop": "not read here"},
                    {"match": {"to": "no@ours.test"}, "reject": "550 5.7.1 not wanted"},
                    {"match": {"to": "fwd-*@ours.test"}, "forward": ["team@partner.test"]},
                    {"match": {"to": "slow@ours.test"}, "forward": ["team@slow.test"]},
                    {"match": {"to": "two@ours.test"}, "forward": ["a@partner.test", "b@slow.test"]},
                    {"match": {"to": "wire@ours.test"}, "forward": ["team@wire.test"]},
                    {"match": {"to": "pass@open.test", "auth": {"dmarc": "pass"}}, "drop": "authenticated"},
                    {"match": {"to": "*@open.test"}, "drop": "logged only"},
                    *[
                        {"match": {"to": f"*@{name}.test"}, "drop": "logged only"}
                        for name in ("spf", "dkim", "onefrom", "quarantine", "watch")
                    ],
                ],
            },
            "handlers": {
                "desk": {
                    "webhook": f"http://127.0.0.1:{base + 190}/mail",
                    "secret": "whsec_" + base64.b64encode(b"0" * 24).decode(),
                    "timeout": "10s",
                }
            },
            "delivery": {
                "port": base + 150,
                "allow_private": True,
                "retry": ["1s", "2s"],
                "delay_notice": "1s",
                "expire": "60s",
                "helo": "mx.ours.test",
                **changes.pop("delivery", {}),
            },
            "outbound": {
                "domains": {
                    "ours.test": {"dkim": [{"selector": "s1", "key_file": str(key_file)}]},
                    "second.test": {},
                    "few.test": {},
                    # Keys of another domain: nobody could verify with what DNS publishes, or does not.
                    "good.test": {"dkim": [{"selector": "s1", "key_file": str(key_file)}]},
                    "dead.test": {"dkim": [{"selector": "s1", "key_file": str(key_file)}]},
                },
                "credentials": [
                    {"user": "app", "password_file": str(password), "domains": ["ours.test", "few.test"]},
                    {"user": "other", "password_file": str(password), "domains": ["second.test"]},
                ],
                "streams": {"letter": {"unsubscribe": True}},
                "quotas": [{"domain": "few.test", "per": "day", "limit": 5}],
                **changes.pop("outbound", {}),
            },
            # Whoever sends again what a killed receiver had taken already shall see both rows as they are.
            "channels": {"helpdesk": {"address": "desk@ours.test", "skip": ["loop", "auto_reply", "bulk", "empty"]}},
            **changes,
        }
        self.config = self.folder / "mailscope.yaml"
        self.config.write_text(json.dumps(settings, indent=1))  # JSON is YAML

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILSCOPE_")}
        return {
            **kept,
            "MAILSCOPE_CONFIG": str(self.config),
            "MAILSCOPE_DATA_DIR": str(self.data),
            "MAILSCOPE_PORT_BASE": str(self.base),
        }

    def start(self, timeout: float = 90.0) -> "Pipeline":
        with open(self.folder / "up.log", "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mailscope", "up"],
                cwd=ROOT,
                env=self.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if not wait_for(self.is_ready, timeout, 0.2):
            raise AssertionError(f"not ready within {timeout} s:\n{self.log()[-4000:]}")
        token = (self.data / "admin-token").read_text().strip()
        self._client.headers["Authorization"] = f"Bearer {token}"
        self.token = token
        return self

    def is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"`mailscope up` ended with {self._process.returncode}:\n{self.log()[-4000:]}")
        try:
            return self._client.get(f"{self.api}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Ctrl-C, and wait until it has ended. AssertionError when it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise AssertionError("`mailscope up` does not stop") from None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll() if self._process is not None else None

    def close(self) -> None:
        try:
            self.stop()
        finally:
            self.outside.stop()
            self._client.close()

    def log(self) -> str:
        return (self.folder / "up.log").read_text("utf-8", "replace")

    def stage_pid(self, stage: str) -> int:
        return int((self.data / "run" / f"{stage}.pid").read_text())

    @property
    def stages(self) -> list[str]:
        return sorted(path.stem for path in (self.data / "run").glob("*.pid"))

    def mail(
        self,
        to: str = "desk@ours.test",
        subject: str = "hello",
        *,
        sender: str = "anna@good.test",
        body: str = "Hello\n",
        sign: bool = True,
        headers: dict[str, str] | None = None,
    ) -> tuple[bytes, str]:
        """A message with CRLF line ends, signed by its author's domain, and its Message-ID without brackets."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, to, subject
        message["Date"] = "Tue, 03 Nov 2026 12:22:54 +0000"
        message_id = f"{os.urandom(9).hex()}@good.test"
        message["Message-ID"] = f"<{message_id}>"
        for name, value in (headers or {}).items():
            message[name] = value
        message.set_content(body)
        raw = message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        domain = sender.rpartition("@")[2]
        if sign and domain in self.outside.keys:
            raw = dkim.sign(raw, b"s1", domain.encode(), self.outside.keys[domain]) + raw
        return raw, message_id

    def smtp(self, source: str = "127.0.0.1", timeout: float = 60) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.base + 25, "client.good.test", timeout, (source, 0))

    def send(
        self,
        raw: bytes,
        to: str | list[str],
        *,
        sender: str = "anna@good.test",
        source: str = "127.0.0.1",
        options: tuple[str, ...] = (),
    ) -> tuple[int, str]:
        """The last reply of the dialogue."""
        connection = self.smtp(source)
        try:
            connection.ehlo()
            code, text = connection.mail(sender, list(options))
            for recipient in [to] if isinstance(to, str) else to:
                if code < 400:
                    code, text = connection.rcpt(recipient)
            if code < 400:
                code, text = connection.data(raw)
            return code, text.decode("utf-8", "replace")
        finally:
            connection.close()

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self._client.get(f"{self.api}/api/v1{path}", params=parameters)

    def page(self, path: str) -> httpx.Response:
        """A page of the console."""
        return self._client.get(f"{self.api}{path}")

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
        return self._client.post(f"{self.api}/api/v1{path}", json=body, headers=headers)

    def make_token(self, *scopes: str, domain: str) -> dict[str, str]:
        """The header of a new token that is limited to a domain."""
        options = [word for scope in scopes for word in ("--scope", scope)]
        told = subprocess.run(
            [sys.executable, "-m", "mailscope", "token", "create", "limited", "--domain", domain, *options],
            cwd=ROOT, env=self.environ, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        text = next(word for word in told.split() if word.startswith("ms_"))
        headers = {"Authorization": f"Bearer {text}"}
        url = f"{self.api}/api/v1/mails"
        assert wait_for(lambda: self._client.get(url, headers=headers).status_code in (200, 403), 10)
        return headers

    def rows(self, message_id: str) -> list[dict[str, Any]]:
        answer = self.get("/mails", message_id=message_id, limit=500)
        return answer.json()["items"] if answer.status_code == 200 else []

    def settled(self, message_id: str, timeout: float = 30) -> list[dict[str, Any]]:
        """The rows of a Message-ID once each has a terminal status."""
        found: list[dict[str, Any]] = []

        def done() -> bool:
            found[:] = self.rows(message_id)
            return bool(found) and all(row["terminal"] for row in found)

        assert wait_for(done, timeout), f"not settled: {found}"
        return found

    def detail(self, mail_id: str) -> dict[str, Any]:
        answer = self.get(f"/mails/{mail_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def command(self, *arguments: str, expect: int = 0) -> str:
        """What `mailscope ...` prints in this pipeline's environment, to both outputs."""
        done = subprocess.run(
            [sys.executable, "-m", "mailscope", *arguments],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr

    def submit(self, to: str, **fields: Any) -> str:
        """Send a mail through the hook; its mail_id."""
        body = {"from": "Desk <desk@ours.test>", "to": [to], "subject": "hello", "text": "hi\n", **fields}
        answer = self.post("/send", body)
        assert answer.status_code == 202, answer.text
        return answer.json()["mail_id"]

    def outcome(self, mail_id: str, timeout: float = 30) -> dict[str, Any]:
        """The detail of a mail once all its recipients are settled."""
        found: dict[str, Any] = {}

        def done() -> bool:
            answer = self.get(f"/mails/{mail_id}")
            found.clear()
            found.update(answer.json())
            return answer.status_code == 200 and all(row["terminal"] for row in found["recipients"])

        assert wait_for(done, timeout), f"not settled: {found}"
        return found

    def all_are(self, mail_ids: Iterable[str], status: str, timeout: float) -> None:
        """Wait until every one of these mails has one row, with this status."""
        wanted = set(mail_ids)
        statuses: dict[str, str] = {}

        def done() -> bool:
            rows = self.rows_of(wanted)
            assert len(rows) == len({row["mail_id"] for row in rows}), "a mail has two rows"
            statuses.update({row["mail_id"]: row["status"] for row in rows})
            return all(statuses.get(one) == status for one in wanted)

        if not wait_for(done, timeout, 0.5):
            wrong = {one: statuses.get(one) for one in wanted if statuses.get(one) != status}
            raise AssertionError(f"{len(wrong)} of {len(wanted)} are not {status}: {dict(list(wrong.items())[:5])}")

    def rows_of(self, mail_ids: set[str]) -> list[dict[str, Any]]:
        """The rows of these mails, of the newest 2,000."""
        found: list[dict[str, Any]] = []
        cursor = None
        for _ in range(4):
            try:
                answer = self.get("/mails", limit=500, **({"cursor": cursor} if cursor else {}))
            except httpx.TransportError:  # the console is being started anew
                return []
            if answer.status_code != 200:
                return []
            found += [row for row in answer.json()["items"] if row["mail_id"] in mail_ids]
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                break
        return found
