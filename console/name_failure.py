"""Why a notification failed, in the nine phrases that people know from hosted logs. Pure."""

from typing import Any

from contracts.statuses import Reason, Status

INTERNAL = "Internal error"
VALIDATION = "Email validation error"
TOO_LARGE = "Notification template too large"
LIMIT = "Email notifications limit reached"
SUPPRESSION = "Suppression list"
PRIVATE = "Private email address"
PROVIDER = "Email service provider error"
UNKNOWN = "Unknown error"
UNSUBSCRIBED = "Unsubscribed"

FAILED = (Status.DELIVERY_FAILED, Status.FAILED, Status.REJECTED)
_PHRASES = {
    Reason.INTERNAL_ERROR: INTERNAL,
    Reason.CONFIGURATION_ERROR: INTERNAL,
    Reason.INVALID_ADDRESS: VALIDATION,
    Reason.UNROUTABLE: VALIDATION,
    Reason.MESSAGE_TOO_LARGE: TOO_LARGE,
    Reason.QUOTA_EXCEEDED: LIMIT,
    Reason.SUPPRESSED: SUPPRESSION,
    Reason.PRIVATE_ADDRESS: PRIVATE,
    Reason.PROVIDER_REJECTED: PROVIDER,
    Reason.EXPIRED: PROVIDER,
    Reason.DESTINATION_UNAVAILABLE: PROVIDER,
    Reason.UNSUBSCRIBED: UNSUBSCRIBED,
}


def name_failure(item: dict[str, Any]) -> str:
    """The phrase for an item of the API; "" where it has not failed."""
    if item["status"] not in FAILED:
        return ""
    if item["reason"] == Reason.AUTHENTICATION_ERROR:  # a server that does not trust us, or we do not send at all
        return PROVIDER if item["status"] == Status.DELIVERY_FAILED else INTERNAL
    return _PHRASES.get(item["reason"], UNKNOWN)
