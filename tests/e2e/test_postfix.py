"""Debian's Postfix: a remote server that refuses, defers and bounces later; a client that submits; a server whose log is followed."""

import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.pipeline import ROOT, Pipeline
from tests.fakes.postfix import POSTFIX, Postfix
from tests.wait_for import wait_for

pytestmark = pytest.mark.skipif(POSTFIX is None or os.geteuid() != 0, reason="needs Debian's postfix, and root")


@pytest.fixture(scope="module")
def remote(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postfix]:
    """post.test: ok@ is there, late@ bounces after it was taken, grey@ is deferred, nobody else is there."""
    folder = tmp_path_factory.mktemp("remote")
    certificate = folder / "tls.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mx.post.test"]
    subprocess.run([*made, "-keyout", certificate, "-out", folder / "cert.pem"], check=True, capture_output=True)
    certificate.write_text(certificate.read_text() + (folder / "cert.pem").read_text())
    pipeline.outside.zones.add("post.test", "MX", "10 mx.post.test")
    pipeline.outside.zones.add("mx.post.test", "A", "127.0.3.1")
    postfix = Postfix(
        folder,
        "127.0.3.1",
        pipeline.base + 150,
        {
            "myhostname": "mx.post.test",
            "virtual_mailbox_domains": "post.test",
            "virtual_mailbox_maps": "texthash:$maps/mailboxes",
            "virtual_transport": "discard:",
            "transport_maps": "texthash:$maps/transport",
            "smtpd_recipient_restrictions": "check_recipient_access texthash:$maps/access, permit_mynetworks, reject",
            "smtpd_tls_chain_files": str(certificate),
            "smtpd_tls_security_level": "may",
            "message_size_limit": "100000",
        },
        {
            "mailboxes": dict.fromkeys(("ok@post.test", "late@post.test", "grey@post.test"), "x"),
            "transport": {
                "late@post.test": f"smtp:[127.0.1.2]:{pipeline.base + 150}",
                "ours.test": f"smtp:[127.0.0.1]:{pipeline.base + 25}",
            },
            "access": {"grey@post.test": "450 4.7.1 come back later"},
        },
    )
    yield postfix
    postfix.stop()


