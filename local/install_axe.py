"""Fetch axe-core, which tests of accessibility run in the browser: `python -m local.install_axe`. Without npm they are left out."""

import sys

from local.fetch_npm import NpmFile, install

AXE = NpmFile(
    package="axe-core",
    version="4.14.1",
    sha256="e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
    member="package/axe.min.js",
    folder="mailscope-axe",
)


if __name__ == "__main__":
    sys.exit(install(AXE, "tests of accessibility"))
