"""`mailscope config check`: what the configuration names exists, can be read and can be used; each error has its line."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from commands.check_config import check_config
from local.demo.config import DemoPorts, prepare

Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def pem(key: Private, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def certificate(key: Private, lasts: timedelta = timedelta(days=30)) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx.example.com")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=90))
        .not_valid_after(now + lasts)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """What the configurations below refer to."""
    own, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    return {
        "own.key": pem(own),
        "own.crt": certificate(own),
        "own.pem": pem(own) + certificate(own),
        "old.crt": certificate(own, timedelta(days=-1)),
        "other.key": pem(other),
        "locked.key": pem(own, BestAvailableEncryption(b"secret")),
        "rsa.key": pem(rsa.generate_private_key(65537, 2048)),
        "text": b"no key\n",
        "empty": b"",
        "blank_line": b"\nsecond line\n",
        "password": b"correct horse\n",
        "good_handler.py": b"def take(mail): ...\nvalue = 7\n",
        "bad_handler.py": b"raise RuntimeError('no database')\n",
        "leaving_handler.py": b"raise SystemExit('bye')\n",
    }


@pytest.fixture
def folder(tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, octets in files.items():
        (tmp_path / name).write_bytes(octets)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MAILSCOPE_")]:
        monkeypatch.delenv(name)
    return tmp_path


def check(text: str, **environ: str) -> Result:
    Path("mailscope.yaml").write_text(text)
    return CliRunner().invoke(check_config, env=environ)


DKIM = "outbound:\n  domains:\n    example.com:\n      dkim:\n        - selector: s1\n          key_file: {}\n"
ARC = "inbound:\n  arc_seal:\n    domain: example.com\n    selector: s1\n    key_file: {}\n"
TLS = "smtp:\n  tls_cert: {}\n  tls_key: {}\n"
CREDENTIAL = "outbound:\n  credentials:\n    - user: app\n      domains: [example.com]\n      password_file: {}\n"
SMARTHOST = "delivery:\n  smarthost: mail.example.net\n  smarthost_user: app\n  smarthost_password_file: {}\n"
CHANNEL = "channels:\n  old:\n    imap: imaps://u@mail.example.net\n    password_file: {}\n"
SUBSCRIPTION = "subscriptions:\n  wh:\n    url: http://x/\n    secret_file: {}\n"
HANDLER = "handlers:\n  desk:\n    python: {}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (DKIM.format("gone"), "6: outbound.domains.example.com.dkim[0].key_file: gone cannot be read: No such file"),
        (DKIM.format("text"), "6: outbound.domains.example.com.dkim[0].key_file: text cannot be used: the DKIM key is"),
        (
            DKIM.format("own.key"),
            "6: outbound.domains.example.com.dkim[0].key_file: own.key cannot be used: the DKIM key",
        ),
        (DKIM.format("."), "6: outbound.domains.example.com.dkim[0].key_file: . cannot be read: Is a directory"),
        (ARC.format("gone"), "5: inbound.arc_seal.key_file: gone cannot be read"),
        (ARC.format("locked.key"), "5: inbound.arc_seal.key_file: locked.key cannot be used"),
        (TLS.format("gone", "own.key"), "2: smtp.tls_cert: gone cannot be read"),
        (TLS.format("own.crt", "gone"), "3: smtp.tls_key: gone cannot be read"),
        (TLS.format("own.key", "own.key"), "2: smtp.tls_cert: own.key holds no certificate in PEM"),
        (TLS.format("own.crt", "text"), "3: smtp.tls_key: text holds no private key in PEM"),
        (TLS.format("own.crt", "locked.key"), "3: smtp.tls_key: locked.key holds no private key in PEM, or one with a"),
        (TLS.format("own.crt", "other.key"), "3: smtp.tls_key: other.key is not the key of the certificate in own.crt"),
        ("smtp:\n\n  tls_cert: own.crt\n", "3: smtp.tls_cert: own.crt holds no private key in PEM"),
        (CREDENTIAL.format("gone"), "5: outbound.credentials[0].password_file: gone cannot be read"),
        (CREDENTIAL.format("empty"), "5: outbound.credentials[0].password_file: the first line of empty is empty"),
        (CREDENTIAL.format("blank_line"), "5: outbound.credentials[0].password_file: the first line of blank_line is"),
        (SMARTHOST.format("empty"), "4: delivery.smarthost_password_file: the first line of empty is empty"),
        ("store:\n  password_file: gone\n", "2: store.password_file: gone cannot be read"),
        ("console:\n  admin_token_file: empty\n", "2: console.admin_token_file: the first line of empty is empty"),
        (CHANNEL.format("empty"), "4: channels.old.password_file: the first line of empty is empty"),
        (SUBSCRIPTION.format("gone"), "4: subscriptions.wh.secret_file: gone cannot be read"),
        (SUBSCRIPTION.format("empty"), "4: subscriptions.wh.secret_file: empty is empty"),
        (SUBSCRIPTION.format("password"), "4: subscriptions.wh.secret_file: password: write whsec_ and base64"),
        ("\nsecret_file: gone\n", "2: secret_file: gone cannot be read"),
        ("\nsecret_file: empty\n", "2: secret_file: empty is empty"),
        (
            "kafka:\n  properties:\n    ssl.ca.location: gone\n",
            "3: kafka.properties.ssl.ca.location: gone cannot be read",
        ),
        (HANDLER.format("no.such.module:take"), "3: handlers.desk.python: no.such.module:take cannot be loaded"),
        (HANDLER.format("good_handler:missing"), "3: handlers.desk.python: good_handler:missing cannot be loaded"),
        (HANDLER.format("good_handler:value"), "3: handlers.desk.python: good_handler:value cannot be called"),
        (
            HANDLER.format("bad_handler:take"),
            "3: handlers.desk.python: bad_handler:take cannot be loaded: RuntimeError: no",
        ),
        (
            HANDLER.format("leaving_handler:take"),
            "3: handlers.desk.python: leaving_handler:take cannot be loaded: System",
        ),
        ("dns:\n  nameservers:\n    - 192.0.2.1\n    - 192.0.2.1:0\n", "4: dns.nameservers[1]: name server"),
    ],
    ids=lambda value: "file" if "\n" in value else value,
)
def test_what_cannot_be_used_is_named_with_its_line(folder: Path, text: str, told: str) -> None:
    done = check(text)
    assert done.exit_code == 78
    assert f"mailscope.yaml:{told}" in done.output
    assert len(done.output.strip().splitlines()) <= 3  # and nothing else is


def test_what_can_be_used_is_good(folder: Path) -> None:
    text = DKIM.format("rsa.key") + ARC.format("rsa.key") + TLS.format("own.crt", "own.key")
    text += HANDLER.format("good_handler:take") + "secret_file: password\n" + CHANNEL.format("password")
    text += "kafka:\n  properties: {ssl.ca.location: own.crt, ssl.certificate.location: own.crt}\n"
    done = check(text)
    assert done.exit_code == 0, done.output
    assert "mailscope.yaml is good: 0 inbound domains, 0 routes, 1 handlers, 1 outbound domains" in done.output


def test_key_and_certificate_may_share_a_file(folder: Path) -> None:
    assert check("smtp: {tls_cert: own.pem}\n").exit_code == 0


def test_a_certificate_that_has_expired_is_noted(folder: Path) -> None:
    done = check("smtp:\n  tls_cert: old.crt\n  tls_key: own.key\n")
    assert done.exit_code == 0 and "note: mailscope.yaml:2: smtp.tls_cert: old.crt expired on " in done.output


def test_a_file_that_a_variable_names_is_told_by_the_variable(folder: Path) -> None:
    done = check("smtp:\n  tls_cert: own.pem\n", MAILSCOPE_SECRET_FILE="gone")
    assert done.exit_code == 78 and "MAILSCOPE_SECRET_FILE: secret_file: gone cannot be read" in done.output


def test_settings_that_nothing_reads_are_noted_with_their_line(folder: Path) -> None:
    done = check("inbound:\n  routes:\n    - match:\n        to: a@elsewhere.example\n      drop: x\n")
    assert "note: mailscope.yaml:4: inbound.routes[0].match.to: a@elsewhere.example is not in" in done.output


def test_a_mistake_in_the_file_itself_ends_the_check(folder: Path) -> None:
    done = check("smtp:\n  prot: 25\n")
    assert done.exit_code == 78 and "mailscope.yaml:2: smtp.prot: unknown key; did you mean 'port'?" in done.output


def test_without_a_file_the_built_in_configuration_is_good(folder: Path) -> None:
    done = CliRunner().invoke(check_config)
    assert done.exit_code == 0 and done.output.startswith("the built-in configuration is good: ")


def test_importing_handlers_leaves_the_way_to_modules_as_it_was(folder: Path) -> None:
    import sys

    before = list(sys.path)
    check(HANDLER.format("good_handler:take"))
    assert sys.path == before


def test_the_demos_configuration_is_good(folder: Path) -> None:
    path = prepare(folder / "demo", DemoPorts())
    done = CliRunner().invoke(check_config, env={"MAILSCOPE_CONFIG": str(path)})
    assert done.exit_code == 0, done.output


def test_a_password_is_not_taken_for_a_signing_key(folder: Path) -> None:
    assert check(SMARTHOST.format("password")).exit_code == 0
