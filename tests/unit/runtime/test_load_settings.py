"""Configurations that must not start, and what they are told."""

import re
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from runtime.load_settings import load_settings, load_with_origin, port_base

BAD = sorted((Path(__file__).resolve().parents[2] / "data" / "bad_configurations").glob("*.yaml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_configuration_is_refused_with_its_line_and_the_sentence_that_helps(path: Path) -> None:
    """The first line of each file says what is expected: `# expect line 2: smtp.port: 70000`."""
    expected = re.fullmatch(r"# expect line (\d+): (.+)", path.read_text().splitlines()[0])
    assert expected, path
    with pytest.raises(ConfigurationError) as caught:
        load_settings({}, path)
    told = [line for line in str(caught.value).splitlines() if expected[2] in line]
    assert told and told[0].strip().startswith(f"{path}:{expected[1]}: "), str(caught.value)


def test_there_are_bad_configurations() -> None:
    assert len(BAD) >= 37


def test_variables_win_over_the_file_and_the_port_base_over_both(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("delivery: {expire: 1d}\nsmtp: {port: 25}\n")
    settings = load_settings({"MAILSCOPE_DELIVERY__EXPIRE": "2h", "MAILSCOPE_PORT_BASE": "20000"}, file)
    assert settings.delivery.expire.total_seconds() == 7200
    assert (settings.smtp.port, settings.console.port, settings.metrics.port) == (20025, 20080, 20101)
    assert settings.kafka.bootstrap == "127.0.0.1:20092"


@pytest.mark.parametrize("bootstrap", ["127.0.0.1:9092,127.0.0.1:9192", "kafka.example.net:9092"])
def test_the_port_base_moves_only_a_broker_that_is_ours_to_run(tmp_path: Path, bootstrap: str) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(f"kafka: {{bootstrap: '{bootstrap}'}}\n")
    settings = load_settings({"MAILSCOPE_PORT_BASE": "20000"}, file)
    assert (settings.kafka.bootstrap, settings.embedded_kafka) == (bootstrap, False)


def test_brokers_are_named_without_spaces(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("kafka: {bootstrap: 'a:9092, b:9092,'}\n")
    assert load_settings({}, file).kafka.bootstrap == "a:9092,b:9092"


def test_the_password_of_kafka_is_what_its_file_says(tmp_path: Path) -> None:
    file, password = tmp_path / "m.yaml", tmp_path / "password"
    password.write_text("first line\nsecond\n")
    file.write_text("kafka: {user: ann, properties: {security.protocol: SASL_SSL}}\n")
    client = load_settings({"MAILSCOPE_KAFKA__PASSWORD_FILE": str(password)}, file).kafka_client
    assert (client["sasl.username"], client["sasl.password"]) == ("ann", "first line")
    assert client["security.protocol"] == "SASL_SSL"
    password.write_text("")
    with pytest.raises(ConfigurationError, match=r"kafka\.password_file: .* cannot be read: it has no first line"):
        load_settings({"MAILSCOPE_KAFKA__PASSWORD_FILE": str(password)}, file)


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
    file.write_text('handlers: {desk: {webhook: "http://127.0.0.1/", secret: "whsec_aGlkZGVu"}}\n')
    settings = load_settings({}, file)
    secret = settings.handlers["desk"].secret
    assert secret is not None and secret.reveal() == "whsec_aGlkZGVu"
    assert "aGlk" not in repr(settings) and "aGlk" not in settings.model_dump_json()


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


@pytest.mark.parametrize(
    ("text", "environ", "line"),
    [
        ("smtp:\n  port: 70000\n", {"MAILSCOPE_SMTP__PORT": "2525"}, "2: smtp.port: 70000"),
        ("smtp:\n  port: 70000\n", {"MAILSCOPE_PORT_BASE": "20000"}, "2: smtp.port: 70000"),
        ("kafka:\n  bootstrap: [a, b]\n", {"MAILSCOPE_PORT_BASE": "20000"}, "2: kafka.bootstrap: "),
        ("data_dir: 7\n", {"MAILSCOPE_DATA_DIR": "data"}, "1: data_dir: 7"),
        ("delivery:\n  retry: [9d]\n", {"MAILSCOPE_DELIVERY__RETRY": "[1m]"}, "1: delivery: each of retry"),
    ],
)
def test_a_variable_does_not_hide_what_is_wrong_in_the_file(
    text: str, environ: dict[str, str], line: str, tmp_path: Path
) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ, file)
    assert f"{file}:{line}" in str(caught.value)
    assert str(caught.value).count("\n") == 1  # and it is told once


def test_a_variable_may_complete_the_file(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("inbound: {routes: [{match: {to: 'a@b.c'}, handle: desk}]}\nsmtp: {tls_key: k.pem}\n")
    environ = {"MAILSCOPE_HANDLERS": "{desk: {python: 'a:b'}}", "MAILSCOPE_SMTP__TLS_CERT": "c.pem"}
    assert load_settings(environ, file).handlers["desk"].python == "a:b"


def test_a_wrong_value_of_a_variable_names_the_variable_and_not_the_file(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("smtp:\n  port: 2525\n")
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"MAILSCOPE_SMTP__PORT": "70000"}, file)
    assert "MAILSCOPE_SMTP__PORT: smtp.port: 70000: " in str(caught.value) and ":2" not in str(caught.value)


def test_every_value_can_be_traced_to_its_line_or_variable(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("smtp:\n  port: 2525\n\noutbound:\n  domains:\n    Example.COM: {}\n")
    _, origin = load_with_origin({"MAILSCOPE_CONSOLE__PORT": "8080"}, file)
    assert origin.point(("smtp", "port"), "x") == f"{file}:2: x"
    assert origin.point(("smtp", "tls_cert"), "x") == f"{file}:1: x"
    assert origin.point(("console", "port"), "x") == "MAILSCOPE_CONSOLE__PORT: x"
    assert origin.point(("delivery", "port"), "x") == "x"
    where = origin.point_by_text("outbound.domains.example.com.dkim[0].key_file: gone")
    assert where == f"{file}:6: outbound.domains.example.com.dkim[0].key_file: gone"
    assert origin.point_by_text("smtpx: y") == "smtpx: y"


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        (b"a: 1\n\nb: \xff\n", "3: this is not YAML: it is not UTF-8"),
        (b"a: 1\nb: \x01\n", "2: this is not YAML: special"),
    ],
)
def test_octets_that_are_no_text_are_found(octets: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_bytes(octets)
    with pytest.raises(ConfigurationError) as caught:
        load_settings({}, file)
    assert str(caught.value).startswith(f"{file}:{says}")


@pytest.mark.parametrize("secret", ["whsec_a", "whsec_", "whsec_aGlk*ZGVu", "pass phrase", "whsec_====", "aGlk ZGVu"])
def test_a_webhook_secret_that_would_be_guessed_at_is_refused(secret: str, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(f"handlers: {{desk: {{webhook: 'http://x/', secret: '{secret}'}}}}\n")
    with pytest.raises(ConfigurationError, match="write whsec_ and base64"):
        load_settings({}, file)


@pytest.mark.parametrize("secret", ["whsec_aGlkZGVuIQ==", "whsec_aGlkZGVuIQ", "aGlkZGVu"])
def test_a_webhook_secret_may_leave_out_prefix_and_padding(secret: str, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(f"handlers: {{desk: {{webhook: 'http://x/', secret: '{secret}'}}}}\n")
    kept = load_settings({}, file).handlers["desk"].secret
    assert kept is not None and kept.reveal() == secret
