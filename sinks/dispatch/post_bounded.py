"""One POST whose answer is read as far as it is wanted."""

import httpx


async def post_bounded(
    client: httpx.AsyncClient, url: str | httpx.URL, content: bytes, headers: dict[str, str], most: int
) -> tuple[int, bytes]:
    """The status, and at most `most` octets of the answer as it comes (undecoded: a few octets could be many). httpx.HTTPError."""
    request = client.build_request("POST", url, content=content, headers={**headers, "accept-encoding": "identity"})
    response = await client.send(request, stream=True)
    try:
        answer = b""
        async for piece in response.aiter_raw():
            answer += piece
            if len(answer) > most:
                break
    finally:
        await response.aclose()
    return response.status_code, answer[:most]
