"""The chart renders what Kubernetes takes, for many values: every stage of the table, restricted, with no secret in the open."""

import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from contracts.settings import Settings
from contracts.stages import STAGES
from local.install_helm import helm

CHART = Path(__file__).parents[3] / "helm" / "mailscope"
OF_OTHERS = {
    "ServiceMonitor",
    "PrometheusRule",
    "ScaledObject",
    "Certificate",
}  # kinds that Kubernetes itself does not know
SECURED: dict[str, Any] = {
    "kafka": {
        "bootstrap": "a:9093,b:9093",
        "properties": {"security.protocol": "SASL_SSL", "sasl.mechanisms": "SCRAM-SHA-512"},
        "caSecret": {"name": "kafka-ca"},
        "auth": {"existingSecret": "kafka-users"},
    },
    "clickhouse": {
        "secure": True,
        "port": 8443,
        "existingSecret": "ch",
        "caSecret": {"name": "ch-ca"},
        "cluster": "main",
    },
    "secrets": {"existingSecret": "own"},
    "blobs": {"existingSecret": "s3"},
    "secretMounts": [
        {"name": "dkim.keys.example.com", "mountPath": "/keys"},
        {"name": "webhooks", "mountPath": "/hooks"},
    ],
    "tls": {"certManager": {"enabled": True, "issuerRef": {"name": "letsencrypt"}}},
}
MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "secured": SECURED,
    "one user": {"kafka": {"auth": {"existingSecret": "kafka-users", "sharedUser": "mail"}}},
    "everything": {
        **SECURED,
        "proxyProtocol": {"enabled": True, "from": ["10.0.0.0/8"]},
        "console": {
            "publicUrl": "https://mail.example.com",
            "trustedProxies": ["10.0.0.0/8"],
            "ingress": {"enabled": True, "host": "mail.example.com", "className": "nginx", "tlsSecret": "web"},
        },
        "stages": {
            "mailboxes": {"enabled": True},
            "subscriptions": {"enabled": True},
            "smtp": {"autoscaling": {"enabled": True}},
            "inbound": {"keda": {"enabled": True}},
        },
        "monitoring": {
            "serviceMonitor": {"enabled": True},
            "prometheusRule": {"enabled": True},
            "dashboards": {"enabled": True},
        },
        "networkPolicy": {
            "egressPorts": {"delivery": [2525]},
            "webhookPorts": [443],
            "metricsFrom": [{"namespaceSelector": {}}],
        },
        "keda": {"authenticationRef": "kafka"},
    },
    "small": {
        "stageDefaults": {"replicas": 1},
        "smtp": {"service": {"type": "NodePort", "nodePort": 30025}},
        "submission": {"service": {"type": "ClusterIP"}},
        "networkPolicy": {"enabled": False},
        "jobs": {"topics": {"enabled": False}, "schema": {"enabled": False}},
        "serviceAccount": {"create": False},
        "tls": {"existingSecret": "tls"},
    },
}

pytestmark = pytest.mark.skipif(not helm().exists(), reason="needs Helm: python -m local.install_helm")


