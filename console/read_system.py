"""How the whole pipeline is doing: its stages, what waits for them, up to when the log is complete, the disk, DNS, certificates, keys,
channels, dead letters. What is wrong comes first, each with what to do."""

import asyncio
import json
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509

from console.answer_errors import Problem
from console.dead_letters import DeadLetters
from console.read_channels import HOSTED, ChannelReader
from console.read_subscriptions import SubscriptionReader, is_trouble
from console.reconcile import Reconciler
from console.search_mails import Search
from contracts import clock
from contracts.errors import ConfigurationError, Unavailable
from contracts.events import WORKING
from contracts.settings import Settings
from contracts.stages import STAGES, subscription_group
from contracts.subscriptions import SubscriberHealth
from mail.authentication.check_published import key_fault
from mail.authentication.sign_dkim import read_domain_keys
from runtime.resolve_dns import DnsResolver
from runtime.watch_groups import GroupState, look_at_groups

FRESH = 2.0  # seconds for which an answer is given again
BEHIND = 30.0  # seconds after which it is said that something is behind
PATIENCE = 8.0  # seconds for each part
SAMPLES = 24 * 60  # of the disk, one a minute
LEAST_SAMPLES = 10
FULL_SOON = 14.0  # days
EXPIRES_SOON = 21.0  # days
SUBSCRIPTIONS = "subscriptions"  # the stage whose groups the settings name
GROUPS = [group for stage in STAGES if stage.name != SUBSCRIPTIONS for group in stage.groups]


@dataclass
class DiskTrend:
    """How the free room of the data folder goes on."""

    samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def take(self, at: float, free: int) -> None:
        """Remember what is free (octets) at this moment (seconds); one sample a minute."""
        if not self.samples or at - self.samples[-1][0] >= 59:
            self.samples.append((at, free))

    def days_until_full(self, free: int) -> float | None:
        """At the pace of the samples; None when it does not fill up, or is not known yet."""
        if len(self.samples) < LEAST_SAMPLES:
            return None
        (began, before), (now, _) = self.samples[0], self.samples[-1]
        pace = (before - free) / (now - began)
        return round(free / pace / 86_400, 1) if pace > 0 else None


