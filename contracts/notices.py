"""The reports about its delivery that the sender of a mail has asked for, with the options of RFC 3461."""

from msgspec import Struct


class Notices(Struct, frozen=True, kw_only=True):
    """What is wanted for one recipient (RFC 3461 section 4.1), and what every report about it names."""

    failure: bool = False  # when it has failed for good
    delay: bool = False  # when it is late (`delivery.delay_notice`), once
    success: bool = False  # when a server has taken it
    envelope_id: str = ""  # ENVID (section 4.4), decoded
    original_recipient: str = ""  # ORCPT (section 4.2), decoded: its type, a semicolon, and the address
