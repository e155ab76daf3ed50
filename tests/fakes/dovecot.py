"""Debian's Dovecot in a folder of its own: IMAP with and without TLS, one passwd-file, maildirs. As root or as whoever runs the tests."""

import datetime
import imaplib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.wait_for import wait_for

DOVECOT = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIG = """
base_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login{mechanisms}
mail_location = maildir:{folder}/mail/%u
mail_fsync = never
mail_max_userip_connections = 50
auth_failure_delay = 0
maildir_very_dirty_syncs = yes
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
first_valid_uid = {uid}
first_valid_gid = {gid}
passdb {{
  driver = passwd-file
  mechanisms = plain login
  args = scheme=PLAIN username_format=%u {folder}/users
}}
{oauth}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


OAUTH = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
"""


class Dovecot:
    """One server; `port` speaks in the clear, `tls_port` TLS with a certificate of its own (`ca_file`). Bearer tokens are good where a GET
    of `tokens_at` + token says so."""

    def __init__(self, port: int, tls_port: int, tokens_at: str = "") -> None:
        # Not in pytest's folder, which every other run of the same user closes to Dovecot's own users.
        self.folder = folder = Path(tempfile.mkdtemp(prefix="dovecot-", dir="/tmp"))
        self.port, self.tls_port = port, tls_port
        self.ca_file = folder / "ca.pem"
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("run", "mail"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o711)
        me = pwd.getpwuid(os.geteuid())
        user, group = ("dovecot", "dovecot") if os.geteuid() == 0 else (me.pw_name, me.pw_name)
        mail = pwd.getpwnam("nobody") if os.geteuid() == 0 else me
        if os.geteuid() == 0:
            shutil.chown(folder / "mail", mail.pw_uid, mail.pw_gid)
        self._ca_key, self._ca = _authority()
        self.ca_file.write_bytes(self._ca.public_bytes(serialization.Encoding.PEM))
        self.certify()
        self.set_passwords({"app": "correct horse"})
        oauth = ""
        if tokens_at:
            (folder / "oauth2.conf").write_text(f"tokeninfo_url = {tokens_at}\nusername_attribute = user\n")
            oauth = OAUTH.format(folder=folder)
        config = CONFIG.format(
            folder=folder,
            port=port,
            tls_port=tls_port,
            user=user,
            group=group,
            uid=mail.pw_uid,
            gid=mail.pw_gid,
            oauth=oauth,
            mechanisms=" xoauth2 oauthbearer" if oauth else "",
        )
        (folder / "dovecot.conf").write_text(config)

    def certify(self, *, expired: bool = False) -> None:
        """Give it a certificate for 127.0.0.1 and localhost; it is read at the next start."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        begin, end = (now - datetime.timedelta(days=9), now - datetime.timedelta(days=1)) if expired else (now, now)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
            .issuer_name(self._ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - datetime.timedelta(hours=1))
            .not_valid_after(end if expired else end + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False
            )
            .sign(self._ca_key, hashes.SHA256())
        )
        (self.folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (self.folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def set_passwords(self, passwords: dict[str, str]) -> None:
        """By user; read at the next log-in."""
        self.passwords = dict(passwords)
        fresh = self.folder / "users.new"
        fresh.write_text("".join(f"{user}:{{PLAIN}}{password}\n" for user, password in passwords.items()))
        fresh.chmod(0o644)
        fresh.replace(self.folder / "users")

    def start(self) -> "Dovecot":
        assert DOVECOT is not None
        with open(self.folder / "stderr", "ab") as said:
            self._process = subprocess.Popen(
                [DOVECOT, "-F", "-c", str(self.folder / "dovecot.conf")], stdout=said, stderr=said, umask=0o022
            )
        assert wait_for(self._greets, 20), self.log()
        return self

    def _greets(self) -> bool:
        try:
            imaplib.IMAP4("127.0.0.1", self.port, 5).shutdown()
        except (OSError, imaplib.IMAP4.error):
            return False
        return True

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it, and every connection to it."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None

    def close(self) -> None:
        """End it, and leave nothing."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self) -> None:
        self.stop()
        self.start()

    def connect(self, user: str) -> imaplib.IMAP4:
        """A connection of a mail reader's."""
        client = imaplib.IMAP4("127.0.0.1", self.port, 20)
        client.login(user, self.passwords[user])
        return client

    def append(self, *messages: bytes, user: str = "app", folder: str = "INBOX", date: float | None = None) -> None:
        """Put mail into a folder, as its delivery would."""
        client = self.connect(user)
        try:
            for message in messages:
                when = imaplib.Time2Internaldate(date if date is not None else time.time())
                assert client.append(folder, "", when, message)[0] == "OK"
        finally:
            client.logout()

    def deliver(self, user: str, *messages: bytes) -> None:
        """The same without the server, which may be away: files in the maildir."""
        root = self.folder / "mail" / user
        owner = (self.folder / "mail").stat()
        for path in (root, root / "tmp", root / "cur", root / "new"):
            path.mkdir(exist_ok=True)
            os.chown(path, owner.st_uid, owner.st_gid)
        for message in messages:
            fresh = root / "tmp" / f"{time.time_ns()}.{os.urandom(4).hex()}.test"
            fresh.write_bytes(message.replace(b"\r\n", b"\n"))
            os.chown(fresh, owner.st_uid, owner.st_gid)
            fresh.rename(root / "new" / fresh.name)

    def flags(self, user: str = "app", folder: str = "INBOX") -> list[bytes]:
        """The flags of every mail in a folder; [] where there is none."""
        client = self.connect(user)
        try:
            selected, count = client.select(folder, readonly=True)
            if selected != "OK" or count == [b"0"]:
                return []
            found = client.fetch("1:*", "(FLAGS)")[1]
            return [line for line in found if isinstance(line, bytes)]
        finally:
            client.logout()

    def renumber(self, user: str = "app") -> None:
        """Make the UIDs anew, as after a repair: another UIDVALIDITY. While it is stopped."""
        folder = self.folder / "mail" / user
        for path in [
            *folder.glob("dovecot-uidlist*"),
            *folder.glob("dovecot.index*"),
            *folder.glob("dovecot-uidvalidity*"),
        ]:
            path.unlink()

    def log(self) -> str:
        return "".join(
            path.read_text("utf-8", "replace")
            for name in ("dovecot.log", "stderr")
            if (path := self.folder / name).exists()
        )


def _authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=20))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
                data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return key, certificate
