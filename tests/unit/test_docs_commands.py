"""Every `mailscope …` that a document shows is a command that there is, with options that it has."""

import re
from pathlib import Path

import click
import pytest

from mailscope import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
SHOWN = re.compile(r"(?:`|^ {4}(?:[A-Z_]+=\S+ )*)mailscope ([a-z][^`\n]*)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_that_is_shown_exists(page: Path) -> None:
    if page.parent.name == "decisions":  # they tell of what was
        return
    for shown in SHOWN.findall(page.read_text("utf-8")):
        command: click.Command = cli
        words = shown.split()
        while isinstance(command, click.Group) and words:
            word = words.pop(0)
            if word in ("…", "...") or "|" in word:
                break
            found = command.commands.get(word)
            assert found is not None, f"mailscope {shown}: there is no '{word}'"
            command = found
        known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        for word in words:
            if word.startswith("--") and len(word) > 2 and not isinstance(command, click.Group):
                assert word.partition("=")[0].rstrip(".,;)") in {*known, "--help"}, f"mailscope {shown}: {word}"


def test_every_link_of_a_page_leads_to_a_file_that_is_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"
