"""An identity provider on loopback: canaille (local/install_canaille.py), with people, groups and one client in its memory. Run by the
interpreter of its environment with PORT CONSOLE SECRET, this file serves it; it says `ready` when it listens."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CLIENT = "mailscope"
PASSWORD = "correct horse battery"
PEOPLE = {"lena": ["mail-admins"], "sam": ["support"], "nora": ["cooks"]}  # by their name: their groups


@contextmanager
def identity_provider(port: int, console: str, secret: str) -> Iterator[str]:
    """Its issuer, while it runs."""
    import pytest

    from local.install_canaille import canaille_python

    if not canaille_python().exists():
        pytest.skip("needs canaille: python -m local.install_canaille")
    command = [str(canaille_python()), "-W", "ignore", __file__, str(port), console, secret]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            while (said := process.stdout.readline()) != b"ready\n":
                assert said, "the identity provider has ended"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _serve(port: int, console: str, secret: str) -> None:
    from canaille import create_app
    from canaille.app import models
    from canaille.backends import Backend
    from joserfc.jwk import RSAKey
    from werkzeug.serving import make_server

    settings: dict[str, Any] = {
        "SECRET_KEY": "for this test",
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "http",
        "DATABASE": "memory",
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)]},
    }
    app = create_app(settings)
    with app.app_context():
        instance = Backend.instance
        with instance.session():
            people = {}
            for name in PEOPLE:
                people[name] = models.User(
                    user_name=name, given_name=name, family_name="Test", formatted_name=name, password=PASSWORD,
                    emails=[f"{name}@staff.example"],
                )  # fmt: skip
                instance.save(people[name])
            for group in sorted({one for groups in PEOPLE.values() for one in groups}):
                members = [people[name] for name, groups in PEOPLE.items() if group in groups]
                instance.save(models.Group(display_name=group, members=members))
            client = models.Client(
                client_id=CLIENT, client_secret=secret, client_name="Mailscope", client_uri=console,
                redirect_uris=[f"{console}/login/oidc/callback"], post_logout_redirect_uris=[f"{console}/login"],
                grant_types=["authorization_code"], response_types=["code"], scope=["openid", "email", "profile", "groups"],
                token_endpoint_auth_method="client_secret_basic", id_token_signed_response_alg="RS256",
            )  # fmt: skip
            instance.save(client)
            client.audience = [client]
            instance.save(client)
    server = make_server("127.0.0.1", port, app, threaded=True)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2], sys.argv[3])
