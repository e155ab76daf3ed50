"""What stands in the shared topics is what their schemas say, and a token never does."""

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import msgspec
import pytest

from contracts import clock, topics
from contracts.codec import decode, encode_claim, encode_token
from contracts.shared_state import KEPT, Claim, Token, claim_key

SCHEMAS = Path(__file__).resolve().parents[3] / "docs" / "schemas"
TOKEN = Token(id="a1", name="app", sha256="00", scopes=["read"], domains=[], created_at=clock.now())
CLAIM = Claim(claim="send:k", claimant="m1", owner="console", claimed_at=clock.now())


@pytest.mark.parametrize(
    ("schema", "value", "type"),
    [
        ("token", encode_token(TOKEN, "test"), "mailscope.token.created.v1"),
        (
            "token",
            encode_token(msgspec.structs.replace(TOKEN, revoked_at=clock.now()), "test"),
            "mailscope.token.revoked.v1",
        ),
        ("claim", encode_claim(CLAIM, "test"), "mailscope.claim.made.v1"),
        (
            "claim",
            encode_claim(msgspec.structs.replace(CLAIM, offset=7, answer="{}"), "test"),
            "mailscope.claim.answered.v1",
        ),
    ],
)
def test_a_record_is_what_its_schema_says(schema: str, value: bytes, type: str) -> None:
    document = json.loads(value)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{schema}.json").read_text()))
    assert document["type"] == type


def test_what_was_written_is_read() -> None:
    assert decode(encode_token(TOKEN, "test"), Token) == TOKEN
    assert decode(encode_claim(CLAIM, "test"), Claim) == CLAIM


def test_two_claimants_of_one_claim_have_keys_of_their_own() -> None:
    assert claim_key(CLAIM) != claim_key(msgspec.structs.replace(CLAIM, claimant="m2"))


def test_claims_are_compacted_and_go_after_a_day_and_tokens_stay() -> None:
    config = {one.name: one.config for one in topics.all_topics(["1m"], timedelta(days=3), timedelta(days=21))}
    assert config[topics.CLAIMS]["cleanup.policy"] == "compact,delete"
    assert config[topics.CLAIMS]["retention.ms"] == str(int(KEPT.total_seconds() * 1000))
    assert config[topics.TOKENS]["cleanup.policy"] == "compact" and "retention.ms" not in config[topics.TOKENS]
