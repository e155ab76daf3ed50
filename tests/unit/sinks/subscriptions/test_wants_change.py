"""Which changes of status a subscription is about."""

from typing import Any

import pytest

from contracts.subscription_settings import Subscription
from contracts.subscriptions import CallOutcome
from sinks.subscriptions.call_subscriber import judge, one_line
from sinks.subscriptions.wants_change import wants_change
from tests.fakes.status_change import status_change

SECRET = "whsec_" + "MDAw" * 8


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, True),
        ({"events": ["delivered"]}, True),
        ({"events": ["delivery_failed", "bounced"][:1]}, False),
        ({"directions": ["inbound"]}, False),
        ({"directions": ["outbound"], "events": ["delivered"]}, True),
        ({"domains": ["Ours.test"]}, True),
        ({"domains": ["partner.test"]}, False),
    ],
)
def test_every_filter_has_to_fit_and_an_empty_one_fits_all(filters: dict[str, Any], wanted: bool) -> None:
    subscription = Subscription.model_validate({"url": "https://a.test", "secret": SECRET, **filters})
    assert wants_change(subscription, status_change()) is wanted


def test_our_domain_of_inbound_mail_is_that_of_the_recipient() -> None:
    inbound = status_change(direction="inbound", recipient="desk@ours.test", from_="anna@partner.test")
    for domain, wanted in (("ours.test", True), ("partner.test", False)):
        subscription = Subscription.model_validate({"url": "https://a.test", "secret": SECRET, "domains": [domain]})
        assert wants_change(subscription, inbound) is wanted


def test_what_an_answer_means() -> None:
    meant = {code: judge(code) for code in (0, 200, 204, 302, 400, 401, 404, 408, 410, 425, 429, 500, 503)}
    assert [code for code, one in meant.items() if one is CallOutcome.TAKEN] == [200, 204]
    assert [code for code, one in meant.items() if one is CallOutcome.REFUSED] == [302, 400, 401, 404]
    assert [code for code, one in meant.items() if one is CallOutcome.AWAY] == [0, 408, 425, 429, 500, 503]
    assert meant[410] is CallOutcome.GONE


def test_what_is_kept_of_an_answer_is_one_line_without_addresses() -> None:
    assert one_line("no\r\n\u2028 such <bob@corp.example>\x00" + "x" * 999)[:27] == "no such <[address]> " + "x" * 7
    assert len(one_line("y" * 9999)) == 300
