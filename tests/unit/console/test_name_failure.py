"""The phrases of the notifications page."""

import pytest

from console import name_failure as phrases
from console.name_failure import name_failure
from contracts.statuses import Reason, Status


@pytest.mark.parametrize(
    ("status", "reason", "phrase"),
    [
        (Status.FAILED, Reason.INTERNAL_ERROR, "Internal error"),
        (Status.DELIVERY_FAILED, Reason.INVALID_ADDRESS, "Email validation error"),
        (Status.FAILED, Reason.MESSAGE_TOO_LARGE, "Notification template too large"),
        (Status.FAILED, Reason.QUOTA_EXCEEDED, "Email notifications limit reached"),
        (Status.REJECTED, Reason.SUPPRESSED, "Suppression list"),
        (Status.FAILED, Reason.PRIVATE_ADDRESS, "Private email address"),
        (Status.DELIVERY_FAILED, Reason.PROVIDER_REJECTED, "Email service provider error"),
        (Status.DELIVERY_FAILED, Reason.UNKNOWN_ERROR, "Unknown error"),
        (Status.FAILED, Reason.UNSUBSCRIBED, "Unsubscribed"),
        (Status.DELIVERY_FAILED, Reason.AUTHENTICATION_ERROR, "Email service provider error"),
        (Status.FAILED, Reason.AUTHENTICATION_ERROR, "Internal error"),
        (Status.DELIVERY_FAILED, None, "Unknown error"),
        (Status.DELIVERED, None, ""),
        (Status.DEFERRED, Reason.DESTINATION_UNAVAILABLE, ""),
    ],
)
def test_a_failure_has_the_phrase_that_people_know(status: Status, reason: Reason | None, phrase: str) -> None:
    assert name_failure({"status": status.value, "reason": reason.value if reason else None}) == phrase


def test_there_are_nine() -> None:
    nine = {value for name, value in vars(phrases).items() if name.isupper() and isinstance(value, str)}
    assert len(nine) == 9
    assert {name_failure({"status": "failed", "reason": one.value}) for one in Reason} <= nine