class SystemReader:
    """Asks everything at once, and what does not answer is said so; nothing of it holds up the rest."""

    def __init__(
        self,
        settings: Settings,
        search: Search,
        channels: ChannelReader,
        letters: DeadLetters,
        reconciler: Reconciler,
        subscriptions: SubscriptionReader,
    ) -> None:
        self._settings = settings
        self._subscriptions = subscriptions
        self._groups = [*GROUPS, *map(subscription_group, settings.subscriptions)]
        self._search = search
        self._channels = channels
        self._letters = letters
        self._reconciler = reconciler
        self._disk = DiskTrend()
        self._answer: tuple[float, dict[str, Any]] | None = None
        self._asking: asyncio.Task[dict[str, Any]] | None = None

    async def watch(self) -> None:
        """Look at the disk once a minute, for ever."""
        while True:
            await asyncio.to_thread(self._room)
            await asyncio.sleep(60)

    async def read(self) -> dict[str, Any]:
        """The answer; those who ask at once share it."""
        if self._answer is not None and time.monotonic() - self._answer[0] < FRESH:
            return self._answer[1]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._read())
        return await asyncio.shield(self._asking)

    async def _read(self) -> dict[str, Any]:
        troubles: list[dict[str, str]] = []

        async def part(name: str, ask: Callable[[], Awaitable[Any]]) -> Any:
            try:
                return await asyncio.wait_for(ask(), PATIENCE)
            except TimeoutError:
                troubles.append(_trouble(f"{name} does not answer within {PATIENCE:g} s", ""))
            except (Unavailable, ConfigurationError, OSError) as error:
                troubles.append(_trouble(f"{name}: {error}", ""))
            except Problem as error:
                troubles.append(_trouble(f"{name}: {error.message}", ""))
            return None

        kafka = self._settings.kafka_client
        groups, complete, disk, dns, keys, channels, letters = await asyncio.gather(
            part("Kafka", lambda: asyncio.to_thread(look_at_groups, kafka, self._groups)),
            part("the log store", self._search.complete_until),
            part("the disk", lambda: asyncio.to_thread(self._room)),
            part("DNS", self._dns),
            part("the keys", self._keys),
            part("the channels", lambda: self._channels.all(frozenset())),
            part("the dead letters", self._letters.groups),
        )
        known = groups or {}
        subscriptions = await part("the status webhooks", lambda: self._subscriptions.all(known)) or []
        system = {
            "checked_at": clock.rfc3339(clock.now()),
            "stages": _stages(self._settings, known, {one["name"] for one in subscriptions if is_trouble(one)}),
            "complete_until": complete,
            "disk": disk,
            "dns": dns,
            "certificates": self._certificates(),
            "keys": keys or [],
            "channels": channels or [],
            "subscriptions": subscriptions,
            "dead_letters": letters or [],
            "missing": self._reconciler.missing,
        }
        troubles += find_troubles(system, known_groups=groups is not None, now=clock.now())
        answer = {"fine": not troubles, "troubles": troubles, **system}
        self._answer = (time.monotonic(), answer)
        return answer

    def _room(self) -> dict[str, Any]:
        usage = shutil.disk_usage(self._settings.data_dir)
        self._disk.take(time.monotonic(), usage.free)
        return {"free": usage.free, "total": usage.total, "days_until_full": self._disk.days_until_full(usage.free)}

    def _resolver(self) -> DnsResolver:
        return DnsResolver(self._settings.dns.nameservers, timeout=min(3.0, self._settings.dns.timeout.total_seconds()))

    async def _dns(self) -> dict[str, Any]:
        domain = next(iter(self._settings.inbound.domains), "example.com")
        began = time.monotonic()
        answer = await self._resolver().query(domain, "MX")
        return {
            "servers": self._settings.dns.nameservers or ["the system's"],
            "status": answer.status.value,
            "milliseconds": round((time.monotonic() - began) * 1000),
        }

    async def _keys(self) -> list[dict[str, Any]]:
        resolver = self._resolver()
        keys = await asyncio.to_thread(read_domain_keys, self._settings.outbound.key_files)
        named = [(domain, selector, key) for domain, pairs in keys.items() for selector, key in pairs]
        faults = await asyncio.gather(*(key_fault(domain, selector, key, resolver) for domain, selector, key in named))
        return [
            {
                "domain": domain,
                "selector": selector,
                "published": None if fault is None else not fault,
                "fault": fault or "",
            }
            for (domain, selector, _), fault in zip(named, faults, strict=True)
        ]

    def _certificates(self) -> list[dict[str, Any]]:
        path = self._settings.smtp.tls_cert or self._settings.data_dir / "tls" / f"{self._settings.authserv_id}.pem"
        try:
            first = x509.load_pem_x509_certificates(path.read_bytes())[0]
        except (OSError, ValueError, IndexError):
            return []
        return [{"of": "smtp", "file": path.name, "expires_at": clock.rfc3339(first.not_valid_after_utc)}]


def _stages(settings: Settings, groups: dict[str, GroupState], failing: set[str]) -> list[dict[str, Any]]:
    """Each stage of `contracts/stages.py`: its processes as the supervisor of this machine tells of them, its groups as Kafka does. What
    waits for the subscribers that are `failing` waits on purpose, and is told of them."""
    try:
        told = json.loads((settings.data_dir / "run" / "stages.json").read_text())["stages"]
    except (OSError, ValueError, KeyError):
        told = {}
    names = {stage.name for stage in STAGES}
    waits_on_purpose = [subscription_group(name) for name in failing]
    found = []
    for stage in STAGES:
        if stage.only_with and not getattr(settings, stage.only_with):
            continue
        processes = [
            {
                "name": name,
                "state": one["state"],
                "since": one.get("since"),
                "restarts": one["restarts"],
                "reason": one.get("reason"),
                "last_error": one.get("last_error"),
            }
            for name, one in told.items()
            if name == stage.name or (name not in names and name.rpartition("-")[0] == stage.name)
        ]
        own = (
            [subscription_group(name) for name in settings.subscriptions]
            if stage.name == SUBSCRIPTIONS
            else stage.groups
        )
        states = [groups[group.name] for group in own if group.name in groups]
        behind = [groups[group.name] for group in own if group.name in groups and group not in waits_on_purpose]
        found.append(
            {
                "name": stage.name,
                "command": " ".join(("mailscope", *stage.command)),
                "summary": stage.summary,
                "processes": processes,
                "members": min((one.members for one in states), default=None),
                "waiting": sum(one.records for one in states) if states else None,
                "behind_seconds": round(max((one.seconds for one in behind), default=0.0), 1) if states else None,
            }
        )
    return found


