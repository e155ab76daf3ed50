"""`mailscope dns`: what it says is to be published is what then passes, and it sees what is published."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from commands.dns import dns
from tests.fakes.zone_server import ZoneServer


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """example.com receives and sends with two keys; only.example sends without one."""
    for name, key in (("r", rsa.generate_private_key(65537, 2048)), ("e", ed25519.Ed25519PrivateKey.generate())):
        octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.pem").write_bytes(octets)
    keys = [{"selector": name, "key_file": str(tmp_path / f"{name}.pem")} for name in ("r", "e")]
    settings = {
        "authserv_id": "mx.example.com",
        "data_dir": str(tmp_path / "data"),
        "inbound": {
            "domains": {"example.com": {}},
            "routes": [{"match": {"to": "*@example.com"}, "drop": "x"}],
            "reports": ["dmarc@example.com"],
        },
        "outbound": {"domains": {"example.com": {"dkim": keys}, "only.example": {}}},
        "delivery": {"helo": "out.example.com"},
    }
    file = tmp_path / "mailscope.yaml"
    file.write_text(json.dumps(settings))
    monkeypatch.setenv("MAILSCOPE_CONFIG", str(file))
    return file


@pytest.mark.parametrize(
    ("change", "says"),
    [({"authserv_id": "localhost"}, "authserv_id: nobody"), ({"delivery": {"helo": "mx"}}, "delivery.helo: nobody")],
)
def test_a_host_that_nobody_finds_is_no_record(config: Path, change: dict[str, object], says: str) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    told = CliRunner().invoke(dns)
    assert told.exit_code == 78 and says in told.output and "IN MX" not in told.output


def test_what_is_printed_is_a_zone_and_once_it_is_published_all_is_well(config: Path) -> None:
    printed = CliRunner().invoke(dns).output
    lines = [line for line in printed.splitlines() if not line.startswith(";")]
    assert "example.com. IN MX 10 mx.example.com." in lines and "only.example. IN MX 10 mx.example.com." in lines
    assert 'example.com. IN TXT "v=spf1 a:out.example.com -all"' in lines
    assert '_dmarc.only.example. IN TXT "v=DMARC1; p=none; rua=mailto:dmarc@example.com"' in lines
    assert 'only.example._report._dmarc.example.com. IN TXT "v=DMARC1"' in lines
    assert not any("example.com._report" in line for line in lines)
    (key,) = [line for line in lines if line.startswith("r._domainkey.example.com.")]
    assert key.count('"') == 4, "a key of 2,048 bits is two strings"

    server = ZoneServer({"example.com": {"TXT": ["v=spf1 -all"]}})
    try:
        values = json.loads(config.read_text())
        config.write_text(json.dumps({**values, "dns": {"nameservers": [server.address]}}))
        before = CliRunner().invoke(dns, ["--check"])
        assert before.exit_code == 1 and before.output.count("not published") >= 6
        assert "published otherwise: v=spf1 -all" in before.output
        for line in lines:
            name, _, kind, value = line.split(" ", 3)
            text = "".join(value.split('"')[1::2]) if kind == "TXT" else value
            if name == "example.com." and kind == "TXT":
                text = text.replace(" -all", " include:_spf.other.example ~all")
            server.records.setdefault(name.rstrip("."), {})[kind] = [text]
        after = CliRunner().invoke(dns, ["--check"])
        assert after.exit_code == 0, after.output
        assert after.output.count(": published\n") == len(lines)

        def check(name: str, *texts: str) -> bool:
            """Whether the command is content with these TXT records there."""
            before = server.records[name]["TXT"]
            server.records[name]["TXT"] = list(texts)
            try:
                return CliRunner().invoke(dns, ["--check"]).exit_code == 0
            finally:
                server.records[name]["TXT"] = before

        spf = "v=spf1 a:out.example.com -all"
        assert check("only.example", spf, "another=text") and not check("only.example", spf, "v=spf1 mx -all")
        policy = "v=DMARC1; p=reject"
        assert check("_dmarc.only.example", policy)
        assert not check("_dmarc.only.example", policy, "v=DMARC1; p=none")
        assert not check("_dmarc.only.example", "v=DMARC1; xp=reject")
        (ours,) = server.records["e._domainkey.example.com"]["TXT"]
        assert check("e._domainkey.example.com", ours.partition(" ")[2]), "v= may be left out"
        server.records["r._domainkey.example.com"]["TXT"] = server.records["e._domainkey.example.com"]["TXT"]
        assert CliRunner().invoke(dns, ["--check"]).exit_code == 1, "another key than the one that signs"
    finally:
        server.stop()
