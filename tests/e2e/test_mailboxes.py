"""Polled mailboxes, on Debian's Dovecot: each mail once in the log, whatever happens to the server, a password, UIDs or our process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import find_free_port
from tests.e2e.pipeline import ROOT, Pipeline
from tests.fakes.dovecot import DOVECOT, Dovecot
from tests.wait_for import wait_for

pytestmark = pytest.mark.skipif(DOVECOT is None, reason="needs Debian's dovecot-imapd")
MANY = 500


class World:
    """A mail server, and a pipeline that polls mailboxes on it."""

    def __init__(self, folder: Path) -> None:
        self.dovecot = Dovecot(find_free_port(), find_free_port())
        self.passwords = folder / "passwords"
        self.passwords.mkdir()
        self.pipeline = Pipeline(folder)
        self.dovecot.set_passwords(dict.fromkeys(CHANNELS, "correct horse"))
        self.pipeline.change(channels={name: {**self.channel(name), **more} for name, more in CHANNELS.items()})

    def channel(self, name: str) -> dict[str, Any]:
        (self.passwords / name).write_text("correct horse\n")
        return {
            "imap": f"imaps://{name}@localhost:{self.dovecot.tls_port}",
            "address": f"{name}@mailbox.test",
            "password_file": str(self.passwords / name),
            "ca_file": str(self.dovecot.ca_file),
            "handle": "desk",
        }

    def rows(self, channel: str, **filters: Any) -> list[dict[str, Any]]:
        answer = self.pipeline.get("/mails", channel=channel, limit=500, **filters)
        return answer.json()["items"] if answer.status_code == 200 else []

    def log_of(self, channel: str, count: int, timeout: float = 60) -> list[dict[str, Any]]:
        """The rows of a channel, once there are so many and all are settled."""

        def done() -> bool:
            found = self.rows(channel)
            return len(found) >= count and all(row["terminal"] for row in found)

        assert wait_for(done, timeout, 0.2), (len(self.rows(channel)), self.pipeline.log()[-3000:])
        return self.rows(channel)

    def connectivity(self, channel: str) -> list[dict[str, Any]]:
        answer = self.pipeline.get(f"/channels/{channel}/connectivity")
        return answer.json()["items"] if answer.status_code == 200 else []


CHANNELS: dict[str, dict[str, Any]] = {
    "legacy": {"trusted_authserv_id": "mail.example.test"},
    "moved": {"move_to": "Done", "mark_seen": False},
    "renumbered": {},
    "backlog": {},
    "locked": {},
    "late": {},
    "noise": {"blocked_senders": ["*@spam.test"]},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("mailboxes"))
    try:
        made.dovecot.start()
        (made.passwords / "locked").write_text("wrong\n")
        made.pipeline.start()
        yield made
    finally:
        made.pipeline.close()
        made.dovecot.close()


def mail(subject: str, body: str = "Hello\n", **headers: str) -> bytes:
    lines = {
        "Return-Path": "<anna@good.test>",
        "Received": "from client.good.test by mail.example.test; Tue, 03 Nov 2026 12:22:54 +0000",
        "From": "Anna <anna@good.test>",
        "To": "legacy@mailbox.test",
        "Subject": subject,
        "Date": "Tue, 03 Nov 2026 12:22:54 +0000",
        "Message-ID": f"<{os.urandom(9).hex()}@good.test>",
        **headers,
    }
    return ("".join(f"{name}: {value}\n" for name, value in lines.items()) + "\n" + body).replace("\n", "\r\n").encode()


def test_new_mail_is_taken_by_idle_and_becomes_a_request(world: World) -> None:
    told = "mail.example.test; spf=pass smtp.mailfrom=anna@good.test; dmarc=pass header.from=good.test"
    raw = f"Authentication-Results: {told}\r\n".encode() + mail("printer on fire")
    world.dovecot.append(raw, user="legacy")
    (row,) = world.log_of("legacy", 1)
    assert (row["status"], row["reference"], row["channel"]) == ("processed", "IT-1", "legacy"), row
    assert row["recipient"] == "legacy@mailbox.test" and row["from"] == "anna@good.test"
    assert (row["spf"], row["dkim"], row["dmarc"]) == ("pass", "none", "pass")
    assert world.pipeline.detail(row["mail_id"])["auth"]["trusted"] == "mail.example.test"  # whose word it is
    got = world.pipeline.page(f"/api/v1/mails/{row['mail_id']}/raw")
    assert got.content == raw
    assert wait_for(lambda: b"\\Seen" in world.dovecot.flags("legacy")[0], 10)


def test_what_was_taken_is_moved_where_the_channel_says(world: World) -> None:
    client = world.dovecot.connect("moved")
    client.create("Done")
    client.logout()
    world.dovecot.append(mail("move me"), user="moved")
    (row,) = world.log_of("moved", 1)
    assert row["status"] == "processed" and row["dmarc"] == "none"
    assert "trusted_authserv_id" in world.pipeline.detail(row["mail_id"])["auth"]["dmarc"]["detail"]
    assert wait_for(lambda: len(world.dovecot.flags("moved", "Done")) == 1, 10)
    assert world.dovecot.flags("moved") == [] and b"Seen" not in world.dovecot.flags("moved", "Done")[0]


def test_what_becomes_no_request_is_skipped_and_a_repetition_is_one(world: World) -> None:
    again = mail("sent again and again")
    world.dovecot.deliver(
        "noise",
        mail("away", **{"Auto-Submitted": "auto-replied"}),
        mail("news", **{"List-Id": "<a.b.test>"}),
        mail("mine", From="noise@mailbox.test"),
        mail("buy", From="x@spam.test"),
        mail("", ""),
        *(b"X-Copy: %d\r\n" % number + again for number in range(10)),
    )
    rows = world.log_of("noise", 15)
    reasons = {row["subject"]: row["reason"] for row in rows if row["subject"] != "sent again and again"}
    assert reasons == {"away": "auto_reply", "news": "bulk", "mine": "loop", "buy": "sender_blocked", "": "empty"}
    copies = sorted((row["status"], row["reason"]) for row in rows if row["subject"] == "sent again and again")
    assert copies == [("processed", None), *[("skipped", "duplicate")] * 9]
    assert len(world.pipeline.outside.desk.called("sent again and again")) == 1


def test_a_wrong_password_is_told_and_heals_when_it_is_mended(world: World) -> None:
    assert wait_for(lambda: world.connectivity("locked"), 30)
    (told,) = world.connectivity("locked")
    assert told["state"] == "auth_failed" and told["ended_at"] is None and "AUTHENTICATIONFAILED" in told["detail"]
    world.dovecot.append(mail("behind a lock"), user="locked")
    tries = world.dovecot.log().count("auth failed, 1 attempts")
    (world.passwords / "locked").write_text("correct horse\n")
    (row,) = world.log_of("locked", 1)
    assert row["status"] == "processed" and tries <= 2
    assert wait_for(lambda: any(one["delayed"] for one in world.connectivity("locked")), 20), world.connectivity(
        "locked"
    )
    recovered, gap = world.connectivity("locked")
    assert (recovered["state"], gap["state"], gap["delayed"]) == ("recovered", "auth_failed", 1)
    assert gap["ended_at"] == recovered["occurred_at"]


def test_a_server_that_goes_and_comes_back_with_another_certificate_and_other_uids(world: World) -> None:
    world.dovecot.append(*(mail(f"renumbered {number}") for number in range(20)), user="renumbered")
    assert len(world.log_of("renumbered", 20)) == 20
    assert wait_for(lambda: world.connectivity("late"), 20)
    world.dovecot.stop()
    world.dovecot.renumber("renumbered")
    world.dovecot.deliver("late", mail("while it was away"))
    assert wait_for(lambda: world.connectivity("late")[0]["state"] == "connection_dropped", 30)
    world.dovecot.certify(expired=True)
    world.dovecot.start()
    assert wait_for(lambda: world.connectivity("late")[0]["state"] == "tls_failed", 60)
    assert "expired" in world.connectivity("late")[0]["detail"]
    states = {one["name"]: one["state"] for one in world.pipeline.get("/channels").json()["items"]}
    assert states["late"] == "tls_failed"
    world.dovecot.stop()
    world.dovecot.certify()
    world.dovecot.start()
    (row,) = world.log_of("late", 1, 90)
    assert row["status"] == "processed"
    assert wait_for(lambda: any(one["delayed"] for one in world.connectivity("late")), 30)
    assert [one["state"] for one in world.connectivity("late")] == [
        "recovered", "tls_failed", "connection_dropped", "connected",
    ]  # fmt: skip
    assert all(one["ended_at"] for one in world.connectivity("late")[1:3])
    world.dovecot.append(mail("after the change"), user="renumbered")
    found = world.log_of("renumbered", 21, 90)
    assert len(found) == 21 and len({row["message_id"] for row in found}) == 21


def test_a_backlog_is_taken_once_by_two_pollers_of_which_one_is_killed(world: World) -> None:
    pipeline = world.pipeline
    with open(pipeline.folder / "second.log", "wb") as log:
        second = subprocess.Popen(
            [sys.executable, "-m", "mailscope", "ingest", "mailboxes", "--health-port", "74"],
            cwd=ROOT,
            env={**pipeline.environ, "MAILSCOPE_INSTANCE": "mailboxes-2"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        world.dovecot.deliver("backlog", *(mail(f"backlog {number}") for number in range(MANY)))
        for part in (MANY // 5, MANY // 3, MANY // 2):
            assert wait_for(lambda part=part: len(world.rows("backlog")) >= part, 90, 0.1)
            os.kill(pipeline.stage_pid("mailboxes"), signal.SIGKILL)
            if part == MANY // 3:
                second.kill()
                second.wait(10)
        found = world.log_of("backlog", MANY, 120)
        assert len(found) == MANY and len({row["message_id"] for row in found}) == MANY
        assert pipeline.get("/mails", channel="backlog", limit=500).json()["next_cursor"] is None
        calls = [call.mail["subject"] for call in pipeline.outside.desk.calls if call.mail["channel"] == "backlog"]
        assert sorted(calls) == sorted(f"backlog {number}" for number in range(MANY))
    finally:
        second.kill()
        second.wait(10)
