"""What the answer of a Python function means, and handlers that cannot be called."""

import asyncio
import sys
import types
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.errors import ConfigurationError
from contracts.settings import Handler
from sinks.handlers.call_handler import Called

MAIL = {"mail_id": "m1", "recipient": "desk@ours.test", "subject": "Grüße", "attachments": []}


@pytest.fixture
def functions() -> Any:
    module = types.ModuleType("handlers_of_a_test")

    async def coroutine(mail: dict[str, Any]) -> dict[str, Any]:
        return {"status": "processed", "reference": mail["subject"]}

    def crashes(mail: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("field")

    async def hangs(mail: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    module.plain = lambda mail: {"status": "skipped", "reason": mail["recipient"]}  # type: ignore[attr-defined]
    module.nothing = lambda mail: None  # type: ignore[attr-defined]
    module.coroutine, module.crashes, module.hangs, module.value = coroutine, crashes, hangs, 7  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    yield
    del sys.modules[module.__name__]


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(
    ("name", "outcome", "text", "reference"),
    [
        ("plain", "skipped", "desk@ours.test", ""),
        ("coroutine", "accepted", "", "Grüße"),
        ("nothing", "permanent", "no status processed", ""),
        ("crashes", "temporary", "KeyError: 'field'", ""),
        ("hangs", "temporary", "no answer within 0.2 s", ""),
    ],
)
async def test_a_python_function_answers_in_the_same_words(name: str, outcome: str, text: str, reference: str) -> None:
    called = Called("desk", Handler.model_validate({"python": f"handlers_of_a_test:{name}", "timeout": "200ms"}))
    async with httpx.AsyncClient() as client:
        attempt = await called.call(client, MAIL, 1)
    assert (attempt.outcome, attempt.reference, attempt.command) == (
        outcome,
        reference,
        "call",
    ) and text in attempt.text


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize(
    ("handler", "says"),
    [
        ({"python": "no.such.module:f"}, "no.such.module:f cannot be loaded"),
        ({"python": "handlers_of_a_test:missing"}, "handlers_of_a_test:missing cannot be loaded"),
        ({"python": "handlers_of_a_test:value"}, "handlers_of_a_test:value cannot be called"),
    ],
)
def test_a_handler_that_cannot_be_called_does_not_start(handler: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Called("desk", Handler.model_validate(handler))
    assert says in str(caught.value)


def test_a_secret_may_stand_in_a_file_and_has_to_be_one(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    handler = Handler.model_validate({"webhook": "http://127.0.0.1:1/", "secret_file": str(file)})
    with pytest.raises(ConfigurationError, match=r"handlers\.desk\.secret_file: .* cannot be used: No such file"):
        Called("desk", handler)
    file.write_text("no secret of webhooks\n")
    with pytest.raises(ConfigurationError, match="write whsec_ and base64") as caught:
        Called("desk", handler)
    assert "no secret" not in str(caught.value)
    file.write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAx\n")
    assert vars(Called("desk", handler))["_signer"] is not None
