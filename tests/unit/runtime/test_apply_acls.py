"""The manifests for Strimzi's operator say what `topics apply` and `topics acls --apply` do, and no more."""

from contracts.acls import principal, users
from contracts.settings import Settings
from runtime.apply_acls import strimzi_manifests
from runtime.apply_topics import pipeline_topics


def test_a_topic_grows_with_the_setting_and_a_table_never_does() -> None:
    settings = Settings.model_validate({"kafka": {"partitions": 7, "replication": 3}})
    made = strimzi_manifests(settings, pipeline_topics(settings), "main")
    topics = {one["metadata"]["name"]: one["spec"] for one in made if one["kind"] == "KafkaTopic"}
    tables = {name for name, spec in topics.items() if "compact" in spec["config"]["cleanup.policy"]}
    assert {"mail.tokens", "mail.suppressions", "mail.claims"} <= tables
    for name, spec in topics.items():
        assert spec.get("partitions") == (None if name in tables else 7), name
        assert spec["replicas"] == 3 and spec["config"]["min.insync.replicas"] == "2"


def test_each_user_has_the_rights_of_the_table() -> None:
    settings = Settings()
    made = strimzi_manifests(settings, [], "main")
    assert {one["metadata"]["name"] for one in made} == {principal(user) for user in users()}
    (smtp,) = [one for one in made if one["metadata"]["name"] == "mailscope-smtp"]
    raw = [acl for acl in smtp["spec"]["authorization"]["acls"] if acl["resource"]["name"] == "mail.raw"]
    assert raw == [
        {
            "resource": {"type": "topic", "name": "mail.raw", "patternType": "literal"},
            "operations": ["Write"],
        }
    ]
