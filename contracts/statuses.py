"""The words of the log: directions, statuses, reasons and bounce classes, and which status outranks which.

A status is a fold by precedence, never by arrival order: terminal over deferred over the first word, a late bounce
over everything. `rank` is that precedence.
"""

from enum import StrEnum


class Direction(StrEnum):
    INBOUND = "inbound"  # addressed to one of our domains
    OUTBOUND = "outbound"  # sent by one of our applications


class Status(StrEnum):
    RECEIVED = "received"  # inbound: held durably, being routed
    FORWARDED = "forwarded"  # inbound: every target of the forward accepted it
    PROCESSED = "processed"  # inbound: a handler took it; `reference` is its key
    SKIPPED = "skipped"  # inbound: it becomes no request, by the channel's rules or its handler, with the reason
    DROPPED = "dropped"  # inbound: a rule, a loop or an auto-reply; deliberately not passed on
    REJECTED = "rejected"  # inbound: refused by policy; outbound: the address is suppressed
    SENT = "sent"  # outbound: accepted and queued
    DEFERRED = "deferred"  # a delivery, forward or handler is being retried
    DELIVERED = "delivered"  # outbound: the remote server took responsibility
    DELIVERY_FAILED = "delivery_failed"  # the remote server refused for good, or time ran out
    FAILED = "failed"  # our side: configuration, handler error, or it never left
    COMPLAINED = "complained"  # outbound, an event only: the recipient called it spam (ARF)
    UNSUBSCRIBED = "unsubscribed"  # outbound, an event only: the recipient wants no more of its stream


INBOUND_STATUSES = frozenset(
    {
        Status.RECEIVED,
        Status.FORWARDED,
        Status.PROCESSED,
        Status.SKIPPED,
        Status.DROPPED,
        Status.REJECTED,
        Status.DEFERRED,
        Status.DELIVERY_FAILED,
        Status.FAILED,
    }
)
OUTBOUND_STATUSES = frozenset(
    {Status.SENT, Status.DEFERRED, Status.DELIVERED, Status.DELIVERY_FAILED, Status.REJECTED, Status.FAILED}
)
EVENTS_ONLY = frozenset({Status.COMPLAINED, Status.UNSUBSCRIBED})  # said of a mail that keeps the status it has
OPEN_STATUSES = frozenset({Status.RECEIVED, Status.SENT, Status.DEFERRED})


def is_terminal(status: Status) -> bool:
    """Whether the mail is settled for this recipient (a late bounce may still change the word)."""
    return status not in OPEN_STATUSES


RANKS = (5, 10, 20, 30, 31, 40)  # all that `rank` may say


def rank(status: Status, late: bool) -> int:
    """Precedence of a status in the fold, 5 to 40: the higher one is shown, whichever came first."""
    if status in EVENTS_ONLY:
        return 5
    if status in (Status.RECEIVED, Status.SENT):
        return 10
    if status is Status.DEFERRED:
        return 20
    if not late:
        return 30
    return 40 if status is Status.DELIVERY_FAILED else 31  # a refusal that the sender did not hear is the fuller word


