"""Bounce rules as data: `rules.yaml` read and checked, so that a rule that cannot work stops the process at its start."""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from contracts.statuses import BounceClass
from mail.bounces.normalise import Clues

COMMANDS = frozenset({"connect", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "end-of-data"})
WHEN = frozenset({"temporary", "permanent"})
_WORDS = re.IGNORECASE | re.DOTALL
_PATTERNS = {"text": _WORDS, "unless": _WORDS, "host": re.IGNORECASE, "enhanced": re.NOFLAG, "code": re.NOFLAG}
_CONDITIONS = {*_PATTERNS, "command", "when"} - {"unless"}
_EXAMPLES = ("example", "counterexample")
_KEYS = {"id", "class", "unless", *_CONDITIONS, *_EXAMPLES}
_ID = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")


class InvalidRules(ValueError):
    """The rules cannot be used; the message names the rule and what is wrong with it."""


@dataclass(frozen=True)
class Example:
    """What a server said, as a rule's example."""

    said: str
    command: str = ""
    host: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule: conditions that are not given hold always."""

    id: str
    bounce_class: BounceClass
    text: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    host: re.Pattern[str] | None = None
    enhanced: re.Pattern[str] | None = None
    code: re.Pattern[str] | None = None
    command: frozenset[str] = frozenset()
    when: str = ""
    examples: tuple[Example, ...] = ()
    counterexamples: tuple[Example, ...] = ()

    def holds(self, clues: Clues) -> bool:
        """Whether all conditions do."""
        return (
            (not self.when or self.when == clues.when)
            and (not self.command or clues.command in self.command)
            and (self.code is None or self.code.fullmatch(clues.code) is not None)
            and (self.enhanced is None or self.enhanced.fullmatch(clues.enhanced) is not None)
            and (self.host is None or self.host.search(clues.host) is not None)
            and (self.text is None or self.text.search(clues.text) is not None)
            and (self.unless is None or self.unless.search(clues.text) is None)
        )


@dataclass(frozen=True)
class RuleSet:
    """Rules in the order in which they are tried."""

    version: str
    rules: tuple[Rule, ...]


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise InvalidRules(f"line {node.start_mark.line + 1}: {key} stands twice")
        return super().construct_mapping(node, deep)


def load_rules(written: str) -> RuleSet:
    """Read a rule set from YAML. InvalidRules when it cannot be used as it is."""
    try:
        found = yaml.load(written, _StrictLoader)
    except yaml.YAMLError as error:
        raise InvalidRules(f"this is not YAML: {error}") from error
    if not isinstance(found, dict) or set(found) != {"version", "rules"}:
        raise InvalidRules("give version and rules, and nothing else")
    version, listed = found["version"], found["rules"]
    if not isinstance(version, str) or not version:
        raise InvalidRules("version: write it in quotes")
    if not isinstance(listed, list) or not listed:
        raise InvalidRules("rules: give at least one")
    rules = tuple(_read_rule(number, one) for number, one in enumerate(listed, 1))
    names = [rule.id for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRules(f"rule {name}: there is another one of this id")
    return RuleSet(version, rules)


def _read_rule(number: int, written: object) -> Rule:
    if not isinstance(written, dict) or not isinstance(written.get("id"), str) or not _ID.fullmatch(written["id"]):
        raise InvalidRules(f"rule number {number}: give it an id such as text.virus")
    name = f"rule {written['id']}"
    unknown = sorted(map(str, set(written) - _KEYS))
    if unknown:
        raise InvalidRules(f"{name}: {unknown[0]} is no key (keys: {', '.join(sorted(_KEYS))})")
    if written.get("class") not in list(BounceClass):
        raise InvalidRules(f"{name}: class: '{written.get('class')}' is no bounce class")
    if not set(written) & _CONDITIONS:
        raise InvalidRules(f"{name}: without a condition it would decide everything")
    if written.get("when", "temporary") not in WHEN:
        raise InvalidRules(f"{name}: when: '{written['when']}' is neither permanent nor temporary")
    if not written.get("example"):
        raise InvalidRules(f"{name}: give an example of what it decides")
    patterns = {
        key: _read_pattern(f"{name}: {key}", written[key], _PATTERNS[key]) for key in written if key in _PATTERNS
    }
    examples, counterexamples = (
        tuple(_read_example(f"{name}: {key}", one) for one in _listed(written.get(key, []))) for key in _EXAMPLES
    )
    return Rule(
        written["id"],
        BounceClass(written["class"]),
        command=_read_commands(name, written),
        when=written.get("when", ""),
        examples=examples,
        counterexamples=counterexamples,
        **patterns,
    )


def _listed(written: object) -> list[object]:
    return written if isinstance(written, list) else [written]


def _read_commands(name: str, written: dict[str, object]) -> frozenset[str]:
    commands = _listed(written["command"]) if "command" in written else []
    if "command" in written and not commands:
        raise InvalidRules(f"{name}: command: give at least one")
    for one in commands:
        if one not in [*COMMANDS, ""]:  # "": which command it was is not known
            raise InvalidRules(f"{name}: command: '{one}' is none of {', '.join(sorted(COMMANDS))}")
    return frozenset(map(str, commands))


def _read_example(place: str, written: object) -> Example:
    fields = {"said": written} if isinstance(written, str) else written
    if not isinstance(fields, dict) or not fields.get("said") or set(fields) - {"said", "command", "host"}:
        raise InvalidRules(f"{place}: {written!r} is none: write what was said in quotes, or said, command and host")
    if not all(isinstance(one, str) for one in fields.values()) or fields.get("command", "RCPT") not in COMMANDS:
        raise InvalidRules(f"{place}: {written!r} is none: its values are texts, and command one of the commands")
    return Example(**fields)


def _read_pattern(place: str, written: object, flags: re.RegexFlag) -> re.Pattern[str]:
    alternatives = _listed(written)
    if not alternatives:
        raise InvalidRules(f"{place}: give at least one pattern")
    given: list[str] = []
    for one in alternatives:
        if not isinstance(one, str) or not one:
            raise InvalidRules(f"{place}: {one!r} is no pattern: write it in quotes")
        given.append(one)
        try:
            compiled = re.compile(one, flags)
        except re.error as error:
            raise InvalidRules(f"{place}: '{one}' is no regular expression: {error}") from error
        if compiled.fullmatch(""):
            raise InvalidRules(f"{place}: '{one}' matches where nothing was said")
    return re.compile("|".join(f"(?:{one})" for one in given), flags)
