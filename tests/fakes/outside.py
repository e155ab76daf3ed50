"""The world outside of the pipeline, for end-to-end tests: names, remote mail servers, a desk. All on loopback."""

from local.demo.config import rsa_key
from local.demo.dns_zones import dkim_record
from tests.fakes.desk import Desk
from tests.fakes.remote_mta import RemoteMta
from tests.fakes.zone_server import ZoneServer


class Outside:
    """good.test signs and asks for rejection; partner.test and slow.test take mail; ours.test is ours."""

    def __init__(self, base: int) -> None:
        self.zones = zones = ZoneServer({}, ttl=30, port=base + 153)
        self.keys: dict[str, bytes] = {}
        for domain, policy in (("good.test", "reject"), ("soft.test", "quarantine"), ("ours.test", "reject")):
            self.keys[domain] = rsa_key()
            zones.add(domain, "TXT", "v=spf1 ip4:127.0.0.1 -all")
            zones.add(f"s1._domainkey.{domain}", "TXT", dkim_record(self.keys[domain]))
            zones.add(f"_dmarc.{domain}", "TXT", f"v=DMARC1; p={policy}")
        for number, domain in enumerate(("good.test", "partner.test", "slow.test", "dead.test", "wire.test"), 1):
            zones.add(domain, "MX", f"10 mx.{domain}")
            zones.add(f"mx.{domain}", "A", f"127.0.1.{number}")
        zones.add("nomail.test", "MX", "0 .")
        self.good, self.partner, self.slow = (RemoteMta(f"127.0.1.{number}", base + 150) for number in (1, 2, 3))
        self.desk = Desk(base + 190).start()

    def stop(self) -> None:
        for one in (self.zones, self.good, self.partner, self.slow, self.desk):
            one.stop()
