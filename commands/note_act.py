"""What is done here with Kafka itself stands in the audit log as well: who, on which machine's account, as the console writes it."""

import getpass
import os

from contracts import topics
from contracts.audit import AuditAction, new_act
from contracts.codec import HEADERS, encode_audit_entry
from contracts.records import Record

SOURCE = "mailscope/commands"


def act_record(action: AuditAction, *, recipient: str = "", detail: str = "") -> Record:
    """The record of an act; publish it before the act is done."""
    actor = f"command line ({_user()})"
    entry = new_act(action, actor, recipient=recipient, detail=detail)
    return Record(topics.AUDIT, actor, encode_audit_entry(entry, SOURCE), HEADERS)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"uid {os.getuid()}"
