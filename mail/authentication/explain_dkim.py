"""Cause and cure of a DKIM signature that did not pass (RFC 6376, RFC 8301)."""

from contracts.auth_results import AuthReason, DkimResult


def explain_dkim(one: DkimResult) -> tuple[str, str]:
    """Two sentences, empty for a signature that passed."""
    domain = one.domain or "the signer"
    key = f"{one.selector}._domainkey.{one.domain}"
    detail = one.detail.rstrip(".")
    correct = f"Let {domain} correct its signing software."
    match one.reason:
        case AuthReason.BODY_CHANGED:
            return (
                f"The body was changed after {domain} signed it.",
                "Look for a mailing list, a virus scanner or a forwarder that adds text; sign after it.",
            )
        case AuthReason.SIGNATURE_INVALID:
            return (
                f"The signature of {domain} does not match: a signed header field was changed, or another key signed.",
                f"Compare the key at {key} with the one that signs, and look for hosts that rewrite header fields.",
            )
        case AuthReason.KEY_NOT_FOUND:
            return f"There is no DKIM key at {key}.", f"Publish the public key as a TXT record at {key}."
        case AuthReason.KEY_REVOKED:
            return f"The key at {key} is revoked (p= is empty).", "Sign with a selector whose key is published."
        case AuthReason.KEY_SYNTAX:
            return f"The key record at {key} cannot be read: {detail}.", "Publish it again, in one piece and unchanged."
        case AuthReason.KEY_MISMATCH:
            return (
                f"The key at {key} does not allow this signature: {detail}.",
                "Publish a key of the type that signs, without an h= or s= that excludes it.",
            )
        case AuthReason.KEY_TOO_SHORT:
            return f"The RSA key at {key} is too short ({detail}).", "Make a key of 2048 bits and a new selector."
        case AuthReason.KEY_TOO_LONG:
            return f"The key at {key} is larger than any receiver computes with ({detail}).", "Use 2048 bits."
        case AuthReason.WEAK_ALGORITHM:
            return f"{domain} signs with rsa-sha1, which is broken.", "Sign with rsa-sha256."
        case AuthReason.UNSUPPORTED_ALGORITHM:
            return f"The signature of {domain} cannot be processed: {detail}.", "Sign with rsa-sha256, relaxed/relaxed."
        case AuthReason.FROM_NOT_SIGNED:
            return f"The signature of {domain} does not cover From, so anyone could have written it.", correct
        case AuthReason.IDENTITY_MISMATCH:
            return f"The signature of {domain} contradicts itself: {detail}.", correct
        case AuthReason.SIGNATURE_SYNTAX | AuthReason.SIGNATURE_VERSION:
            return f"The DKIM-Signature of {domain} is malformed: {detail}.", correct
        case AuthReason.SIGNATURE_EXPIRED:
            return f"The signature of {domain} has expired ({detail}).", "Deliver sooner, or sign with a later x=."
        case AuthReason.SIGNATURE_FUTURE:
            return f"The signature of {domain} is dated in the future ({detail}).", "Set the signing host's clock."
        case AuthReason.BODY_LENGTH_PARTIAL:
            return f"{detail[:1].upper()}{detail[1:]}: l= lets anyone append text.", f"Let {domain} sign without l=."
        case AuthReason.BODY_LENGTH_TOO_LONG:
            return f"The body was cut after {domain} signed it ({detail}).", f"Let {domain} sign without l=."
        case AuthReason.DNS_TEMPERROR:
            return (
                f"DNS did not answer for the key at {key}.",
                f"If it happens again, check the name servers of {domain}.",
            )
        case AuthReason.DNS_BUDGET:
            return "The message caused too many DNS look-ups to fetch this key.", "Send fewer signatures."
        case AuthReason.INTERNAL_ERROR:
            return "The check failed on this message.", "Report the message: the log holds the error."
        case AuthReason.TRUSTED_HOP:
            return "The server that took this mail says so; it was found in a mailbox and not checked here.", ""
        case _:
            return "", ""
