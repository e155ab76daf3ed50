"""The page of a mail names the bounce address that went out last."""

from pathlib import Path
from typing import Any

from console.serve_pages import add_wire_senders
from contracts import clock
from contracts.ids import new_mail_id
from contracts.settings import Settings
from mail.bounce_address import BounceAddresses
from runtime.load_secret import load_secret


def test_late_news_of_a_round_do_not_take_its_bounce_address_for_the_last_one(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    mail: dict[str, Any] = {
        "mail_id": new_mail_id(),
        "direction": "outbound",
        "recipients": [{"recipient": "a@x.test", "envelope_from": "app@ours.test", "source": None}],
        "events": [
            {"recipient": "a@x.test", "attempt": attempt, "round": round_}
            for attempt, round_ in ((1, 0), (0, 1), (2, 1), (1, 0))  # the last one: a late bounce of the first delivery
        ],
    }
    add_wire_senders(mail, settings)
    (item,) = mail["recipients"]
    about = BounceAddresses(load_secret(settings)).read_verp(item["wire_sender"], clock.now())
    assert about is not None and about.round == 1
