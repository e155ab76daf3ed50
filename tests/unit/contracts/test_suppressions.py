"""What the changes of an address amount to, in whatever order they are read."""

import itertools
from datetime import UTC, datetime, timedelta

import msgspec

from contracts.changes import KEPT, moment_after
from contracts.preferences import PreferenceChange, merge_preferences, preference_of
from contracts.suppressions import (
    SuppressionChange,
    SuppressionReason,
    merge_suppressions,
    suppression_of,
)

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def change(hours: float, action: str = "added", **fields: object) -> SuppressionChange:
    given = {"by": "outcomes", "mail_id": f"m{hours}", "reason": SuppressionReason.INVALID_RECIPIENT, **fields}
    return SuppressionChange(action=action, at=NOW + hours * HOUR, **given)  # type: ignore[arg-type]


def test_an_address_is_suppressed_until_somebody_takes_it_off() -> None:
    entry = suppression_of("A@X.test", [change(0)])
    assert (entry.address, entry.holds(NOW), entry.mail_id) == ("a@x.test", True, "m0")
    removed = suppression_of("a@x.test", entry.changes, [change(1, "removed", by="anna")])
    assert not removed.holds(NOW + 2 * HOUR) and [one.action for one in removed.changes] == ["added", "removed"]


def test_the_same_changes_amount_to_the_same_in_any_order_and_however_often() -> None:
    changes = [change(0), change(1, "removed"), change(2, "seen"), change(3, "seen")]
    wanted = suppression_of("a@x.test", changes)
    assert wanted.active
    for order in itertools.permutations(changes):
        entry = suppression_of("a@x.test", [order[0]])
        for one in order[1:] + order[:2]:
            entry = merge_suppressions(entry, suppression_of("a@x.test", [one]))
        assert entry == wanted


def test_a_replay_of_the_bounce_does_not_undo_an_unblock() -> None:
    entry = suppression_of("a@x.test", [change(0), change(1, "removed")])
    assert merge_suppressions(entry, suppression_of("a@x.test", [change(0)])) == entry


def test_an_inactive_mailbox_is_suppressed_by_the_second_mail_within_a_month() -> None:
    seen = change(0, "seen", reason=SuppressionReason.INACTIVE_MAILBOX)
    again = change(0.5, "seen", reason=SuppressionReason.INACTIVE_MAILBOX, mail_id="m0")  # the same mail, tried again
    later = change(24 * 31, "seen", reason=SuppressionReason.INACTIVE_MAILBOX)
    soon = change(24 * 32, "seen", reason=SuppressionReason.INACTIVE_MAILBOX)
    for changes, holds in (
        ([seen], False),
        ([seen, again], False),
        ([seen, later], False),
        ([seen, later, soon], True),
    ):
        assert suppression_of("a@x.test", changes).active is holds, changes


def test_a_full_mailbox_is_left_alone_for_a_while_only() -> None:
    entry = suppression_of("a@x.test", [change(0, expires_at=NOW + HOUR)])
    assert entry.holds(NOW + HOUR / 2) and not entry.holds(NOW + HOUR)


def test_the_history_of_an_address_is_bounded() -> None:
    entry = suppression_of("a@x.test", [change(hour) for hour in range(3 * KEPT)])
    assert len(entry.changes) == KEPT and entry.changes[-1] == change(3 * KEPT - 1)


def test_wishes_add_up_and_what_a_person_sets_is_exactly_that() -> None:
    def wish(hours: float, action: str, streams: list[str], private: bool = False) -> PreferenceChange:
        return PreferenceChange(action=action, at=NOW + hours * HOUR, by="x", streams=streams, private=private)

    one = preference_of("A@x.test", [wish(0, "unsubscribed", ["news"])])
    both = merge_preferences(one, preference_of("a@x.test", [wish(1, "unsubscribed", ["offers"])]))
    assert (both.unsubscribed, both.declines("news"), both.declines(""), both.declines("bills")) == (
        ["news", "offers"], True, False, False,
    )  # fmt: skip
    everything = merge_preferences(both, preference_of("a@x.test", [wish(2, "set", ["*"], True)]))
    assert everything.private and everything.declines("bills") and everything.declines("")
    assert not merge_preferences(everything, preference_of("a@x.test", [wish(3, "deleted", [])])).private


def test_a_bounce_shortens_nothing_that_holds_longer() -> None:
    """Who complained does not get mail again because a mail of before found the mailbox full."""
    full = change(
        2, reason=SuppressionReason.MAILBOX_FULL, expires_at=NOW + 74 * HOUR, recipient="a@x.test", mail_id="full"
    )
    complaint = change(1, reason=SuppressionReason.COMPLAINT, recipient="a@x.test")
    entry = suppression_of("a@x.test", [complaint, full])
    assert entry.holds(NOW + 1000 * HOUR) and entry.reason == "complaint" and len(entry.changes) == 2
    again = suppression_of(
        "a@x.test",
        entry.changes,
        [change(3, "removed"), msgspec.structs.replace(full, at=NOW + 4 * HOUR, mail_id="later")],
    )
    assert again.holds(NOW + 5 * HOUR) and not again.holds(NOW + 80 * HOUR)
    by_hand = suppression_of("a@x.test", entry.changes, [change(3, expires_at=NOW + 9 * HOUR, by="anna")])
    assert not by_hand.holds(NOW + 10 * HOUR)


def test_an_inactive_mailbox_is_suppressed_though_it_was_full_before() -> None:
    full = change(0, reason=SuppressionReason.MAILBOX_FULL, expires_at=NOW + 72 * HOUR, recipient="a@x.test")
    seen = [change(100 + n, "seen", reason=SuppressionReason.INACTIVE_MAILBOX) for n in range(2)]
    entry = suppression_of("a@x.test", [full, *seen])
    assert entry.holds(NOW + 1000 * HOUR) and entry.reason == "inactive_mailbox"


def test_an_unblock_holds_also_against_a_bounce_of_a_clock_that_is_ahead() -> None:
    entry = suppression_of("a@x.test", [change(0.1)])
    removed = change(0, "removed", by="anna")
    at = moment_after(entry.changes, removed.at)
    assert not suppression_of("a@x.test", entry.changes, [msgspec.structs.replace(removed, at=at)]).active
    assert moment_after(entry.changes, NOW + HOUR) == NOW + HOUR


def test_a_mail_that_bounces_again_and_again_pushes_nothing_out_and_undoes_no_unblock() -> None:
    """Who has a bounce address can send any number of bounces to it."""
    entry = suppression_of("a@x.test", [change(0, recipient="a@x.test", mail_id="m"), change(1, "removed", by="anna")])
    for number in range(2 * KEPT):
        again = change(2 + number, recipient="a@x.test", mail_id="m")
        entry = merge_suppressions(entry, suppression_of("a@x.test", [again]))
    assert not entry.active and [one.by for one in entry.changes] == ["outcomes", "anna"]
    other = suppression_of("a@x.test", entry.changes, [change(2, recipient="a@x.test", mail_id="another")])
    assert other.active
