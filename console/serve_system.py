"""How the pipeline is doing, over the API (design section 5). It is of all domains, so a token that is limited to some may not see it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from console.address_lists import whole_list
from console.read_system import SystemReader
from console.serve_reconciliation import MissingKind
from console.serve_subscriptions import SubscriptionShown
from console.tokens import Principal

Reader = Annotated[Principal, Depends(whole_list("read"))]


class Trouble(BaseModel):
    what: str = Field(description="What is wrong, in one sentence.")
    advice: str = Field(description="What to do about it, or what was seen.")


class StageProcess(BaseModel):
    name: str = Field(description="Its name; several of one stage are numbered.")
    state: str = Field(description="waiting, starting, ready, unready, backoff, done or stopped.")
    since: str | None = Field(description="Since when.")
    restarts: int = Field(description="How often it was started again.")
    reason: str | None = Field(description="Why it is not ready.")
    last_error: str | None = Field(description="The last line in which it told of an error.")


class StageShown(BaseModel):
    name: str = Field(description="As `contracts/stages.py` calls it.")
    command: str = Field(description="What starts it.")
    summary: str = Field(description="What it does.")
    processes: list[StageProcess] = Field(description="Those that a supervisor of this machine runs.")
    members: int | None = Field(description="Processes in its consumer groups, anywhere; null: it has none.")
    waiting: int | None = Field(description="Records that wait for it; null: it reads in no group.")
    behind_seconds: float | None = Field(description="For how long the oldest of them has waited.")


class Disk(BaseModel):
    free: int = Field(description="Octets that are free for the data folder.")
    total: int = Field(description="Octets in all.")
    days_until_full: float | None = Field(
        description="At the pace of the last day; null: it does not fill up, or is not known yet."
    )


class Dns(BaseModel):
    servers: list[str] = Field(description="Who was asked.")
    status: str = Field(description="ok, nxdomain, nodata, servfail or timeout.")
    milliseconds: int = Field(description="How long it took.")


class Certificate(BaseModel):
    of: str = Field(description="The stage that shows it.")
    file: str = Field(description="Its file.")
    expires_at: str = Field(description="When it ends.")


class Key(BaseModel):
    domain: str = Field(description="The domain that it signs for.")
    selector: str = Field(description="Its selector.")
    published: bool | None = Field(description="Whether DNS publishes it; null: DNS does not say.")
    fault: str = Field(description="What is wrong with it; empty when nothing is.")


class LetterGroup(BaseModel):
    stage: str = Field(description="By which stage.")
    reason: str = Field(description="Why.")
    topic: str = Field(description="Where they came from.")
    total: int = Field(description="How many.")
    waiting: int = Field(description="How many of them nobody has replayed.")
    newest: str = Field(description="When the newest was put aside.")


class SystemShown(BaseModel):
    fine: bool = Field(description="Nothing is wrong.")
    troubles: list[Trouble] = Field(description="What is wrong, and what to do.")
    checked_at: str = Field(description="When it was looked at.")
    stages: list[StageShown] = Field(description="In the order of a message.")
    complete_until: str | None = Field(description="Up to when the log is known to be complete.")
    disk: Disk | None = Field(description="Of the console's machine; null: it does not say.")
    dns: Dns | None = Field(description="What a look-up came to; null: none came to anything.")
    certificates: list[Certificate] = Field(description="Those that this machine shows.")
    keys: list[Key] = Field(description="Those that sign our mail.")
    channels: list[dict[str, Any]] = Field(description="As of `GET /channels`.")
    missing: list[MissingKind] = Field(
        description="What the log misses of the last quarter of an hour (`GET /reconciliation`)."
    )
    subscriptions: list[SubscriptionShown] = Field(description="As of `GET /subscriptions`.")
    dead_letters: list[LetterGroup] = Field(description="By stage, reason and topic.")


def system_router(reader: SystemReader) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["system"])

    @router.get("/system", summary="How the pipeline is doing, and what is wrong with it")
    async def system(_: Reader) -> SystemShown:
        return SystemShown.model_validate(await reader.read())

    return router
