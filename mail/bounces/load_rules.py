"""Bounce rules as data: `rules.yaml` read and checked, so that a rule that cannot work stops the process at its start."""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from contracts.statuses import BounceClass

COMMANDS = frozenset({"connect", "EHLO", "STARTTLS", "MAIL", "RCPT", "DATA", "end-of-data"})
_PATTERNS = {"text": re.IGNORECASE | re.DOTALL, "host": re.IGNORECASE, "enhanced": re.NOFLAG, "code": re.NOFLAG}
_KEYS = {"id", "class", "command", *_PATTERNS}
_ID = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")


class InvalidRules(ValueError):
    """The rules cannot be used; the message names the rule and what is wrong with it."""


@dataclass(frozen=True)
class Reply:
    """What a rule looks at."""

    text: str  # addresses taken out
    enhanced: str  # subject and detail of the enhanced code, such as "1.1"; "" is none
    code: str
    command: str
    host: str


@dataclass(frozen=True)
class Rule:
    """One rule: conditions that are None hold always."""

    id: str
    bounce_class: BounceClass
    text: re.Pattern[str] | None = None
    host: re.Pattern[str] | None = None
    enhanced: re.Pattern[str] | None = None
    code: re.Pattern[str] | None = None
    command: str | None = None

    def holds(self, reply: Reply) -> bool:
        """Whether all conditions do."""
        return (
            (self.text is None or self.text.search(reply.text) is not None)
            and (self.enhanced is None or self.enhanced.fullmatch(reply.enhanced) is not None)
            and (self.code is None or self.code.fullmatch(reply.code) is not None)
            and (self.command is None or self.command == reply.command)
            and (self.host is None or self.host.search(reply.host) is not None)
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
    if set(written) <= {"id", "class"}:
        raise InvalidRules(f"{name}: without a condition it would decide everything")
    command = written.get("command")
    if "command" in written and command not in list(COMMANDS):
        raise InvalidRules(f"{name}: command: '{command}' is none of {', '.join(sorted(COMMANDS))}")
    patterns = {
        key: _read_pattern(f"{name}: {key}", written[key], _PATTERNS[key]) for key in written if key in _PATTERNS
    }
    return Rule(written["id"], BounceClass(written["class"]), command=command, **patterns)


def _read_pattern(place: str, written: object, flags: re.RegexFlag) -> re.Pattern[str]:
    alternatives = written if isinstance(written, list) else [written]
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
    return re.compile("|".join(given), flags)
