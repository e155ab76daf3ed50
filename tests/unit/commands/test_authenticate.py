"""The commands exit 2 only where they cannot run."""

import pytest
from click.testing import CliRunner

from commands.authenticate import authenticate_command


@pytest.mark.parametrize(
    "arguments",
    [
        ["/nonexistent/mail.eml"],
        ["-", "--now", "yesterday"],
        ["-", "--nameserver", "127.0.0.1:port"],
        ["-", "--nameserver", "127.0.0.1:0"],
        ["-", "--unknown"],
        [],
    ],
)
def test_what_cannot_run_exits_two(arguments: list[str]) -> None:
    assert CliRunner().invoke(authenticate_command, arguments, input=b"").exit_code == 2
