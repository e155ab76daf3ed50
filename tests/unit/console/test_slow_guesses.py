from console import slow_guesses
from console.slow_guesses import FORGOTTEN, FREE, LONGEST, MAX_PEERS, Guesses


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_some_failures_each_try_has_to_wait_longer() -> None:
    clock = Clock()
    guesses = Guesses(clock)
    waited = []
    for _ in range(FREE + 10):
        waited.append(guesses.wait("192.0.2.1"))
        clock.now += waited[-1]
        guesses.failed("192.0.2.1")
    assert waited[:FREE] == [0.0] * FREE and waited[FREE : FREE + 4] == [1.0, 2.0, 4.0, 8.0] and waited[-1] == LONGEST
    assert guesses.wait("192.0.2.2") == 0.0
    clock.now += FORGOTTEN
    assert guesses.wait("192.0.2.1") == 0.0


def test_a_peer_with_a_whole_network_is_one_peer() -> None:
    guesses = Guesses(Clock())
    for number in range(FREE):
        guesses.failed(f"2001:db8::{number:x}")
    guesses.failed("::ffff:192.0.2.1")
    assert guesses.wait("2001:db8::ffff") > 0 and guesses.wait("2001:db8:0:1::1") == 0
    assert len(guesses) == 2 and guesses.wait("testclient") == 0


def test_what_is_remembered_is_bounded(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    assert MAX_PEERS <= 10_000
    monkeypatch.setattr(slow_guesses, "MAX_PEERS", 100)
    guesses = Guesses(Clock())
    for number in range(1000):
        guesses.failed(f"192.0.{number // 250}.{number % 250}")
    assert len(guesses) == 100
