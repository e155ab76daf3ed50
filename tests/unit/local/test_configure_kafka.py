from pathlib import Path

from local.configure_kafka import Broker, broker_command, format_command, properties

BROKER = Broker(Path("/data/kafka"), 9092, 9093)


def parsed() -> dict[str, str]:
    return dict(line.split("=", 1) for line in properties(BROKER).splitlines())


def test_listens_on_loopback_only() -> None:
    listeners = parsed()["listeners"].split(",")
    assert listeners == ["PLAINTEXT://127.0.0.1:9092", "CONTROLLER://127.0.0.1:9093"]


def test_topics_are_never_created_by_a_typing_error() -> None:
    assert parsed()["auto.create.topics.enable"] == "false"


def test_every_internal_topic_is_content_with_one_copy() -> None:
    settings = parsed()
    copies = {k: v for k, v in settings.items() if k.endswith(("replication.factor", "min.isr", "insync.replicas"))}
    assert len(copies) == 7 and set(copies.values()) == {"1"}


def test_a_killed_broker_is_let_in_again_after_two_seconds_and_compaction_fits_the_heap() -> None:
    settings = parsed()
    assert settings["broker.session.timeout.ms"] == "2000"
    assert int(settings["log.cleaner.dedupe.buffer.size"]) <= 8 * 1024 * 1024


def test_everything_the_broker_writes_is_in_its_folder() -> None:
    command = broker_command(BROKER, Path("/jdk/java"), "a.jar", ["-Xsharing"])
    assert "-Xsharing" in command
    paths = [argument.partition("=")[2] for argument in command if "=/" in argument]
    assert len(paths) == 1 and all(path.startswith("/data/kafka/") for path in paths)
    assert parsed()["log.dirs"].startswith("/data/kafka/")


def test_format_names_the_cluster_and_one_voter() -> None:
    command = format_command(BROKER, Path("/jdk/java"), "a.jar", "id22")
    assert command[-1] == "--standalone" and command[command.index("-t") + 1] == "id22"
