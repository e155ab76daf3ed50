"""Every rule decides its examples itself, in the whole set, and none of its counter-examples."""

import time

import pytest

from contracts.events import Bounce
from mail.bounces.classify import RULES, classify_reply
from mail.bounces.load_rules import Example, Rule
from mail.bounces.normalise import MAX_SAID
from mail.bounces.reply import Reply
from mail.reports.read_reply import read_reply

EXAMPLES = [(rule.id, example) for rule in RULES.rules for example in rule.examples]
COUNTEREXAMPLES = [(rule.id, example) for rule in RULES.rules for example in rule.counterexamples]


def decide(example: Example) -> Bounce:
    return classify_reply(read_reply(example.said, command=example.command, host=example.host))


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=[f"{rule}-{one.said[:40]}" for rule, one in EXAMPLES])
def test_a_rule_decides_its_example(rule: str, example: Example) -> None:
    assert decide(example).rule == rule


@pytest.mark.parametrize(
    ("rule", "example"), COUNTEREXAMPLES, ids=[f"{rule}-{one.said[:40]}" for rule, one in COUNTEREXAMPLES]
)
def test_a_rule_leaves_its_counterexample_to_others(rule: str, example: Example) -> None:
    assert decide(example).rule not in (rule, "none")


HOSTILE = [
    unit * (100_000 // len(unit))
    for unit in (
        "a", " ", "@", "-", "<", "5", "5.1.1 ", "550 5.1.1 ", "550-", "a@", "a b ", "user ", "message ", "exceeded ", "the "
        "", "no ", "blocked ip ",
        "http://a/", "host a[1] ", "not ", "mailbox is ", "sender ", "recipient address ", "too many "
        "", "\n", "\x00", "ſ", "İ", "@ ", "(", "\\",
    )
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[repr(text[:12]) for text in HOSTILE])
def test_no_text_takes_long(text: str) -> None:
    begun = time.process_time()
    classify_reply(Reply(f"{text}x", command="RCPT"))
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize("rule", RULES.rules, ids=[rule.id for rule in RULES.rules])
def test_no_pattern_takes_more_than_linear_time(rule: Rule) -> None:
    """Twice the text may take twice the time, with room for a noisy machine; a quadratic pattern takes four times as long."""
    for pattern in (rule.text, rule.unless, rule.host):
        for text in HOSTILE if pattern else []:
            assert pattern is not None
            times = []
            for length in (2_000, MAX_SAID):
                begun = time.process_time()
                pattern.search(text[:length])
                times.append(time.process_time() - begun)
            assert times[1] < max(0.02, 3.2 * times[0]), (pattern.pattern[:80], text[:12])
