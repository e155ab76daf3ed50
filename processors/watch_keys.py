"""Whether the keys that sign our mail are those that DNS publishes: looked at when the first mail of a domain comes, and every hour.

A mail that is signed with a key that nobody can verify is refused or filed as spam wherever it goes; it is `failed` here, with the reason.
Where DNS does not answer, what was known before holds.
"""

import asyncio
import logging
import time

from contracts.settings import Settings
from mail.authentication.check_published import key_fault
from mail.authentication.sign_dkim import read_domain_keys
from runtime.resolve_dns import DnsResolver

_log = logging.getLogger("mailscope.outbound")
SOUND = 3600.0  # seconds for which a key that was found right is not looked at again
FAULTY = 30.0  # and one that was found wrong: it may be mended any moment


class KeyWatch:
    """What is wrong with the keys of each sending domain. ConfigurationError when a key file cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self._dns = settings.dns
        self._keys = read_domain_keys(settings.outbound.key_files)
        self._off = not settings.outbound.check_keys
        self._known: dict[str, tuple[float, str]] = {}  # by domain: until when it holds, and what is wrong
        self._looking: dict[str, asyncio.Task[str]] = {}

    def begin(self) -> None:
        """Look at all keys for the first time. To be called in the event loop."""
        self._resolver = DnsResolver(self._dns.nameservers, timeout=self._dns.timeout.total_seconds())
        for domain in [] if self._off else self._keys:
            self._look(domain)

    async def fault(self, domain: str) -> str:
        """What is wrong with a key of this domain, in one sentence; "" when nothing is, or nothing is known."""
        if self._off or not self._keys.get(domain):
            return ""
        until, fault = self._known.get(domain, (0.0, ""))
        if time.monotonic() < until:
            return fault
        task = self._look(domain)
        # A fault is told only as it is now; where all was well, nobody waits for another look.
        return fault if until and not fault else await asyncio.shield(task)

    def _look(self, domain: str) -> "asyncio.Task[str]":
        task = self._looking.get(domain)
        if task is None:
            task = self._looking[domain] = asyncio.get_running_loop().create_task(self._check(domain))
            task.add_done_callback(lambda _: self._looking.pop(domain, None))
        return task

    async def _check(self, domain: str) -> str:
        faults = [await key_fault(domain, selector, key, self._resolver) for selector, key in self._keys[domain]]
        _, before = self._known.get(domain, (0.0, ""))
        open_ = None in faults
        fault = next((one for one in faults if one), before if open_ else "")
        if fault and fault != before:
            _log.error("mail of %s is not sent: %s", domain, fault)
        self._known[domain] = (time.monotonic() + (FAULTY if fault or open_ else SOUND), fault)
        return fault
