"""A mail belongs to the channel whose address it was sent to."""

from contracts.settings import Settings
from processors.find_channel import find_channel


def test_a_channel_is_found_by_its_address() -> None:
    settings = Settings.model_validate(
        {
            "channels": {
                "help": {"address": "desk@x.test"},
                "all": {"address": "*@x.test"},
                "box": {"imap": "imaps://u@h", "password_file": "p"},
            }
        }
    )
    assert (
        find_channel("DESK@x.test", settings.channels) == "help"
        and find_channel("a@x.test", settings.channels) == "all"
    )
    assert find_channel("a@y.test", settings.channels) == ""