def row_of(pipeline: Pipeline, mail_id: str, status: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def done() -> bool:
        found.update((pipeline.get(f"/mails/{mail_id}").json().get("recipients") or [{}])[0])
        return found.get("status") == status

    assert wait_for(done, 30), found
    return found


def test_a_remote_postfix_takes_refuses_defers_and_bounces_later(pipeline: Pipeline, remote: Postfix) -> None:
    taken = pipeline.submit("ok@post.test")
    row_of(pipeline, taken, "delivered")
    attempt = pipeline.detail(taken)["attempts"][-1]
    assert attempt["host"] == "mx.post.test" and attempt["tls"].startswith("TLSv1.3") and "queued as" in attempt["text"]
    row = row_of(pipeline, pipeline.submit("nobody@post.test"), "delivery_failed")
    assert (row["bounce_class"], row["enhanced_code"]) == ("invalid_recipient", "5.1.1")
    row = row_of(pipeline, pipeline.submit("grey@post.test"), "deferred")
    assert row["next_attempt_at"] and row["smtp_code"] == 450
    row = row_of(pipeline, pipeline.submit("ok@post.test", text="x\n" * 100_000), "delivery_failed")
    assert row["bounce_class"] == "message_too_large"


def test_a_real_report_of_postfix_completes_the_mail_late(pipeline: Pipeline, remote: Postfix) -> None:
    pipeline.outside.partner.plan["late@post.test"] = "550 5.1.1 <late@post.test>: User unknown in the inner system"
    mail_id = pipeline.submit("late@post.test", subject="for somebody who moved")
    row = row_of(pipeline, mail_id, "delivery_failed")
    assert row["late"] and row["bounce_class"] == "invalid_recipient" and row["subject"] == "for somebody who moved"
    assert [event["status"] for event in pipeline.detail(mail_id)["events"]] == ["sent", "delivered", "delivery_failed"]
    assert pipeline.get("/suppressions/late@post.test").json()["mail_id"] == mail_id


@pytest.fixture(scope="module")
def client(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postfix]:
    """A Postfix of our own: what it gets for partner.test it submits to us, and what is for far.test it delivers itself."""
    folder = tmp_path_factory.mktemp("client")
    postfix = Postfix(
        folder,
        "127.0.3.2",
        pipeline.base + 25,
        {
            "myhostname": "app.ours.test",
            "transport_maps": "texthash:$maps/transport",
            "smtp_sasl_auth_enable": "yes",
            "smtp_sasl_password_maps": "texthash:$maps/sasl",
            "smtp_sasl_security_options": "noanonymous",
            "smtp_tls_security_level": "may",
            "smtp_tls_loglevel": "1",
            "smtpd_recipient_restrictions": "check_recipient_access texthash:$maps/access, permit_mynetworks, reject",
            "header_checks": "regexp:$maps/headers",
        },
        {
            "transport": {
                "partner.test": f"smtp:[127.0.0.1]:{pipeline.base + 87}",
                "far.test": f"smtp:[127.0.1.2]:{pipeline.base + 150}",
                "gone.test": f"smtp:[127.0.9.9]:{pipeline.base + 150}",
                "void.test": "discard:",
            },
            "sasl": {f"[127.0.0.1]:{pipeline.base + 87}": "app:correct horse"},
            "access": {"no@far.test": "REJECT not for you"},
            "headers": {"/^Subject: drop me/": "DISCARD unwanted", "/^Subject:/": "INFO"},
        },
    )
    yield postfix
    postfix.stop()


def message(to: str, subject: str, message_id: str) -> str:
    return f"From: desk@ours.test\nTo: {to}\nSubject: {subject}\nMessage-ID: <{message_id}>\nX-Mailscope-Reference: IT-77\n\nhi\n"


def test_a_postfix_submits_to_us(pipeline: Pipeline, client: Postfix) -> None:
    client.send(
        "desk@ours.test",
        "viapostfix@partner.test",
        text=message("viapostfix@partner.test", "by Postfix", "p1@ours.test"),
    )
    (row,) = pipeline.settled("p1@ours.test")
    assert (row["status"], row["reference"]) == ("delivered", "IT-77")
    assert pipeline.detail(row["mail_id"])["events"][0]["detail"] == "accepted from app over ESMTPSA"


class Follower:
    """`mailscope ingest postfix-log`, to be started and killed."""

    def __init__(self, pipeline: Pipeline, log: Path) -> None:
        self._argv = [sys.executable, "-m", "mailscope", "ingest", "postfix-log", str(log), "--source", "mx1"]
        self._environ = {**pipeline.environ, "MAILSCOPE_TOKEN": pipeline.token}
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        self.process = subprocess.Popen(self._argv, cwd=ROOT, env=self._environ, stderr=subprocess.DEVNULL)
        return self.process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def told(pipeline: Pipeline, message_id: str, status: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = pipeline.get("/mails", message_id=message_id, source="mx1").json()["items"]
        return bool(found) and all(row["status"] == status for row in found)

    assert wait_for(there, 30), found
    (row,) = found
    return row


def test_the_log_of_a_postfix_is_followed_over_rotation_and_kills(pipeline: Pipeline, client: Postfix) -> None:
    follower = Follower(pipeline, client.log_file)
    try:
        client.send("desk@ours.test", "one@far.test", text=message("one@far.test", "first of all", "f1@ours.test"))
        row = told(pipeline, "f1@ours.test", "delivered")
        assert (row["subject"], row["from"], row["source"]) == ("first of all", "desk@ours.test", "mx1")
        attempt = pipeline.detail(row["mail_id"])["attempts"][0]
        assert attempt["ip"] == "127.0.1.2" and attempt["code"] == 250 and "queued as" in attempt["text"]
        assert attempt["tls"] == "" or attempt["tls"].startswith("TLSv1.3 ")

        follower.kill()
        pipeline.outside.partner.plan["hard@far.test"] = (
            "550 5.1.1 <hard@far.test>: Recipient address rejected: User unknown"
        )
        client.send("desk@ours.test", "hard@far.test", text=message("hard@far.test", "refused", "f2@ours.test"))
        assert wait_for(lambda: "hard@far.test" in client.log() and "status=bounced" in client.log(), 20)
        client.log_file.rename(client.log_file.with_suffix(".log.1"))
        client.run("reload")  # a new log begins
        client.send(
            "desk@ours.test", "two@far.test", text=message("two@far.test", "after the rotation", "f3@ours.test")
        )
        follower.start()
        row = told(pipeline, "f2@ours.test", "delivery_failed")
        assert (row["bounce_class"], row["smtp_code"], row["enhanced_code"]) == ("invalid_recipient", 550, "5.1.1")
        told(pipeline, "f3@ours.test", "delivered")

        client.send("desk@ours.test", "away@gone.test", text=message("away@gone.test", "nobody there", "f4@ours.test"))
        row = told(pipeline, "f4@ours.test", "deferred")
        assert row["bounce_class"] == "connection_failed"
        client.log_file.rename(client.log_file.with_suffix(".log.2"))
        client.run("reload")  # while it is followed
        client.send("desk@ours.test", "drop@void.test", text=message("drop@void.test", "drop me", "f5@ours.test"))
        assert wait_for(lambda: pipeline.get("/mails", to="drop@void.test", source="mx1").json()["items"], 20)
        (row,) = pipeline.get("/mails", to="drop@void.test", source="mx1").json()["items"]
        assert row["status"] == "delivery_failed" and "discarded: unwanted" in row["smtp_text"]

        with smtplib.SMTP("127.0.3.2", pipeline.base + 25, "x.test", 20) as connection:
            connection.mail("desk@ours.test")
            assert connection.rcpt("no@far.test")[0] == 554
        assert wait_for(lambda: pipeline.get("/mails", to="no@far.test", source="mx1").json()["items"], 20)
        (row,) = pipeline.get("/mails", to="no@far.test", source="mx1").json()["items"]
        assert (
            row["status"] == "delivery_failed" and "not for you" in row["smtp_text"] and row["from"] == "desk@ours.test"
        )
    finally:
        assert follower.stop() == 0
    for number in (1, 2, 3):  # each once
        (row,) = pipeline.get("/mails", message_id=f"f{number}@ours.test", source="mx1").json()["items"]
        assert len(pipeline.detail(row["mail_id"])["events"]) == 1