def find_troubles(system: dict[str, Any], *, known_groups: bool, now: datetime) -> list[dict[str, str]]:
    """What is wrong, the worst first, and what to do about it. Pure."""
    found = []
    for stage in system["stages"]:
        name, members = stage["name"], stage["members"]
        ended = [one for one in stage["processes"] if one["state"] not in ("ready", "done")]
        for one in ended:
            why = f": {one['reason']}" if one["reason"] else ""
            found.append(_trouble(f"{one['name']} is {one['state']}{why}", one["last_error"] or "its log says more"))
        if known_groups and members == 0 and not ended:
            found.append(_trouble(f"no process of {name} is running", f"start one: {stage['command']}"))
        if (stage["behind_seconds"] or 0) > BEHIND:
            waits = f"{name} is {stage['behind_seconds']:.0f} s behind: {stage['waiting']} records wait for it"
            found.append(
                _trouble(waits, "its log says whether it waits for something; more of its processes share the work")
            )
    if system["complete_until"] is not None:
        late = (now - datetime.fromisoformat(system["complete_until"])).total_seconds()
        if late > BEHIND:
            found.append(_trouble(f"the log is {late:.0f} s behind", "newer mail may be missing: see the stages"))
    if disk := system["disk"]:
        days = disk["days_until_full"]
        if disk["free"] < disk["total"] // 10 or (days is not None and days < FULL_SOON):
            soon = f", full in {days:g} days" if days is not None else ""
            found.append(
                _trouble(f"{disk['free'] >> 30} GiB are free{soon}", "make room, or keep less (store.retention)")
            )
    if (dns := system["dns"]) and dns["status"] in ("servfail", "timeout"):
        found.append(_trouble(f"DNS: {', '.join(dns['servers'])}: {dns['status']}", "check dns.nameservers"))
    found += [
        _trouble(key["fault"], "publish it, or mail of the domain stays here") for key in system["keys"] if key["fault"]
    ]
    for one in system["certificates"]:
        left = (datetime.fromisoformat(one["expires_at"]) - now).total_seconds() / 86_400
        if left < EXPIRES_SOON:
            found.append(_trouble(f"the certificate of {one['of']} ends in {left:.0f} days", f"renew {one['file']}"))
    for channel in system["channels"]:
        if channel["state"] not in (HOSTED, None, *WORKING):
            since = f" since {channel['since']}" if channel["since"] else ""
            found.append(_trouble(f"channel {channel['name']}: {channel['state']}{since}", channel["detail"] or ""))
    for kind in system["missing"]:
        if kind["mails"]:
            many = f"{kind['mails']} mails" if kind["mails"] > 1 else "one mail"
            found.insert(
                0, _trouble(f"the log misses the {kind['what']} of {many}", "`mailscope reconcile` names them")
            )
    for one in filter(is_trouble, system["subscriptions"]):
        said = one["last_call"]["text"] or "its answers say no more"
        code = f"{one['last_call']['code']} " if one["last_call"]["code"] else ""
        waits = f", {one['waiting']} records wait" if one["waiting"] else ""
        what = "is paused: it takes nothing" if one["health"] == SubscriberHealth.PAUSED else "takes nothing"
        found.append(_trouble(f"webhook {one['name']} {what} since {one['failing_since']}{waits}", f"{code}{said}"))
    waiting = sum(one["waiting"] for one in system["dead_letters"])
    if waiting:
        found.append(_trouble(f"{waiting} dead letters wait", "mend what they name, then replay them"))
    return found


def _trouble(what: str, advice: str) -> dict[str, str]:
    return {"what": what, "advice": advice}
