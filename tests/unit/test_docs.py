"""What is public is documented, and what the documents name exists."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import yaml

from commands.docs.api import every_operation, openapi
from commands.docs.cli import every_command
from commands.docs.settings import every_setting
from commands.write_docs import documents
from console.conditions import COLUMNS, TIMES
from contracts import metrics
from contracts.settings import Section, Settings
from contracts.statuses import BounceClass, BounceType
from mail.bounces.classify import RULES
from mailscope import cli
from runtime.load_settings import OWN_VARIABLES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HOUSE = (
    "contracts",
    "mail",
    "runtime",
    "ingest",
    "processors",
    "sinks",
    "console",
    "commands",
    "local",
    "docs",
    "tests",
)
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md")])
GENERATED = dict(documents())
WRITTEN = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which names what is gone


def read(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_a_generated_document_has_not_drifted(path: Path) -> None:
    assert path.exists() and path.read_text("utf-8") == GENERATED[path], "run `make docs`"


def test_the_environment_does_not_change_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("MAILSCOPE_PORT_BASE", "20000")
    assert dict(documents()) == GENERATED


def commands_below(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for below in command.commands.values():
            yield from commands_below(below)


def test_every_command_and_option_says_what_it_does() -> None:
    for command in commands_below(cli):
        assert command.help, f"{command.name} has no help"
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{command.name} {parameter.opts[0]} has no help"


def test_every_command_is_in_the_documents() -> None:
    headings = set(re.findall(r"^#+ (mailscope.*)$", read("cli.md"), re.MULTILINE))
    assert headings == {" ".join(path) for path, _ in every_command(cli)}
    assert len(headings) == len(list(commands_below(cli))) > 25


def sections(annotation: Any) -> Iterator[type[Section]]:
    """Every section that a type leads to, found by another way than the documents take."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
        for info in annotation.model_fields.values():
            yield from sections(info.annotation)
    for inner in get_args(annotation):
        yield from sections(inner)


def test_every_setting_says_what_it_does_and_is_in_the_documents() -> None:
    documented = re.findall(r"^\| `([^`]+)` \|", read("settings.md"), re.MULTILINE)
    assert set(documented) >= {path for path, _, _ in every_setting(Settings)}
    keys = {path.rpartition(".")[2] for path in documented}
    for section in sections(Settings):
        for name, info in section.model_fields.items():
            if not (isinstance(info.annotation, type) and issubclass(info.annotation, Section)):
                assert info.description, f"{section.__name__}.{name} has no description"
                assert (info.alias or name) in keys, f"{section.__name__}.{name} is not in docs/settings.md"


def test_every_variable_is_in_the_documents() -> None:
    assert all(f"| `{name}` |" in read("settings.md") for name in OWN_VARIABLES)


def test_every_metric_says_what_it_counts_and_is_in_the_documents() -> None:
    text = read("metrics.md")
    declared = metrics.all_metrics()
    assert len(declared) > 25
    for one in declared:
        assert len(one.help.split()) >= 2, f"{one.name} has no help"
        assert f"| `{one.name}` | {type(one).__name__.lower()} |" in text, f"{one.name} is not in docs/metrics.md"


def declared_routes() -> set[tuple[str, str]]:
    """(method, path) of every route of the API in the sources; a router without a prefix serves pages."""
    found = set()
    for file in [*(ROOT / "console").rglob("*.py"), *(ROOT / "ingest").rglob("*.py")]:
        text = file.read_text()
        if prefix := re.search(r'APIRouter\(prefix="([^"]+)"', text):
            routes = re.findall(r'@router\.(get|post|put|delete|patch)\(\s*"([^"]*)"', text)
            found |= {(method.upper(), prefix[1] + path.replace(":path}", "}")) for method, path in routes}
    return found


def test_every_endpoint_is_in_the_documents() -> None:
    text, served = read("api.md"), {(method, path) for method, path, _ in every_operation(openapi())}
    assert declared_routes() == served and len(served) >= 5
    for method, path in served:
        assert f"\n## {method} {path}\n" in text


