"""What the configuration refers to: keys, certificates, passwords, functions. Each exists, can be read, and can be used.

Every problem begins with the path of its setting. Nothing that is secret is in one."""

import os
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from contracts import clock
from contracts.errors import ConfigurationError
from contracts.settings import Settings
from mail.authentication.sign_dkim import load_signing_key
from runtime.blobs import why_no_blobs
from runtime.load_secret import why_not_own
from runtime.nameservers import parse_nameservers
from sinks.handlers.call_handler import Called
from sinks.subscriptions.call_subscriber import secrets_of


def unusable_references(settings: Settings) -> Iterator[str]:
    """What stops a stage, or the first mail that needs it."""
    yield from _signing_keys(settings)
    yield from _tls(settings)
    yield from _secrets(settings)
    yield from _kafka_files(settings)
    yield from _handlers(settings)
    yield from _subscriptions(settings)
    yield from _nameservers(settings)


def doubtful_references(settings: Settings) -> Iterator[str]:
    """What works and may surprise."""
    certificate = settings.smtp.tls_cert
    if certificate is not None:
        try:
            ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
        except (OSError, ValueError):
            return  # that it cannot be used is told elsewhere
        if ends < clock.now():
            yield f"smtp.tls_cert: {certificate} expired on {ends:%Y-%m-%d}"


def _signing_keys(settings: Settings) -> Iterator[str]:
    named = [
        (f"outbound.domains.{name}.dkim[{number}].key_file", key.key_file)
        for name, domain in settings.outbound.domains.items()
        for number, key in enumerate(domain.dkim)
    ]
    if settings.inbound.arc_seal is not None:
        named.append(("inbound.arc_seal.key_file", settings.inbound.arc_seal.key_file))
    for place, path in named:
        octets = _read(path)
        if isinstance(octets, str):
            yield f"{place}: {octets}"
            continue
        try:
            load_signing_key(octets)
        except ValueError as error:
            yield f"{place}: {path} cannot be used: {error}"


def _tls(settings: Settings) -> Iterator[str]:
    """The certificate and its key, which may stand in the same file. A key that needs a passphrase would make the receiver
    ask its terminal for it, so OpenSSL gets neither before both are known to be good."""
    certificate, key = settings.smtp.tls_cert, settings.smtp.tls_key
    if certificate is None:
        return
    place = "smtp.tls_key" if key else "smtp.tls_cert"
    octets, key_octets = _read(certificate), _read(key or certificate)
    if isinstance(octets, str):
        yield f"smtp.tls_cert: {octets}"
    if isinstance(key_octets, str) and key is not None:
        yield f"smtp.tls_key: {key_octets}"
    if isinstance(octets, str) or isinstance(key_octets, str):
        return
    try:
        leaf = x509.load_pem_x509_certificate(octets)
    except ValueError:
        yield f"smtp.tls_cert: {certificate} holds no certificate in PEM"
        return
    try:
        private = load_pem_private_key(key_octets, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        yield f"{place}: {key or certificate} holds no private key in PEM, or one with a passphrase"
        return
    if _public(leaf) != _public(private):
        yield f"{place}: {key or certificate} is not the key of the certificate in {certificate}"
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        yield f"smtp.tls_cert: {certificate} cannot be used: {error}"


def _public(holder: x509.Certificate | PrivateKeyTypes) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _secrets(settings: Settings) -> Iterator[str]:
    """Passwords, each the first line of its file, and the key of bounce addresses, which is a whole file."""
    named = [
        (f"outbound.credentials[{number}].password_file", credential.password_file)
        for number, credential in enumerate(settings.outbound.credentials)
    ]
    for place, file in (
        ("delivery.smarthost_password_file", settings.delivery.smarthost_password_file),
        ("store.password_file", settings.store.password_file),
        ("console.admin_token_file", settings.console.admin_token_file),
    ):
        if file is not None:
            named.append((place, file))
    for name, channel in settings.channels.items():
        oauth = channel.oauth
        files = {"password_file": channel.password_file}
        if oauth is not None:
            files["oauth.token_file"] = oauth.token_file
            files["oauth.refresh_token_file"] = oauth.refresh_token_file
            files["oauth.client_secret_file"] = oauth.client_secret_file
        named += [(f"channels.{name}.{key}", path) for key, path in files.items() if path is not None]
    for place, path in named:
        octets = _read(path)
        if isinstance(octets, str):
            yield f"{place}: {octets}"
        elif not octets.partition(b"\n")[0].strip():
            yield f"{place}: the first line of {path} is empty"
    for name, channel in settings.channels.items():
        if channel.ca_file is not None:
            try:
                ssl.create_default_context(cafile=channel.ca_file)
            except OSError as error:
                yield f"channels.{name}.ca_file: {channel.ca_file} cannot be used: {error.strerror or error}"
    if settings.secret_file is not None:
        octets = _read(settings.secret_file)
        if isinstance(octets, str):
            yield f"secret_file: {octets}"
        elif not octets.strip():
            yield f"secret_file: {settings.secret_file} is empty"
    elif why := why_not_own(settings):
        yield why
    if why := why_no_blobs(settings):
        yield why


def _kafka_files(settings: Settings) -> Iterator[str]:
    """`ssl.ca.location` and its like; OpenSSL's own place is found by librdkafka."""
    for name, value in settings.kafka.properties.items():
        path = Path(value)
        if name.endswith(".location") and value != "probe" and not os.access(path, os.R_OK):
            yield f"kafka.properties.{name}: {path} cannot be read"


def _handlers(settings: Settings) -> Iterator[str]:
    """Python functions, imported as the stage imports them: from what is installed, and from this folder."""
    before = list(sys.path)
    sys.path.insert(0, os.getcwd())
    try:
        for name, handler in settings.handlers.items():
            try:
                Called(name, handler)
            except ConfigurationError as error:
                yield str(error)
            except (Exception, SystemExit) as error:  # the module's own code, while it is imported
                yield f"handlers.{name}.python: {handler.python} cannot be loaded: {type(error).__name__}: {error}"
    finally:
        sys.path[:] = before


def _subscriptions(settings: Settings) -> Iterator[str]:
    for name, subscription in settings.subscriptions.items():
        try:
            secrets_of(name, subscription)
        except ConfigurationError as error:
            yield str(error)


def _nameservers(settings: Settings) -> Iterator[str]:
    for number, entry in enumerate(settings.dns.nameservers):
        try:
            parse_nameservers([entry])
        except ValueError as error:
            yield f"dns.nameservers[{number}]: {error}"


def _read(path: Path) -> bytes | str:
    """The octets, or why there are none."""
    try:
        return path.read_bytes()
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
