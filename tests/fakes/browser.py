"""Chromium, a person who is logged in, and axe-core (local/install_axe.py) on the page that is looked at."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from local.install_axe import AXE

CHROMIUM = shutil.which("chromium")
ARGS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
SMALLEST = 24  # CSS pixels of a target (WCAG 2.2, 2.5.8)
# What can be aimed at, unless it stands in a line of text.
_SMALL = """least => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea, summary")]
  .filter(one => one.checkVisibility() && !one.closest(".skip, p, .soft, .pager, .changes"))
  .map(one => [one.closest("label.tick") || one, one]).map(([aim, one]) => [aim.getBoundingClientRect(), one])
  .filter(([box]) => box.width > 1 && (box.width < least || box.height < least))
  .map(([box, one]) => `${one.outerHTML.slice(0, 120)} ${box.width}x${box.height}`)"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Its profile has a socket, whose path may have 107 octets: a store in this process may have moved TMPDIR deep down."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", "/tmp")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            yield browser
            browser.close()


def log_in(page: Page, address: str, token: str) -> None:
    """As a person does."""
    page.goto(f"{address}/login")
    page.fill("#token", token)
    page.click("button.primary")
    page.wait_for_url(f"{address}/")


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong on the page, and targets that are too small. The test is left out where axe-core is not here."""
    if not AXE.path.exists():
        pytest.skip("needs axe-core: python -m local.install_axe")
    page.evaluate(AXE.path.read_text())
    found: list[dict[str, Any]] = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)"
    )
    said = [
        f"{one['id']}: {node['html'][:160]} ({node['failureSummary'][:200]})" for one in found for node in one["nodes"]
    ]
    return said + [f"too small: {one}" for one in page.evaluate(_SMALL, SMALLEST)]
