"""Settings of the log-in with an identity provider: who it is, and what people of which groups may do."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from contracts.setting_types import Domain, Duration

Scope = Literal["read", "raw", "send", "manage", "reveal"]

# Where a secret may be sent: over HTTPS, or within this machine.
_SAFE_HOST = r"^(?:https://[^/?#@\s]+|http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?)"
SAFE_ENDPOINT = _SAFE_HOST + r"(?:[/?#]|$)"


class LoginSection(BaseModel):
    """A part of mailscope.yaml. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Role(LoginSection):
    group: str = Field(min_length=1, description="Who has it: people of this group, as the provider writes it.")
    scopes: list[Scope] = Field(min_length=1, description="What they may do, as the scopes of a token.")
    domains: list[Domain] = Field([], description="Whose mail they see; empty: all.")
    masked: bool = Field(
        False,
        description="Addresses of people outside are masked for them; with the scope `reveal` they may ask for those of one mail.",
    )

    @model_validator(mode="after")
    def _masked_has_no_raw(self) -> "Role":
        if self.masked and "raw" in self.scopes:
            raise ValueError("masked: the scope `raw` shows messages with their addresses; give one of the two")
        return self


class Oidc(LoginSection):
    issuer: str = Field(
        pattern=_SAFE_HOST + r"(?:/[^?#\s]*)?$",
        description="The provider, as its ID tokens name it (`iss`); its configuration is read below it (OpenID Connect Discovery). "
        "https, or http on this machine.",
    )
    client_id: str = Field(min_length=1, description="Who we are there.")
    client_secret_file: Path = Field(
        description="File whose first line is our secret there. Every replica needs it: it signs what a browser keeps during a log-in too."
    )
    scopes: list[str] = Field(
        ["openid", "email", "profile"], description="What is asked for; many providers tell groups with `groups` only."
    )
    groups_claim: str = Field("groups", min_length=1, description="The claim that lists a person's groups.")
    roles: list[Role] = Field(
        min_length=1,
        description="In this order: the first one of whose group a person is counts. Without one: no entry.",
    )
    name: str = Field("Single sign-on", min_length=1, description="What it is called: `Log in with ...`.")
    session: Duration = Field(
        timedelta(hours=12),
        description="After how long a person has to log in again; a change of groups holds from then on.",
    )
    ca_file: Path | None = Field(
        None, description="PEM file with the authorities that its certificate may come from; empty: those of certifi."
    )

    @field_validator("scopes")
    @classmethod
    def _has_openid(cls, scopes: list[str]) -> list[str]:
        if "openid" not in scopes:
            raise ValueError("it has to have `openid` (OpenID Connect Core 1.0 section 3.1.2.1)")
        return scopes