class Reason(StrEnum):
    """Why a mail did not simply go through. `ADVICE` has one sentence each that tells a support person what to do."""

    # outbound (design section 4)
    INTERNAL_ERROR = "internal_error"  # Mailscope itself failed
    INVALID_ADDRESS = "invalid_address"  # no such mailbox or domain, or not an address at all
    MESSAGE_TOO_LARGE = "message_too_large"  # over a size limit, ours or the remote one
    QUOTA_EXCEEDED = "quota_exceeded"  # the sending quota is used up
    SUPPRESSED = "suppressed"  # the address is on the suppression list
    PRIVATE_ADDRESS = (
        "private_address"  # the recipient wants no mail from us: a preference, nothing to do with networks
    )
    PROVIDER_REJECTED = "provider_rejected"  # the remote server refused it
    UNSUBSCRIBED = "unsubscribed"  # the recipient has unsubscribed
    CONFIGURATION_ERROR = "configuration_error"  # something is missing or wrong in mailscope.yaml
    AUTHENTICATION_ERROR = "authentication_error"  # refused for missing or broken SPF, DKIM or DMARC
    UNROUTABLE = "unroutable"  # the domain's servers are none that we may connect to: private or loopback addresses
    EXPIRED = "expired"  # retried until the time limit
    UNKNOWN_ERROR = "unknown_error"  # none of the above
    # inbound
    UNKNOWN_RECIPIENT = "unknown_recipient"  # no route takes this address
    SPF_FAIL = "spf_fail"  # refused because SPF failed
    DKIM_FAIL = "dkim_fail"  # refused because DKIM failed
    DMARC_REJECT = "dmarc_reject"  # refused as the author domain's DMARC policy asks
    DMARC_QUARANTINE = "dmarc_quarantine"  # refused: the author domain asks for quarantine, and so does our policy
    BAD_FROM = "bad_from"  # refused: From is not exactly one readable address
    AUTH_TEMPERROR = "auth_temperror"  # refused for now: DNS does not tell what our policy needs to know
    POLICY = "policy"  # a reject rule of ours
    NO_ROUTE = "no_route"  # the recipient is known, but no route's conditions hold
    RELAY_DENIED = "relay_denied"  # not a domain of ours, or an address that asks to be passed on
    LOOP = "loop"  # it has been here before, or has too many Received headers
    RULE = "rule"  # a drop rule of ours
    REPORT = "report"  # it is a report about a mail of ours, and was read
    UNMATCHED = "unmatched"  # a report that names no mail of ours, or is forged: kept, and without effect
    AUTO_REPLY = "auto_reply"  # an automatic answer or a report: no handler gets it
    BULK = "bulk"  # from a mailing list, or mass mail: no handler gets it
    SENDER_BLOCKED = "sender_blocked"  # its sender is blocked on the channel
    EMPTY = "empty"  # neither subject nor text nor attachment
    DUPLICATE = "duplicate"  # the channel has got the same mail before
    HANDLER_DECLINED = "handler_declined"  # the handler skipped it
    HANDLER_ERROR = "handler_error"  # the handler could not use it
    DESTINATION_UNAVAILABLE = "destination_unavailable"  # being retried: the other side does not take it now


ADVICE: dict[Reason, str] = {
    Reason.INTERNAL_ERROR: "Mailscope could not process this mail: tell the platform team; the message is kept.",
    Reason.INVALID_ADDRESS: "The address does not exist: check its spelling with the recipient before sending again.",
    Reason.MESSAGE_TOO_LARGE: "The message is too large: send fewer or smaller attachments, or a link instead.",
    Reason.QUOTA_EXCEEDED: "The sending quota is used up: wait until it renews, or ask for a larger one.",
    Reason.SUPPRESSED: "The address bounced or complained before: remove it from the suppression list if it works again.",
    Reason.PRIVATE_ADDRESS: "The recipient has set the address to private: do not send to it until they change that.",
    Reason.PROVIDER_REJECTED: "The recipient's server refused the mail: read its answer, and ask its administrator.",
    Reason.UNSUBSCRIBED: "The recipient has unsubscribed: do not send this kind of mail to them.",
    Reason.CONFIGURATION_ERROR: "Sending is not set up for this: the platform team must correct mailscope.yaml.",
    Reason.AUTHENTICATION_ERROR: "The recipient's server did not trust our domain: check SPF, DKIM and DMARC of it.",
    Reason.UNROUTABLE: "The recipient's domain points to a private network: its owner must correct the MX record.",
    Reason.EXPIRED: "The recipient's server did not take the mail in time: check the address, then send it again.",
    Reason.UNKNOWN_ERROR: "The cause is not known: read the server's answer, and ask the platform team.",
    Reason.UNKNOWN_RECIPIENT: "No route takes this address: check its spelling, or add a route to mailscope.yaml.",
    Reason.SPF_FAIL: "The sending host is not in the sender domain's SPF record: its owner must add it.",
    Reason.DKIM_FAIL: "The signature did not verify: the sender must check its DKIM signing.",
    Reason.DMARC_REJECT: "The author could not be verified and its domain asks to refuse such mail (DMARC p=reject).",
    Reason.DMARC_QUARANTINE: "The author could not be verified and its domain asks to quarantine such mail.",
    Reason.BAD_FROM: "Its From is not one readable address, so that programs may show different authors: the sender must mend it.",
    Reason.AUTH_TEMPERROR: "The sender's DNS did not answer and it was told to try again: look for a later mail.",
    Reason.POLICY: "A rule in mailscope.yaml refuses this mail.",
    Reason.NO_ROUTE: "No route in mailscope.yaml takes this mail: add one, or loosen a condition.",
    Reason.RELAY_DENIED: "The address is not in a domain that we receive mail for: check its spelling, or inbound.domains.",
    Reason.LOOP: "The mail went round in a circle: look for two forwards that point at each other.",
    Reason.RULE: "A rule in mailscope.yaml drops this mail on purpose.",
    Reason.REPORT: "A report about a mail of ours: see what it changed on the page of that mail.",
    Reason.UNMATCHED: "A report that names no mail of ours: nothing follows from it, and the message is kept.",
    Reason.AUTO_REPLY: "An automatic answer becomes no request: nothing has to be done.",
    Reason.BULK: "Mail of a list becomes no request: take `bulk` out of the channel's `skip` if it shall.",
    Reason.SENDER_BLOCKED: "The sender is blocked on this channel: take it out of `blocked_senders` if it shall be heard.",
    Reason.EMPTY: "There is nothing in this mail: ask its sender what it was about.",
    Reason.DUPLICATE: "The channel has got this mail before: look for the other row with its Message-ID.",
    Reason.HANDLER_DECLINED: "The application chose not to act on this mail; its reason is shown.",
    Reason.HANDLER_ERROR: "The application could not use this mail; its reason is shown.",
    Reason.DESTINATION_UNAVAILABLE: "The other side does not take it now; it is being tried again.",
}


