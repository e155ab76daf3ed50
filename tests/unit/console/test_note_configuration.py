"""A change of the configuration is one mark with the keys that differ, and nothing of their values stands in the audit log."""

from datetime import timedelta

from console.arrange_trends import place_marks
from console.note_configuration import Mark, describe_settings, find_marks
from contracts import clock
from contracts.settings import Settings

SECRET = b"secret"


def settings(**changes: object) -> Settings:
    return Settings.model_validate({"data_dir": "/somewhere", **changes})


def test_a_change_names_its_keys_once_however_many_replicas_tell_it() -> None:
    now = clock.now()
    plain = describe_settings(settings(), SECRET)
    changed = describe_settings(settings(delivery={"port": 2526}, authserv_id="mx.other.example"), SECRET)
    back = describe_settings(settings(data_dir="/elsewhere"), SECRET)
    assert plain == back and "2526" not in changed and "other.example" not in changed
    told = [plain, plain, changed, changed, changed, back]
    marks = find_marks([(now + timedelta(hours=place), state) for place, state in enumerate(told)])
    assert marks == [
        Mark(now + timedelta(hours=2), ("authserv_id", "delivery")),
        Mark(now + timedelta(hours=5), ("authserv_id", "delivery")),
    ]


def test_a_mark_stands_at_its_time_and_in_its_row() -> None:
    times = [3600 * 480_000 + 3600 * place for place in range(4)]
    marks = [Mark(clock.from_ms((times[1] + 1800) * 1000), ("delivery",)), Mark(clock.from_ms(0), ("old",))]
    (placed,) = place_marks(marks, times, 3600)
    assert (placed.x, placed.bucket, placed.keys) == (375.0, times[1], "delivery")
