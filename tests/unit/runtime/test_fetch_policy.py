"""An MTA-STS policy is fetched from the public internet only."""

import pytest

from runtime.fetch_policy import policy_fetcher
from tests.fakes.zone import Zone


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:0:7f00:1", "5f00::1", "64:ff9b:1::7f00:1", "2002:7f00:1::"])
async def test_a_host_at_an_inner_address_is_not_asked(address: str) -> None:
    zone = Zone({"mta-sts.x.test": {"AAAA" if ":" in address else "A": [address]}})
    with pytest.raises(OSError, match="no public address"):
        await policy_fetcher(zone)("mta-sts.x.test")
