from pathlib import Path

from local.configure_kafka import Broker, broker_command, format_command, properties

BROKER = Broker(Path("/data/kafka"), 9092, 9093)


VOTERS = ("1@127.0.0.1:9095", "2@127.0.0.1:9096", "3@127.0.0.1:9097")


def parsed(broker: Broker = BROKER) -> dict[str, str]:
    return dict(line.split("=", 1) for line in properties(broker).splitlines())


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


def test_a_node_of_three_knows_the_others_and_keeps_three_copies() -> None:
    node = Broker(Path("/data/kafka"), 9093, 9096, 2, VOTERS)
    settings = parsed(node)
    assert (settings["node.id"], settings["controller.quorum.voters"]) == ("2", ",".join(VOTERS))
    assert "controller.quorum.bootstrap.servers" not in settings
    assert settings["offsets.topic.replication.factor"] == "3" and settings["min.insync.replicas"] == "2"
    assert "--standalone" not in format_command(node, Path("/jdk/java"), "a.jar", "id22")
