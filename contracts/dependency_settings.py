"""The settings of what the stages depend on: DNS, Kafka, the log store, the blob store."""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from contracts.setting_types import Duration, Servers, Size


class Section(BaseModel):
    """A part of mailscope.yaml. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Dns(Section):
    nameservers: list[str] = Field([], description="Name servers as `host` or `host:port`; empty means the system's.")
    timeout: Duration = Field(timedelta(seconds=3), description="How long one question may take.")


class Kafka(Section):
    bootstrap: Servers = Field(
        "127.0.0.1:9092",
        description="Bootstrap servers, `host:port` with commas between. Where it is one server on this machine, `mailscope up` runs "
        "it; several, or another machine's, are somebody else's and stay as they are (`MAILSCOPE_PORT_BASE` does not move them).",
    )
    partitions: int = Field(
        4, ge=1, le=1000, description="Partitions of a topic that `mailscope topics apply` creates."
    )
    replication: int = Field(1, ge=1, le=7, description="Replication factor of a topic that `topics apply` creates.")
    properties: dict[str, str] = Field(
        {},
        description="Further librdkafka properties of every client, such as `security.protocol` and `sasl.username`.",
    )
    user: str = Field(
        "", description="User of SASL (`sasl.username`); each stage may have its own: `mailscope topics acls`."
    )
    password_file: Path | None = Field(
        None, description="File whose first line is the password of `user`; read when a process starts."
    )


class Store(Section):
    dsn: str = Field(
        "",
        description="The log store: a ClickHouse server by HTTP (`clickhouse://user@host:8123/mailscope`) or HTTPS "
        "(`clickhouses://user@host:8443/mailscope`; `?ca_cert=FILE` for an authority of your own), or `chdb:///folder` for the embedded "
        "engine; empty means the embedded engine in `data_dir`.",
    )
    password_file: Path | None = Field(
        None, description="File whose first line is the password of the user in `dsn`; read anew for each connection."
    )
    cluster: str = Field(
        "",
        pattern=r"^[\w.{}-]*$",
        description="Name of a replicated ClickHouse cluster; the tables are then made ON CLUSTER.",
    )
    retention: Duration = Field(timedelta(days=21), description="How long the log keeps a mail and its events.")
    raw_retention: Duration = Field(timedelta(days=21), description="How long the raw message can be downloaded.")
    query_memory: Size = Field(
        2 << 30,
        ge=64 << 20,
        description="Octets that the queries of a console may take, all together; one may take half of it.",
    )
    batch_rows: int = Field(10_000, ge=1, description="Rows after which the sink inserts.")
    batch_size: Size = Field(16 << 20, description="Octets after which the sink inserts.")
    batch_age: Duration = Field(timedelta(milliseconds=100), description="Age of the oldest row at which it inserts.")


class Blobs(Section):
    url: str = Field(
        "",
        description="`file:///folder` or `s3://bucket/prefix`; empty means a folder in `data_dir`. Needed where Kafka is not on this "
        "machine: what one process keeps must be found by all.",
    )
    threshold: Size = Field(
        256 << 10, le=900 << 10, description="Messages above this size travel by claim check (octets; at most 900 KiB)."
    )
