"""Who runs a mail server, by its name."""

import pytest

from mail.name_provider import OTHER, name_provider


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("aspmx.l.google.com", "google.com"),
        ("ALT1.ASPMX.L.GOOGLE.COM.", "google.com"),
        ("shop-example.mail.protection.outlook.com", "outlook.com"),
        ("mx1.mail.example.co.uk", "example.co.uk"),
        ("example.co.uk", "example.co.uk"),
        ("mx.partner.example", "partner.example"),
        ("192.0.2.7", OTHER),
        ("2001:db8::1", OTHER),
        ("localhost", OTHER),
        ("", ""),
        (" ", ""),
    ],
)
def test_a_server_belongs_to_the_organisation_of_its_domain(host: str, provider: str) -> None:
    assert name_provider(host) == provider
