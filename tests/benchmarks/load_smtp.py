"""A load of SMTP transactions on one port, as one process: prints how many were answered 250 in a second."""

import asyncio
import sys
import time

import uvloop

HEAD = b"From: anna@good.test\r\nTo: drop@ours.test\r\nSubject: load\r\nMessage-ID: <load@good.test>\r\n\r\n"


async def main(port: int, connections: int, seconds: float, size: int) -> None:
    message = HEAD + (b"x" * 70 + b"\r\n") * ((size - len(HEAD)) // 72) + b".\r\n"
    end = time.monotonic() + seconds
    counts = await asyncio.gather(*(_connection(port, message, end) for _ in range(connections)))
    print(sum(counts) / seconds)


async def _connection(port: int, message: bytes, end: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b"HELO load.test\r\n")
    await reader.readline()
    done = 0
    while time.monotonic() < end:
        for line in (b"MAIL FROM:<anna@good.test>\r\n", b"RCPT TO:<drop@ours.test>\r\n", b"DATA\r\n", message):
            writer.write(line)
            answer = await reader.readline()
            if answer[:1] not in b"23":
                raise SystemExit(f"answered {answer!r} to {line[:30]!r}")
        done += 1
    writer.close()
    return done


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