def test_every_endpoint_parameter_and_field_says_what_it_is() -> None:
    document = openapi()
    for method, path, operation in every_operation(document):
        assert operation.get("summary"), f"{method} {path}"
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), f"{method} {path}: {parameter['name']}"
    for name, schema in document["components"]["schemas"].items():
        for field, inner in schema.get("properties", {}).items():
            assert "$ref" in inner or inner.get("description"), f"{name}.{field} has no description"


def test_an_error_is_documented_as_it_is_answered() -> None:
    for _, _, operation in every_operation(openapi()):
        for status in ("default", "401", "403", "404", "422", "503"):  # none has FastAPI's own shape
            (error,) = operation["responses"][status]["content"].values()
            assert error["schema"]["$ref"].endswith("/ErrorBody")


def test_openapi_names_every_filter_and_who_may_call() -> None:
    document = openapi()
    assert document["components"]["securitySchemes"][next(iter(document["security"][0]))]["scheme"] == "bearer"
    for path in ("/api/v1/mails", "/api/v1/export", "/api/v1/facets", "/api/v1/stats/{name}"):
        named = [one["name"] for one in document["paths"][path]["get"]["parameters"]]
        assert {*COLUMNS, *TIMES, "q"} <= set(named) and len(named) == len(set(named))


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_an_issue_template_asks_with_words_that_exist(path: Path) -> None:
    template = yaml.safe_load(path.read_text())
    assert template["name"] and template["description"]
    asked = [question["id"] for question in template["body"] if question["type"] != "markdown"]
    assert len(asked) == len(set(asked)) >= 3
    words = {*BounceClass, *BounceType, *(rule.id for rule in RULES.rules)}
    if "bounce" in path.stem:
        shown = [one["attributes"]["placeholder"] for one in template["body"] if one["id"] in ("got", "expected")]
        assert len(shown) == 2 and {word for line in shown for word in line.split(", ")} <= words


DECISIONS = sorted((DOCS / "decisions").glob("0*.md"))


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem[:4])
def test_a_decision_says_what_was_weighed_and_is_in_the_index(page: Path) -> None:
    text = page.read_text("utf-8")
    title = re.match(r"# (\d+)\. (.+)\n\nDate: \d{4}-\d\d · Status: (accepted|replaced)", text)
    assert title and int(title[1]) == int(page.stem[:4])
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "Context",
        "Decision",
        "Alternatives considered",
        "Consequences",
    ]
    assert f"| {title[1]} | [{title[2]}]({page.name}) |" in read("decisions/README.md")


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.stem[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1)) and len(DECISIONS) >= 8


def headings(page: Path) -> set[str]:
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        assert not heading or heading in headings(there), f"{page.name}: {target}"


def named_files(text: str) -> Iterator[str]:
    """What looks like a file or folder of this repository: in backticks, or at the head of a column of a list of rooms."""
    for word in re.findall(r"`([\w./-]+)`", text):
        if word.endswith((".py", ".sql", ".md", ".html", ".toml", ".lock")) or (
            "/" in word and word.split("/")[0] in HOUSE
        ):
            yield word
    for line in re.findall(r"^ {4}\w+/ .*$", text, re.MULTILINE):
        yield from re.findall(r"(?<= {2})(\w+/)(?= {2})", line)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_exists(page: Path) -> None:
    ours = [path for room in HOUSE for path in (ROOT / room).rglob("*")] + list(ROOT.glob("*"))
    names = {str(path.relative_to(ROOT)) for path in ours}
    for word in named_files(page.read_text("utf-8")):
        name = word.rstrip("/")
        assert name in names or any(known.endswith("/" + name) for known in names), f"{page.name} names {word}"


def test_files_that_are_named_are_found() -> None:
    text = (
        "`mail/x.py` `a.py` `make docs` `smtp.port` `data/admin-token`\n\n    mail/    by its RFCs     local/   `up`\n"
    )
    assert list(named_files(text)) == ["mail/x.py", "a.py", "mail/", "local/"]
