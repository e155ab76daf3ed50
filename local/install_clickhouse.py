"""Fetch ClickHouse's server, on which tests run the log: `python -m local.install_clickhouse`. Without npm they are left out.

No registry has its binary. The library of chDB that npm holds is ClickHouse whole, its server too, where the wheels of PyPI lack it.
"""

import sys

from local.fetch_npm import NpmFile, install

LIBRARY = NpmFile(
    package="@chdb/lib-linux-x64-gnu",
    version="26.7.3-stable.1",
    sha256="c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad",
    member="package/libchdb.so",
    folder="clickhouse-server",
)


if __name__ == "__main__":
    sys.exit(install(LIBRARY, "tests of a ClickHouse server", 300.0))
