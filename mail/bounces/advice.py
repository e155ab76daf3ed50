"""What to do about a bounce, in one sentence for each class: whose turn it is, and what they can do."""

from contracts.statuses import BounceClass as C

ADVICE: dict[C, str] = {
    C.INVALID_RECIPIENT: "Do not send there again: check the address with the recipient.",
    C.INACTIVE_MAILBOX: "The mailbox is disabled: ask the recipient for another address.",
    C.INVALID_DOMAIN: "The domain does not exist or takes no mail: check its spelling.",
    C.MAILBOX_FULL: "The mailbox is full: try again in some days; only the recipient can make room.",
    C.MESSAGE_TOO_LARGE: "Send a smaller message, or a link instead of attachments.",
    C.DNS_FAILURE: "The domain could not be looked up: it is tried again; if it stays so, its owner must mend its DNS.",
    C.CONNECTION_FAILED: "Their server did not answer: it is tried again; if it stays so, its owner must mend it.",
    C.TLS_FAILURE: "No secure connection: compare what both sides require, and look at their certificate.",
    C.RATE_LIMITED: "Too much at once: send slower to this destination.",
    C.GREYLISTED: "Nothing to do: it is taken when it is tried again.",
    C.REPUTATION_BLOCKED: "Our address or domain is listed: follow the link in the answer, and find what caused it.",
    C.SPAM_CONTENT: "It looks like spam to them: look at content, links and complaints before sending more of it.",
    C.CONTENT_REJECTED: "They do not take such content: look at its headers, format and words.",
    C.ATTACHMENT_REJECTED: "They do not take this attachment: send a link, or another type of file.",
    C.VIRUS: "They found malware: scan the message and where it comes from before anything else is sent.",
    C.AUTH_FAILED: "Check SPF, DKIM, DMARC and the reverse name of our domain and address (mailscope check-domain).",
    C.POLICY_REJECTED: "A rule of theirs, or the recipient's wish: read the answer, and ask their administrator.",
    C.RELAY_DENIED: "That server does not serve this domain: its MX records, or a route of ours, point to the wrong one.",
    C.EXPIRED: "It was tried until the time limit: look at the answers before, then send it again.",
    C.PROTOCOL_ERROR: "The dialogue went wrong or their server failed: try again; if it stays so, tell the platform team.",
    C.ROUTING_ERROR: "The mail goes round in a circle on their side: its administrator must mend a forward or a route.",
    C.SENDER_REJECTED: "They do not take our sender: check that its domain exists, takes mail, and may write to them.",
    C.SUPPRESSED: "The address is on the suppression list: remove it there if it works again.",
    C.ADMIN_CANCELLED: "Somebody cancelled it: ask who did.",
    C.AUTO_REPLY: "Nothing to do: it arrived, and something answered by itself.",
    C.CHALLENGE: "The recipient's server waits for a person to confirm the sender.",
    C.UNKNOWN: "No rule knows this answer: read it, and report it, so that one will.",
}