def run(tmp_path: Path, values: dict[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    command = [str(helm()), *words, str(CHART), "--values", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(tmp_path)})


@pytest.fixture(params=MATRIX)
def rendered(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, list[dict[str, Any]]]:
    done = run(tmp_path, MATRIX[request.param], "template", "mail", "--namespace", "mail")
    assert done.returncode == 0, done.stderr
    return request.param, [one for one in yaml.safe_load_all(done.stdout) if one]


def of_kind(manifests: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [one for one in manifests if one["kind"] in kinds]


def pods(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specification of every pod."""
    found = [one["spec"] for one in of_kind(manifests, "Pod")]
    return found + [one["spec"]["template"]["spec"] for one in of_kind(manifests, "Deployment", "StatefulSet", "Job")]


def test_kubernetes_takes_it(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    _, manifests = rendered
    for one in manifests:
        if one["kind"] not in OF_OTHERS:
            kubernetes_validate.validate(one, "1.37", strict=True)
    names = [(one["kind"], one["metadata"]["name"]) for one in manifests]
    assert len(names) == len(set(names))


def test_every_stage_is_there_and_has_its_name_where_that_matters(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    case, manifests = rendered
    workloads = {one["metadata"]["name"]: one for one in of_kind(manifests, "Deployment", "StatefulSet")}
    stages = [stage for stage in STAGES if not stage.only_with or case == "everything"]
    assert set(workloads) == {f"mail-mailscope-{stage.name}" for stage in stages}
    for stage in stages:
        one = workloads[f"mail-mailscope-{stage.name}"]
        assert one["kind"] == ("StatefulSet" if stage.groups else "Deployment")
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert container["args"][: len(stage.command)] == list(stage.command)
        assert one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 30
        named = [
            env["valueFrom"]["fieldRef"]["fieldPath"] for env in container["env"] if env["name"] == "MAILSCOPE_INSTANCE"
        ]
        assert named == ["metadata.name"]


def test_stages_are_upgraded_one_after_the_other_behind_the_jobs_of_the_new_version(tmp_path: Path) -> None:
    values = {"image": {"tag": "2"}, "stageDefaults": {"imageTag": "1"}, "stages": {"clickhouse": {"imageTag": "2"}}}
    manifests = [one for one in yaml.safe_load_all(run(tmp_path, values, "template", "mail").stdout) if one]
    for one in of_kind(manifests, "Deployment", "StatefulSet", "Job"):
        new = one["kind"] == "Job" or one["metadata"]["name"] == "mail-mailscope-clickhouse"
        assert one["spec"]["template"]["spec"]["containers"][0]["image"] == f"mailscope:{2 if new else 1}"


@pytest.mark.parametrize("by", ["autoscaling", "keda"])
def test_who_is_scaled_by_nothing_keeps_its_replicas(tmp_path: Path, by: str) -> None:
    done = run(tmp_path, {"stageDefaults": {by: {"enabled": True}, "replicas": 3}}, "template", "mail")
    manifests = [one for one in yaml.safe_load_all(done.stdout) if one]
    scaled = {
        one["spec"]["scaleTargetRef"]["name"] for one in of_kind(manifests, "HorizontalPodAutoscaler", "ScaledObject")
    }
    for one in of_kind(manifests, "Deployment", "StatefulSet"):
        assert one["spec"].get("replicas") == (None if one["metadata"]["name"] in scaled else 3), one["metadata"][
            "name"
        ]


def test_a_pod_takes_requests_where_it_can_answer_them(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    """The console sends, and unsubscribes, without ClickHouse."""
    _, manifests = rendered
    for one in of_kind(manifests, "Deployment", "StatefulSet"):
        path = one["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"]
        is_console = one["metadata"]["name"] == "mail-mailscope-console"
        assert path == ("/readyz?exclude=store" if is_console else "/readyz")


def policies(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By the stage."""
    found = of_kind(manifests, "NetworkPolicy")
    return {one["metadata"]["name"].removeprefix("mail-mailscope-"): one["spec"] for one in found}


def test_each_stage_reaches_what_it_needs_by_the_values_that_say_where_it_is(
    rendered: tuple[str, list[dict[str, Any]]],
) -> None:
    case, manifests = rendered
    for name, policy in policies(manifests).items():
        ports = {port["port"] for rule in policy["egress"] for port in rule.get("ports", ())}
        assert ports >= ({53, 9093, 443} if case in ("secured", "everything") else {53, 9092, 443})
        if name in ("clickhouse", "console"):
            assert (8443 if case in ("secured", "everything") else 8123) in ports
        assert (2525 in ports) == (case == "everything" and name == "delivery")


def test_who_shuts_the_console_lets_its_metrics_and_the_test_in(tmp_path: Path) -> None:
    ingress, prometheus = ({"namespaceSelector": {"matchLabels": {"is": one}}} for one in ("ingress", "prometheus"))
    values = {"networkPolicy": {"consoleFrom": [ingress], "metricsFrom": [prometheus]}}
    manifests = list(yaml.safe_load_all(run(tmp_path, values, "template", "mail").stdout))
    (rule,) = policies(manifests)["console"]["ingress"]
    assert rule["from"][:2] == [ingress, prometheus]
    (test,) = of_kind(manifests, "Pod")
    assert rule["from"][2]["podSelector"]["matchLabels"].items() <= test["metadata"]["labels"].items()
    assert policies(manifests)["inbound"]["ingress"] == [{"ports": [{"port": "health"}], "from": [prometheus]}]


def test_who_calls_webhooks_may_connect_to_them(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    case, manifests = rendered
    if case != "everything":
        return
    for stage in ("handlers", "subscriptions"):
        assert {"ports": [{"port": 443}]} in policies(manifests)[stage]["egress"]


def test_every_pod_is_restricted_and_bounded(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    """Pod Security Standards, level restricted."""
    _, manifests = rendered
    for pod in pods(manifests):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True and security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False and "hostNetwork" not in pod
        for volume in pod["volumes"]:
            assert re.fullmatch(r"[a-z0-9-]{1,63}", volume["name"]), "a label of DNS, which a Secret's name need not be"
            assert set(volume) - {"name"} <= {"configMap", "emptyDir", "secret"}
        for container in pod["containers"]:
            inner = container["securityContext"]
            assert inner["allowPrivilegeEscalation"] is False and inner["readOnlyRootFilesystem"] is True
            assert inner["capabilities"] == {"drop": ["ALL"]} and container["resources"]["limits"]["memory"]
            assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}


def test_the_configuration_is_one_that_the_stages_take_and_holds_no_secret(
    rendered: tuple[str, list[dict[str, Any]]],
) -> None:
    case, manifests = rendered
    maps = [one for one in of_kind(manifests, "ConfigMap") if "mailscope.yaml" in one["data"]]
    assert len({one["data"]["mailscope.yaml"] for one in maps}) == 1
    settings = Settings.model_validate(yaml.safe_load(maps[0]["data"]["mailscope.yaml"]))
    assert str(settings.secret_file) == "/run/mailscope/own/secret" and not settings.kafka_is_local
    if case in ("secured", "everything"):
        assert settings.kafka.properties["ssl.ca.location"] == "/run/mailscope/kafka-ca/ca.crt"
        assert settings.store.cluster == "main" and str(settings.smtp.tls_cert) == "/run/mailscope/tls/tls.crt"
        assert not of_kind(manifests, "Secret")
    if case == "everything":
        assert settings.smtp.proxies == ["10.0.0.0/8"] and settings.console.secure_cookie


def test_what_people_write_stays_but_for_what_the_chart_knows(tmp_path: Path) -> None:
    """A port of the configuration would leave the Services without anybody behind them."""
    ports = {"smtp": {"port": 25}, "submission": {"port": 587}, "metrics": {"port": 1}}
    values = {"config": {**ports, "console": {"port": 80, "trusted_proxies": ["10.0.0.0/8"]}}}
    manifests = [one for one in yaml.safe_load_all(run(tmp_path, values, "template", "mail").stdout) if one]
    for one in of_kind(manifests, "ConfigMap")[:1]:
        settings = Settings.model_validate(yaml.safe_load(one["data"]["mailscope.yaml"]))
    assert settings.console.trusted_proxies == ["10.0.0.0/8"]
    listens = {settings.smtp.port, settings.submission.port, settings.console.port, settings.metrics.port}
    deployed = of_kind(manifests, "Deployment", "StatefulSet")
    assert listens == {
        port["containerPort"] for one in deployed for port in one["spec"]["template"]["spec"]["containers"][0]["ports"]
    }


def test_each_stage_has_its_own_users_and_nobody_elses(rendered: tuple[str, list[dict[str, Any]]]) -> None:
    case, manifests = rendered
    if case != "secured":
        return
    roles = {"clickhouse": "writer", "console": "reader", "schema": "owner"}
    for one in of_kind(manifests, "Deployment", "StatefulSet", "Job"):
        name = one["metadata"]["name"].removeprefix("mail-mailscope-")
        pod = one["spec"]["template"]["spec"]
        environ = {env["name"]: env.get("value", "") for env in pod["containers"][0]["env"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        user = "clickhouse" if name == "schema" else name
        assert environ["MAILSCOPE_KAFKA__USER"] == f"mailscope-{user}"
        assert volumes["kafka"]["secret"]["items"] == [{"key": user, "path": "password"}]
        assert ("clickhouse" in volumes) == (name in roles)
        if name in roles:
            assert volumes["clickhouse"]["secret"]["items"] == [{"key": roles[name], "path": "password"}]
            assert f"mailscope_{roles[name]}@clickhouse:8443" in environ["MAILSCOPE_STORE__DSN"]
        admin = [item["key"] for item in volumes.get("own", {"secret": {"items": []}})["secret"]["items"]]
        assert ("admin-token" in admin) == (name == "console")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kafka": {"bootstrp": "x"}}, "'bootstrp' not allowed"),
        ({"stages": {"inbuond": {}}}, "'inbuond' not allowed"),
        ({"stageDefaults": {"terminationGracePeriodSeconds": 5}}, "terminationGracePeriodSeconds"),
        ({"smtp": {"service": {"type": "Ingress"}}}, "/smtp/service/type"),
        ({"proxyProtocol": {"enabled": True}}, "name the networks of the load balancer"),
        (
            {"config": {"handlers": {"desk": {"webhook": "https://d/", "secret": "whsec_aGk="}}}},
            "handlers.desk.secret would be readable",
        ),
        ({"kafka": {"properties": {"sasl.password": "x"}}}, "sasl.password would be readable"),
        ({"config": {"kafka": {"properties": {"ssl.key.pem": "x"}}}}, "ssl.key.pem would be readable"),
        ({"tls": {"certManager": {"enabled": True}}}, "name the issuer"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_told(tmp_path: Path, values: dict[str, Any], says: str) -> None:
    done = run(tmp_path, values, "template", "mail")
    assert done.returncode != 0 and says in done.stderr


def test_lint_finds_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, MATRIX["everything"], "lint", "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
