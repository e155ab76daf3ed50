import pytest

from ingest.send.limit_tokens import RateExceeded, TokenRates


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_token_has_a_minute_of_its_own() -> None:
    clock = Clock()
    rates = TokenRates(60, 0, clock)
    for _ in range(60):
        rates.take("a", requests=1, recipients=1000)
    with pytest.raises(RateExceeded) as caught:
        rates.take("a", requests=1)
    assert caught.value.seconds == 1 and "60 requests a minute" in str(caught.value)
    rates.take("b", requests=1)
    clock.now = 2.0
    rates.take("a", requests=1)
    rates.take("a", requests=1)
    with pytest.raises(RateExceeded):
        rates.take("a", requests=1)


def test_recipients_are_counted_as_well_and_what_is_refused_is_not() -> None:
    clock = Clock()
    rates = TokenRates(2, 100, clock)
    rates.take("a", requests=1, recipients=90)
    for _ in range(5):
        with pytest.raises(RateExceeded) as caught:
            rates.take("a", requests=1, recipients=50)
        assert caught.value.seconds == 24
    rates.take("a", requests=1, recipients=10)


def test_more_than_a_whole_bucket_is_not_shut_out_for_ever() -> None:
    clock = Clock()
    rates = TokenRates(0, 60, clock)
    rates.take("a", recipients=120)
    with pytest.raises(RateExceeded) as caught:
        rates.take("a", recipients=60)
    assert caught.value.seconds == 120
    clock.now = 120.0
    rates.take("a", recipients=60)
