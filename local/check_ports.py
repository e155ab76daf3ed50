"""Are the ports free that this machine's pipeline will listen on? Asked before anything starts, so that all that are taken are named at
once, with who holds them where /proc tells."""

import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TCP, UDP = "tcp", "udp"
_LISTENING = "0A"  # the state of a TCP socket in /proc/net/tcp


@dataclass(frozen=True)
class Listening:
    """A place where something of ours will listen."""

    what: str
    host: str
    port: int
    kind: str = TCP


class PortsTaken(Exception):
    """Ports that are needed are taken; the message names each, who holds it where that can be known, and what to do."""


def check_ports(needed: Iterable[Listening]) -> None:
    """Raises PortsTaken when one of them cannot be listened on."""
    taken = [(one, why) for one in needed if (why := _why_not(one))]
    if taken:
        lines = [
            f"  {one.kind} {one.host}:{one.port} ({one.what}): {why}{_held_by(one) if one.port else ''}"
            for one, why in taken
        ]
        raise PortsTaken(
            "cannot listen where it must:\n"
            + "\n".join(lines)
            + "\nstop what holds them, or move all ports with MAILSCOPE_PORT_BASE (such as 20000)"
        )


def _why_not(one: Listening) -> str:
    """Why it cannot be listened on; empty when it can."""
    try:
        found = socket.getaddrinfo(
            one.host or None, one.port, type=_type(one.kind), flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except OSError as error:
        return f"{one.host} is no address of this machine ({error.strerror or error})"
    for family, type, protocol, _, address in found:
        try:
            with socket.socket(family, type, protocol) as probe:
                if one.kind == TCP:  # what lingers of the last run is no obstacle; who listens is
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as error:
            return str(error.strerror or error).lower()
    return ""


def _type(kind: str) -> socket.SocketKind:
    return socket.SOCK_STREAM if kind == TCP else socket.SOCK_DGRAM


def _held_by(one: Listening) -> str:
    """` by process 4711 (java ...)` for each that holds it; empty where that cannot be known."""
    # The kernel gives the table page by page, and leaves a line out now and then where connections come and go between two of them.
    inodes = next((found for _ in range(3) if (found := set(_inodes(one)))), set())
    holders = [f"process {pid} ({command})" for pid, command in _processes_with(inodes)] if inodes else []
    return f", held by {' and '.join(holders)}" if holders else ""


def _inodes(one: Listening) -> Iterator[str]:
    for table in (f"/proc/net/{one.kind}", f"/proc/net/{one.kind}6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == one.port and (one.kind == UDP or fields[3] == _LISTENING):
                yield fields[9]


def _processes_with(inodes: set[str]) -> Iterator[tuple[int, str]]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) in wanted for link in (process / "fd").iterdir()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
                yield int(process.name), command if len(command) <= 100 else command[:99] + "…"
        except OSError:  # it has ended, or is somebody else's
            continue
