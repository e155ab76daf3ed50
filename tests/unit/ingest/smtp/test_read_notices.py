"""The options of RFC 3461: what is asked, decoded; and what is wrong stays for the server to refuse."""

import pytest

from contracts.notices import Notices
from ingest.smtp.read_notices import OF_MAIL, OF_RECIPIENT, notices_of, take_options


def test_what_is_asked_is_taken_out_and_decoded() -> None:
    rest, of_mail = take_options("SIZE=100 ENVID=Job+2B7+3Dx BODY=8BITMIME ret=HDRS", OF_MAIL)
    assert rest == "SIZE=100 BODY=8BITMIME"
    rest, of_recipient = take_options("NOTIFY=success,DELAY ORCPT=rfc822;Anna+2Bx@Example.net", OF_RECIPIENT)
    assert rest == ""
    assert notices_of(of_mail, of_recipient) == Notices(
        delay=True, success=True, envelope_id="Job+7=x", original_recipient="rfc822;Anna+x@Example.net"
    )


@pytest.mark.parametrize("options", [{}, {"NOTIFY": "NEVER"}, {"ORCPT": "rfc822;a@b.test"}])
def test_without_being_asked_nobody_is_told(options: dict[str, str]) -> None:
    assert notices_of({"ENVID": "x"}, options) is None


@pytest.mark.parametrize(
    "parameter",
    [
        "NOTIFY=", "NOTIFY", "NOTIFY=NEVER,FAILURE", "NOTIFY=ALWAYS", "NOTIFY=FAILURE,FAILURE",
        "ORCPT=a@b.test", "ORCPT=;a@b.test", "ORCPT=rfc822;", "ORCPT=rfc822;a+0D+0ABcc:x", "ORCPT=rfc822;a+4", "ORCPT=rfc822;ä",
        "ORCPT=rfc822;" + "x" * 500, "ENVID=x", "FUTURE=1",
    ],
)  # fmt: skip
def test_what_is_wrong_is_left_to_be_refused(parameter: str) -> None:
    assert take_options(parameter, OF_RECIPIENT) == (parameter, {})


def test_an_option_that_stands_twice_is_wrong() -> None:
    assert take_options("NOTIFY=NEVER NOTIFY=FAILURE", OF_RECIPIENT) == ("NOTIFY=FAILURE", {"NOTIFY": "NEVER"})


@pytest.mark.parametrize("parameter", ["RET=SOME", "ENVID=" + "x" * 101, "ENVID=a+00b", "ENVID=a+0Ab", "ENVID=a=b"])
def test_of_a_mail_what_is_wrong_is_left_to_be_refused(parameter: str) -> None:
    assert take_options(parameter, OF_MAIL) == (parameter, {})
