"""Configurations that must not start, and what they are told."""

from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from runtime.load_settings import load_settings, port_base

BAD = sorted((Path(__file__).resolve().parents[2] / "data" / "bad_configurations").glob("*.yaml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_configuration_is_refused_with_the_sentence_that_helps(path: Path) -> None:
    expected = path.read_text().splitlines()[0].removeprefix("# expect: ")
    with pytest.raises(ConfigurationError) as caught:
        load_settings({}, path)
    assert expected in str(caught.value)


def test_there_are_bad_configurations() -> None:
    assert len(BAD) >= 12


def test_variables_win_over_the_file_and_the_port_base_over_both(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("delivery: {expire: 1d}\nsmtp: {port: 25}\n")
    settings = load_settings({"MAILSCOPE_DELIVERY__EXPIRE": "2h", "MAILSCOPE_PORT_BASE": "20000"}, file)
    assert settings.delivery.expire.total_seconds() == 7200
    assert (settings.smtp.port, settings.console.port, settings.metrics.port) == (20025, 20080, 20101)
    assert settings.kafka.bootstrap == "127.0.0.1:20092"


def test_without_a_file_example_com_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings({})
    assert list(settings.inbound.domains) == ["example.com"]
    assert (settings.smtp.port, settings.console.port, settings.kafka.bootstrap) == (2525, 8025, "127.0.0.1:9092")


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"MAILSCOPE_DELIVERY__EXPIRES": "1d"}, "did you mean 'MAILSCOPE_DELIVERY__EXPIRE'?"),
        ({"MAILSCOPE_PORT_BASE": "many"}, "'many' is no port base"),
        ({"MAILSCOPE_CONFIG": "/nowhere/m.yaml"}, "/nowhere/m.yaml cannot be read"),
        ({"MAILSCOPE_DELIVERY__ALLOW_PRIVATE": "perhaps"}, "delivery.allow_private: 'perhaps'"),
    ],
)
def test_a_wrong_variable_is_named(
    environ: dict[str, str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ)
    assert says in str(caught.value)


def test_false_is_false(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings({"MAILSCOPE_DELIVERY__ALLOW_PRIVATE": "false"}).delivery.allow_private is False


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text('handlers: {desk: {webhook: "http://127.0.0.1/", secret: "whsec_hidden"}}\n')
    settings = load_settings({}, file)
    secret = settings.handlers["desk"].secret
    assert secret is not None and secret.reveal() == "whsec_hidden"
    assert "hidden" not in repr(settings) and "hidden" not in settings.model_dump_json()


def test_a_wrong_secret_is_refused_without_being_shown(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    for text in (
        "handlers: {desk: {webhook: 'http://127.0.0.1/', secret: 4711}}",
        "kafka: {properties: {sasl.password: 4711}}",
        "store: {dsn: 4711}",
    ):
        file.write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            load_settings({}, file)
        assert "4711" not in str(caught.value)


def test_the_variables_of_the_command_line_are_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_settings({"MAILSCOPE_TOKEN": "t", "MAILSCOPE_INSTANCE": "i"})


def test_every_setting_is_a_variable_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(
        {"MAILSCOPE_KAFKA__PROPERTIES": "{security.protocol: ssl}", "MAILSCOPE_AUTHSERV_ID": "mx.x.test"}
    )
    assert settings.kafka.properties == {"security.protocol": "ssl"} and settings.authserv_id == "mx.x.test"


@pytest.mark.parametrize("base", ["0", "-5", "65337", "1e3", "²", " 20000"])
def test_a_port_base_that_has_no_room_is_refused(base: str) -> None:
    with pytest.raises(ConfigurationError, match="MAILSCOPE_PORT_BASE"):
        port_base({"MAILSCOPE_PORT_BASE": base})


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("smtp: {prot: 25}\ndelivery: {expire: 3, per_domain: 0}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"MAILSCOPE_SMTP__PROT": "25"}, file)
    for said in ("smtp.prot", "delivery.expire", "delivery.per_domain", "MAILSCOPE_SMTP__PROT"):
        assert said in str(caught.value)
