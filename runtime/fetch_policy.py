"""Fetch an MTA-STS policy over HTTPS from a public address only (RFC 8461 §3.3).

The host comes out of DNS: it is resolved first, private addresses are refused, and the connection goes to the
address that was checked, so that a second answer cannot lead elsewhere."""

import ssl
from collections.abc import Awaitable, Callable

import httpx

from contracts.dns_answers import Resolver
from runtime.is_public import is_public

MAX_POLICY = 64 * 1024
TIMEOUT = 10.0


def policy_fetcher(
    resolver: Resolver, *, allow_private: bool = False, trust: ssl.SSLContext | None = None
) -> Callable[[str], Awaitable[str]]:
    """What gets the policy file of a host; it raises OSError with the cause. Redirects are not followed (RFC 8461 §3.3). `trust`: whose
    certificates are; None: those of the authorities that certifi knows."""

    async def fetch(host: str) -> str:
        answers = [await resolver.query(host, "A"), await resolver.query(host, "AAAA")]
        public = [value for answer in answers for value in answer.values() if allow_private or is_public(value)]
        if not public:
            raise OSError(f"{host} has no public address")
        target = f"[{public[0]}]" if ":" in public[0] else public[0]
        try:
            async with httpx.AsyncClient(
                timeout=TIMEOUT, follow_redirects=False, trust_env=False, verify=trust if trust is not None else True
            ) as client:
                url = f"https://{target}/.well-known/mta-sts.txt"
                request = client.build_request(
                    "GET", url, headers={"Host": host, "Accept-Encoding": "identity"}, extensions={"sni_hostname": host}
                )
                response = await client.send(request, stream=True)
                return await _read(response)
        except httpx.HTTPError as error:
            raise OSError(str(error) or type(error).__name__) from error

    return fetch


async def _read(response: httpx.Response) -> str:
    if response.status_code != 200:
        raise OSError(f"HTTP {response.status_code}")
    content = b""
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > MAX_POLICY:
            raise OSError("the policy is too large")
    return content.decode("utf-8", "replace")
