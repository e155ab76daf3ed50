"""A remote mail server that does what a test plans, and keeps what it took."""

from local.demo.remote_servers import Arrived, RemoteServer
from tests.fakes.loop_thread import LoopThread


class RemoteMta:
    """Runs until `stop()`. `plan[recipient]` is a list of replies to RCPT, used up one by one, or a reply for good."""

    def __init__(self, host: str, port: int) -> None:
        self.arrived: list[Arrived] = []
        self.plan: dict[str, list[str] | str | bytes] = {}
        self._thread = LoopThread()
        self._server = RemoteServer("remote.test", (host, port), self._refuse, self.arrived.append)
        self._thread.run(self._server.start())

    def got(self, mark: bytes) -> list[Arrived]:
        """What arrived with this in it."""
        return [one for one in self.arrived if mark in one.content]

    def stop(self) -> None:
        self._thread.stop(self._server.stop)

    def _refuse(self, at: str, address: str, peer: str) -> str | bytes | None:
        plan = self.plan.get(address.lower()) if at == "rcpt" else None
        if isinstance(plan, list):
            return plan.pop(0) if plan else None
        return plan