class BounceType(StrEnum):
    HARD = "hard"  # permanent, about the recipient: do not send there again
    SOFT = "soft"  # may work later
    BLOCK = "block"  # permanent, about us or the content: the address may be fine
    ADMIN = "admin"  # cancelled or refused by policy of ours
    UNDETERMINED = "undetermined"  # the answer does not say


class BounceClass(StrEnum):
    INVALID_RECIPIENT = "invalid_recipient"  # no such mailbox
    INACTIVE_MAILBOX = "inactive_mailbox"  # exists, but disabled
    INVALID_DOMAIN = "invalid_domain"  # no such domain, or it takes no mail
    MAILBOX_FULL = "mailbox_full"  # over its quota
    MESSAGE_TOO_LARGE = "message_too_large"  # over a size limit
    DNS_FAILURE = "dns_failure"  # the look-up of the domain failed
    CONNECTION_FAILED = "connection_failed"  # refused, reset or timed out
    TLS_FAILURE = "tls_failure"  # no secure connection
    RATE_LIMITED = "rate_limited"  # too much at once
    GREYLISTED = "greylisted"  # try again in some minutes
    REPUTATION_BLOCKED = "reputation_blocked"  # our address or domain is listed
    SPAM_CONTENT = "spam_content"  # looks like spam
    CONTENT_REJECTED = "content_rejected"  # refused for its content
    ATTACHMENT_REJECTED = "attachment_rejected"  # refused for an attachment
    VIRUS = "virus"  # refused for malware
    AUTH_FAILED = "auth_failed"  # SPF, DKIM or DMARC missing or failed
    POLICY_REJECTED = "policy_rejected"  # refused by a local policy
    RELAY_DENIED = "relay_denied"  # that server does not serve this domain
    EXPIRED = "expired"  # retried until the time limit
    PROTOCOL_ERROR = "protocol_error"  # the dialogue went wrong, or the server failed in itself
    ROUTING_ERROR = "routing_error"  # a loop or a wrong route
    SENDER_REJECTED = "sender_rejected"  # the envelope sender was refused
    SUPPRESSED = "suppressed"  # on the suppression list
    ADMIN_CANCELLED = "admin_cancelled"  # cancelled by a person
    AUTO_REPLY = "auto_reply"  # not a bounce: an automatic reply
    CHALLENGE = "challenge"  # not a bounce: a challenge to confirm
    UNKNOWN = "unknown"  # no rule knows this answer
