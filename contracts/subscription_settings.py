"""The settings of status webhooks: who is called at each change of status of a mail (`subscriptions` in mailscope.yaml)."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, model_validator

from contracts.dependency_settings import Section
from contracts.setting_types import Domain, Duration, WebhookSecret
from contracts.statuses import Direction, Status


class Subscription(Section):
    url: str = Field(pattern=r"^https?://[^/\s]", description="URL that gets a POST for each change of status.")
    secret: WebhookSecret | None = Field(None, description="Secret of the signature (Standard Webhooks): whsec_….")
    secret_file: Path | None = Field(
        None,
        description="Instead: file with the secret; each of its lines signs, so that one can be taken out of use after another; read at "
        "start.",
    )
    events: list[Status] = Field([], description="Only changes to these statuses; `[]`: to any.")
    directions: list[Direction] = Field([], description="Only `inbound` or `outbound` mail; `[]`: both.")
    domains: list[Domain] = Field(
        [],
        description="Only mail of these domains of ours: of the recipient (inbound), of the author (outbound); `[]`: any.",
    )
    timeout: Duration = Field(timedelta(seconds=10), description="How long one call may take.")
    pause_after: Duration = Field(
        timedelta(days=1),
        description="How long a subscriber may fail until it is paused: it is tried once in `paused_retry` then, and what it misses waits.",
    )
    paused_retry: Duration = Field(timedelta(hours=1), description="How often a paused subscriber is tried.")

    @model_validator(mode="after")
    def _times_pass(self) -> "Subscription":
        if not self.timeout:
            raise ValueError("timeout must be longer than 0s")
        if self.paused_retry < timedelta(seconds=1):
            raise ValueError("paused_retry must be at least 1s")
        return self

    @model_validator(mode="after")
    def _one_secret(self) -> "Subscription":
        if (self.secret is None) == (self.secret_file is None):
            raise ValueError("give exactly one of secret, secret_file")
        return self
