"""Rules that cannot work are named before they are used."""

from pathlib import Path

import pytest

from contracts.statuses import BounceClass
from mail.bounces.classify import RULES
from mail.bounces.load_rules import InvalidRules, load_rules
from mail.bounces.normalise import Clues

FILE = Path(__file__).parents[4] / "mail" / "bounces" / "rules.yaml"


def rules(*lines: str) -> str:
    """A set of these rules, with an example for each that has none."""
    whole = (line if "example" in line or not line.endswith("}") else f"{line[:-1]}, example: x}}" for line in lines)
    return "version: '1'\nrules:\n" + "".join(f"  - {line}\n" for line in whole)


def test_the_first_rule_whose_conditions_all_hold_decides() -> None:
    found = load_rules(
        rules(
            "{id: both, class: virus, text: [bad, worse], code: '55\\d', command: [DATA, MAIL], enhanced: '7\\.1', host: "
            "'mx\\d', unless: good, when: permanent}",
            "{id: text, class: spam_content, text: 'bad'}",
        )
    )
    both, text = found.rules
    assert (found.version, both.bounce_class, text.id) == ("1", BounceClass.VIRUS, "text")
    reply = {
        "text": "it is WORSE",
        "enhanced": "7.1",
        "code": "550",
        "command": "DATA",
        "host": "MX1.x.test",
        "when": "permanent",
    }
    assert both.holds(Clues(**reply)) and not text.holds(Clues(**reply))
    for name, other in (
        ("text", "fine"),
        ("text", "bad and good"),
        ("when", "temporary"),
        ("enhanced", "7.10"),
        ("code", "5500"),
        ("command", "RCPT"),
        ("host", "x.test"),
    ):
        assert not both.holds(Clues(**{**reply, name: other})), name


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (rules("{id: a.b, class: virus, txt: x}"), "rule a.b: txt is no key"),
        (rules("{id: a.b, class: nothing, text: x}"), "rule a.b: class: 'nothing' is no bounce class"),
        (rules("{id: a.b, class: [virus], text: x}"), "is no bounce class"),
        (rules("{id: a.b, class: virus, command: [DATA, HELO]}"), "command: 'HELO' is none of"),
        (rules("{id: a.b, class: virus, command: []}"), "command: give at least one"),
        (rules("{id: a.b, class: virus, text: x, when: later}"), "when: 'later' is neither"),
        (rules("{id: a.b, class: virus, unless: x}"), "rule a.b: without a condition"),
        (rules("{id: a.b, class: virus, text: x, example: []}"), "rule a.b: give an example"),
        (rules("{id: a.b, class: virus, text: x, example: [550]}"), "rule a.b: example: 550 is none"),
        (rules("{id: a.b, class: virus, text: x, example: {said: x, host: 1}}"), "its values are texts"),
        (rules("{id: a.b, class: virus, text: x, example: x, counterexample: {say: x}}"), "counterexample: .* is none"),
        (rules("{id: a.b, class: virus, [txt]: x}"), "this is not YAML"),
        (rules("{id: a.b, text: x}"), "rule a.b: class: 'None' is no bounce class"),
        (rules("{id: a.b, class: virus, text: '(x'}"), r"rule a.b: text: '\(x' is no regular expression"),
        (rules("{id: a.b, class: virus, text: [x, '*']}"), r"rule a.b: text: '\*' is no regular expression"),
        (rules("{id: a.b, class: virus, code: 550}"), "rule a.b: code: 550 is no pattern: write it in quotes"),
        (rules("{id: a.b, class: virus, text: 'x|'}"), r"rule a.b: text: 'x\|' matches where nothing was said"),
        (rules("{id: a.b, class: virus, text: []}"), "rule a.b: text: give at least one pattern"),
        (rules("{id: a.b, class: virus, command: HELP}"), "rule a.b: command: 'HELP' is none of"),
        (rules("{id: a.b, class: virus}"), "rule a.b: without a condition"),
        (rules("{id: a.b, class: virus, text: x}", "{id: a.b, class: virus, text: y}"), "rule a.b: there is another one"),
        (rules("{id: a.b, class: virus, text: x, text: y}"), "line 3: text stands twice"),
        (rules("{class: virus, text: x}"), "rule number 1: give it an id"),
        (rules("{id: A b, class: virus, text: x}"), "rule number 1: give it an id"),
        (rules("text"), "rule number 1: give it an id"),
        ("version: '1'\nrules: []\n", "rules: give at least one"),
        ("version: 2026.11\nrules: [x]\n", "version: write it in quotes"),
        ("rules: [x]\n", "give version and rules"),
        ("version: '1'\nrules: [x]\nmore: 1\n", "give version and rules, and nothing else"),
        ("version: '1\n", "this is not YAML"),
        ("", "give version and rules"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_used_is_named(written: str, why: str) -> None:
    with pytest.raises(InvalidRules, match=why):
        load_rules(written)


def test_the_rules_that_are_used_are_those_of_the_file() -> None:
    assert load_rules(FILE.read_text()) == RULES
    assert len(RULES.rules) > 40
