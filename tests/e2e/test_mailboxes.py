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


class World:
    """A mail server, and a pipeline that polls mailboxes on it."""

    def __init__(self, folder: Path) -> None:
        self.dovecot = Dovecot(find_free_port(), find_free_port())
        self.passwords = folder / "passwords"
        self.passwords.mkdir()
        self.pipeline = Pipeline(folder)
        self.dovecot.set_passwords(dict.fromkeys(CHANNELS, "correct horse"))
        self.pipeline.change(smtp={"max_size": "1MiB"})
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

    def count(self, channel: str, **filters: Any) -> int:
        """Rows of a channel, of any number of pages."""
        answer = self.pipeline.get("/export", channel=channel, **filters)
        return len(answer.text.splitlines()) if answer.status_code == 200 else 0

    def connectivity(self, channel: str) -> list[dict[str, Any]]:
        answer = self.pipeline.get(f"/channels/{channel}/connectivity")
        return answer.json()["items"] if answer.status_code == 200 else []


CHANNELS: dict[str, dict[str, Any]] = {
    "legacy": {"trusted_authserv_id": "mail.example.test"},
    "moved": {"move_to": "Done", "mark_seen": False},
    "renumbered": {},
    "backlog": {},
    "long-backlog": {},
    "locked": {},
    "late": {},
    "sizes": {},
    "noise": {"blocked_senders": ["*@spam.test"]},
    "again": {"trusted_authserv_id": "mail.example.test"},
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


def test_an_answer_reaches_the_handler_with_the_key_of_its_request(world: World) -> None:
    pipeline = world.pipeline
    (first,) = world.log_of("legacy", 1)
    pipeline.submit("anna@partner.test", reference="IT-77", headers={"Message-ID": "<told-anna@ours.test>"})
    assert wait_for(lambda: pipeline.rows("told-anna@ours.test"), 30)
    world.dovecot.append(
        mail("Re: printer on fire", **{"In-Reply-To": f"<{first['message_id']}>"}),
        mail("Re: what you told me", References="<unknown@x.test> <told-anna@ours.test>"),
        mail("IT-1 is in the subject only"),
        mail("IT-4711 was given by nobody"),
        mail("IT-77 was given by no handler"),
        user="legacy",
    )
    world.log_of("legacy", 6)
    given = {call.mail["subject"]: call.mail["reference"] for call in pipeline.outside.desk.calls}
    assert given["printer on fire"] is None and given["IT-1 is in the subject only"] == first["reference"] == "IT-1"
    assert given["IT-4711 was given by nobody"] is None and given["IT-77 was given by no handler"] is None
    assert given["Re: printer on fire"] == first["reference"] and given["Re: what you told me"] == "IT-77"


def test_large_mail_is_taken_and_what_is_too_large_is_told_and_left(world: World) -> None:
    large, too_large = mail("large", "line\n" * 120_000), mail("too large", "line\n" * 300_000)
    world.dovecot.append(large, too_large, mail("after it"), user="sizes")
    rows = world.log_of("sizes", 3)
    assert sorted((row["subject"], row["status"]) for row in rows) == [
        ("", "failed"), ("after it", "processed"), ("large", "processed"),
    ]  # fmt: skip
    failed = next(row for row in rows if row["status"] == "failed")
    assert failed["reason"] == "message_too_large" and "UID 2 of INBOX is left" in failed["detail"]
    raw = next(row["mail_id"] for row in rows if row["subject"] == "large")
    assert world.pipeline.page(f"/api/v1/mails/{raw}/raw").content == large
    assert wait_for(lambda: [b"Seen" in flags for flags in world.dovecot.flags("sizes")] == [True, False, True], 10)


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
    late = world.pipeline.get("/channels/locked/mails", gap=gap["occurred_at"]).json()["items"]
    assert [one["mail_id"] for one in late] == [row["mail_id"]]
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


@pytest.mark.parametrize(
    ("channel", "many"), [("backlog", 500), pytest.param("long-backlog", 5000, marks=pytest.mark.long)]
)
def test_a_backlog_is_taken_once_by_two_pollers_of_which_one_is_killed(world: World, channel: str, many: int) -> None:
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
        world.dovecot.deliver(channel, *(mail(f"{channel} {number}") for number in range(many)))
        for part in (many // 5, many // 3, many // 2):
            assert wait_for(lambda part=part: world.count(channel) >= part, 120, 0.1)
            os.kill(pipeline.stage_pid("mailboxes"), signal.SIGKILL)
            if part == many // 3:
                second.kill()
                second.wait(10)
        assert wait_for(lambda: world.count(channel, status="processed") >= many, many // 4, 0.5), world.count(channel)
        assert world.count(channel) == many
        calls = [call.mail["subject"] for call in pipeline.outside.desk.calls if call.mail["channel"] == channel]
        assert sorted(calls) == sorted(f"{channel} {number}" for number in range(many))
    finally:
        second.kill()
        second.wait(10)


def test_a_polled_mail_that_failed_is_run_again_with_what_its_server_said(world: World) -> None:
    told = "mail.example.test; spf=pass smtp.mailfrom=anna@good.test; dmarc=pass header.from=good.test"
    raw = f"Authentication-Results: {told}\r\n".encode() + mail("Fail and again")
    world.dovecot.append(raw, user="again")
    (row,) = world.log_of("again", 1)
    assert (row["status"], row["dmarc"]) == ("failed", "pass")
    world.pipeline.outside.desk.mended.add("fail and again")
    answer = world.pipeline.post(f"/mails/{row['mail_id']}/redeliver", {})
    assert answer.json()["redelivered"] == 1, answer.text
    assert wait_for(lambda: world.rows("again")[0]["status"] == "processed", 30), world.rows("again")
    (row,) = world.rows("again")
    assert (row["attempts"], row["dmarc"], row["channel"]) == (2, "pass", "again")
    assert len(world.dovecot.flags("again")) == 1
