"""The commands against a name server: exit 0 whatever the result."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands.authenticate import authenticate_command, check_domain_command
from tests.fakes.signed_mail import MESSAGE, NOW, sign, zone
from tests.fakes.zone_server import ZoneServer


@pytest.fixture(scope="module")
def server() -> Iterator[ZoneServer]:
    running = ZoneServer(zone().records)
    yield running
    running.stop()


@pytest.fixture
def mail(tmp_path: Path) -> str:
    file = tmp_path / "mail.eml"
    file.write_bytes(sign())
    return str(file)


def options(server: ZoneServer, peer: str = "192.0.2.1") -> list[str]:
    envelope = ["--peer", peer, "--helo", "mx.example.org", "--mail-from", "joe@example.org"]
    return [*envelope, "--nameserver", server.address, "--now", str(NOW)]


def test_json_carries_words_and_evidence(server: ZoneServer, mail: str) -> None:
    done = CliRunner().invoke(authenticate_command, [mail, *options(server), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["words"] == {"spf": "pass", "dkim": "pass", "dmarc": "pass", "arc": "none", "iprev": "pass"}
    assert found["dkim"][0]["domain"] == "example.org"
    assert found["dmarc"]["result"] == "pass"


def test_failed_mail_exits_zero_and_says_why(server: ZoneServer, tmp_path: Path) -> None:
    file = tmp_path / "forged.eml"
    file.write_bytes(MESSAGE)
    done = CliRunner().invoke(authenticate_command, [str(file), *options(server, "198.51.100.7")])
    assert done.exit_code == 0
    assert "dmarc    fail" in done.output
    assert "198.51.100.7 is not in example.org's SPF record" in done.output


@pytest.mark.parametrize("time", ["1790000000", "2026-09-21T14:13:20Z", "2026-09-21T16:13:20.000+02:00"])
def test_time_is_unix_seconds_or_rfc_3339(server: ZoneServer, mail: str, time: str) -> None:
    done = CliRunner().invoke(authenticate_command, [mail, *options(server)[:-1], time, "--json"])
    assert json.loads(done.output)["evaluated_at"] == "2026-09-21T14:13:20.000Z"


def test_standard_input_is_read(server: ZoneServer) -> None:
    done = CliRunner().invoke(authenticate_command, ["-", *options(server)], input=sign())
    assert done.exit_code == 0
    assert "dmarc    pass" in done.output


def test_dead_name_server_is_a_result(mail: str) -> None:
    arguments = [mail, "--peer", "192.0.2.1", "--mail-from", "a@example.org", "--nameserver", "127.0.0.1:9"]
    done = CliRunner().invoke(authenticate_command, [*arguments, "--dns-timeout", "0.3", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.output)["words"]["spf"] == "temperror"


def test_terminal_escapes_in_the_mail_are_not_printed(server: ZoneServer, tmp_path: Path) -> None:
    file = tmp_path / "escape.eml"
    file.write_bytes(b"From: \x1b[31mjoe\x1b]0;x\x07@example.org\r\n\r\n")
    done = CliRunner().invoke(authenticate_command, [str(file), *options(server)])
    assert "\x1b" not in done.output


def test_domain_report_is_json_on_demand(server: ZoneServer) -> None:
    arguments = ["example.org", "--selector", "s1", "--no-fetch", "--nameserver", server.address]
    report = json.loads(CliRunner().invoke(check_domain_command, [*arguments, "--json"]).output)
    assert report["domain"] == "example.org"
    assert {finding["check"] for finding in report["findings"]} == {"mx", "spf", "dkim", "dmarc", "mta-sts"}
    text = CliRunner().invoke(check_domain_command, arguments)
    assert text.exit_code == 0
    assert "Policy reject from _dmarc.example.org" in text.output
