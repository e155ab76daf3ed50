"""Every setting, declared once: name, type, default, help and unit. docs/settings.md is generated from here.

`load_settings.py` reads them from mailscope.yaml and `MAILSCOPE_...` variables.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from contracts.dependency_settings import Blobs, Dns, Kafka, Section, Store
from contracts.login_settings import Oidc
from contracts.setting_types import (
    Address,
    Allowed,
    Domain,
    Duration,
    MailboxUrl,
    Network,
    Pattern,
    Reply,
    Size,
    Smarthost,
    WebhookSecret,
    format_duration,
    is_embedded_kafka,
    is_loopback,
    split_mailbox,
)
from contracts.subscription_settings import Subscription

AuthWord = Literal["none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror"]
SkipWord = Literal["blocked_sender", "loop", "auto_reply", "bulk", "empty", "duplicate"]
SubscriptionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
RejectOn = Literal["spf-fail", "dkim-fail", "dmarc-reject", "dmarc-quarantine", "bad-from"]


class Smtp(Section):
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(2525, ge=1, le=65535, description="Port to listen on.")
    processes: int = Field(2, ge=1, le=64, description="Receiver processes that share the port (SO_REUSEPORT).")
    max_size: Size = Field(50 << 20, ge=10_000, description="Largest message, announced by SIZE (RFC 1870).")
    max_recipients: int = Field(100, ge=1, le=1000, description="Recipients of one transaction; more get 452 4.5.3.")
    connections: int = Field(500, ge=1, description="Connections at a time, for each process; more get 421.")
    connections_per_peer: int = Field(
        50,
        ge=1,
        description="Connections at a time from one peer (an IPv4 address, an IPv6 /64), for each process; fewer when few are left: an "
        "eighth of those, so that newcomers find a place.",
    )
    connects_per_peer: int = Field(
        300,
        ge=1,
        description="Connections of one peer in a minute that bring no message, for each process; more get 421.",
    )
    proxies: list[Network] = Field(
        [],
        description="Addresses and networks of load balancers in front, at this port and that of `submission`: who connects from "
        "there has to begin with a PROXY header (version 1 or 2), and the address in it is the peer's. From anybody else such a header is "
        "no command.",
    )
    trusted: list[Network] = Field(
        [], description="Addresses and networks without limits by peer: gateways in front of us, monitors, load tests."
    )
    idle_timeout: Duration = Field(timedelta(minutes=5), description="Silence after which a connection is closed.")
    data_timeout: Duration = Field(
        timedelta(minutes=10), description="How long the content of one message may take to arrive; then 421."
    )
    min_rate: Size = Field(
        256,
        description="Octets a second with which the content of a message has to arrive after its first minute, or 421; 0: as it likes.",
    )
    memory: Size = Field(
        256 << 20,
        ge=1 << 20,
        description="Octets of messages above 64 KiB that one process (a receiver; the send hook) holds in memory, beside a read buffer of "
        "each connection; one IP address may have a quarter of it. Messages above 1 MiB wait on disk (`data_dir`/spool) for room; none "
        "within a minute: 452.",
    )
    max_commands: int = Field(1000, ge=10, description="Commands of one connection without a message; more get 421.")
    max_unknown_recipients: int = Field(
        20,
        ge=1,
        description="Unknown recipients of one connection; then a transaction that has others gets 452, any other one 421.",
    )
    unknown_recipients_per_peer: int = Field(
        100,
        ge=1,
        description="Unknown recipients of one peer in an hour, less one for every five messages taken from it, for each process; then "
        "its connections get 421 for a while.",
    )
    refusal_delay: Duration = Field(
        timedelta(milliseconds=500),
        description="How long the reply to an unknown recipient waits once a peer has asked for five; 0s: never.",
    )
    reports_per_peer: int = Field(
        200, ge=1, description="Reports about forwards (to SRS addresses) from one peer in an hour; more get 451 4.7.1."
    )
    reports_per_sender: int = Field(
        20, ge=1, description="Reports about forwards that are passed on to one sender in an hour; more get 451 4.7.1."
    )
    tls_cert: Path | None = Field(
        None, description="PEM file with the certificate chain for STARTTLS; empty: a self-signed one in `data_dir`."
    )
    tls_key: Path | None = Field(None, description="PEM file with the private key.")
    verdict_timeout: Duration = Field(
        timedelta(seconds=10), description="How long the sender waits for the verdict; 0s answers at once."
    )
    verdict_misses: int = Field(
        3, ge=1, description="Time-outs in a row after which it stops waiting until verdicts flow."
    )
    max_backlog: Duration = Field(
        timedelta(hours=2),
        description="For how long mail may wait for the processors before no more is taken (451), until they get on.",
    )
    drain_timeout: Duration = Field(timedelta(seconds=2), description="On SIGTERM: time for open transactions to end.")


class Submission(Section):
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(2587, ge=1, le=65535, description="Port to listen on; its limits are those of `smtp`.")


class Console(Section):
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8025, ge=1, le=65535, description="Port of the console and the API.")
    public_url: str = Field(
        "", description="Address that people and handlers reach it by; empty: http:// with host and port."
    )
    trusted_proxies: list[Network] = Field(
        [],
        description="Addresses or networks of the proxies in front, whose X-Forwarded-For says who asks; empty: whoever connects.",
    )
    open_metrics: bool = Field(True, description="Answer /metrics to anybody; false: to a token of the scope `read`.")
    open_openapi: bool = Field(
        True, description="Answer /openapi.json to anybody; false: to a token of the scope `read`."
    )
    admin_token_file: Path | None = Field(
        None,
        description="File whose first line is the token with all scopes, at least 32 characters, where secrets are given from outside; "
        "another one in it replaces it at the next start. Empty: one is made, in `admin-token` of `data_dir`.",
    )
    counts_within: Duration = Field(
        timedelta(milliseconds=200),
        description="How long a page waits for the numbers of its charts and facets; what takes longer is shown afterwards.",
    )
    secure_cookie: bool = Field(False, description="Send the log-in cookie over HTTPS only: set it behind a TLS proxy.")
    oidc: Oidc | None = Field(None, description="Let people log in with an identity provider (OpenID Connect) too.")

    @property
    def base_url(self) -> str:
        """Address of the console, without a final slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")


class Metrics(Section):
    host: str = Field("127.0.0.1", description="Address on which each process serves /metrics, /healthz and /readyz.")
    port: int = Field(
        9101, ge=1, le=65535, description="First of these ports; the processes of one machine count up from it."
    )


class InboundDomain(Section):
    reject_on: list[RejectOn] = Field(
        ["dmarc-reject"], description="What makes us refuse a mail in the SMTP dialogue; `[]` only logs."
    )
    allow: list[Allowed] = Field(
        [], description="Exempt from `reject_on`: IP addresses, networks, or domains that pass DKIM or ARC (as sealer)."
    )
    monitor: bool = Field(False, description="Refuse nothing; log what `reject_on` would have refused.")


class AuthMatch(Section):
    spf: AuthWord | None = Field(None, description="This result of SPF.")
    dkim: AuthWord | None = Field(None, description="This result of DKIM.")
    dmarc: AuthWord | None = Field(None, description="This result of DMARC.")


class Match(Section):
    to: Pattern | None = Field(None, description="The recipient; `*` is a wildcard.")
    from_: Pattern | None = Field(None, alias="from", description="The From address; `*` is a wildcard.")
    header: dict[str, str] = Field(
        {}, description="Header name to a pattern of its value; `*` means that it is present."
    )
    auth: AuthMatch | None = Field(None, description="Results of authentication.")
    max_size: Size | None = Field(None, description="At most this large (octets).")
    min_size: Size | None = Field(None, description="At least this large (octets).")


class Route(Section):
    match: Match = Field(description="All conditions must hold.")
    forward: list[Address] | None = Field(None, min_length=1, description="Send it on to these addresses, unchanged.")
    handle: str | None = Field(None, description="Give it to this handler.")
    drop: str | None = Field(None, description="Accept and drop it, for this reason.")
    reject: Reply | None = Field(None, description="Refuse it with this reply.")

    @model_validator(mode="after")
    def _one_action(self) -> "Route":
        given = [name for name in ("forward", "handle", "drop", "reject") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of forward, handle, drop, reject (found: {', '.join(given) or 'none'})")
        return self


class ArcSeal(Section):
    domain: Domain = Field(description="Domain that seals (d=).")
    selector: str = Field(pattern=r"^[A-Za-z0-9._-]+$", description="Selector of the key (s=).")
    key_file: Path = Field(description="PEM file with the private key, RSA or Ed25519.")


class Inbound(Section):
    domains: dict[Domain, InboundDomain] = Field({}, description="The domains that we receive mail for.")
    routes: list[Route] = Field([], description="First match wins; an address that no `to` matches is refused at RCPT.")
    reports: list[Address] = Field(
        [],
        description="Addresses where reports about our mail are read, besides bounce addresses: DSN, complaints (ARF).",
    )
    arc_seal: ArcSeal | None = Field(
        None, description="Seal what is forwarded with an ARC set (RFC 8617); off without a key."
    )


class Handler(Section):
    webhook: str | None = Field(None, pattern=r"^https?://", description="URL that gets a POST for each mail.")
    python: str | None = Field(
        None, pattern=r"^[\w.]+:\w+$", description="`package.module:function` called for each mail."
    )
    secret: WebhookSecret | None = Field(None, description="Secret of the webhook's signature (Standard Webhooks).")
    secret_file: Path | None = Field(
        None, description="File whose first line is that secret, where the configuration is no place for it."
    )
    timeout: Duration = Field(timedelta(seconds=10), description="How long the handler may take.")

    @model_validator(mode="after")
    def _one_kind(self) -> "Handler":
        if (self.webhook is None) == (self.python is None):
            raise ValueError("give exactly one of webhook, python")
        if self.secret is not None and self.secret_file is not None:
            raise ValueError("give one of secret, secret_file")
        return self


class Destination(Section):
    tls: Literal["opportunistic", "required", "verified"] | None = Field(
        None,
        description="Encryption: where it is offered; always; always, and with a certificate that names the server. Empty: as the domain's "
        "MTA-STS policy demands, else where it is offered.",
    )
    connections: int | None = Field(None, ge=1, description="Deliveries at a time; empty: `delivery.per_domain`.")
    messages: int | None = Field(None, ge=1, description="Messages of one connection; empty: 100.")
    rate: int | None = Field(None, ge=1, description="Deliveries that begin in a minute; empty: any number.")


class Delivery(Section):
    smarthost: Smarthost | None = Field(None, description="Deliver everything through this `host` or `host:port`.")
    smarthost_user: str = Field("", description="User to log in as at the smarthost; only over TLS.")
    smarthost_password_file: Path | None = Field(None, description="File whose first line is the password there.")
    port: int = Field(25, ge=1, le=65535, description="Port of the remote servers.")
    allow_private: bool = Field(False, description="Also deliver to loopback, private and link-local addresses.")
    retry: list[Duration] = Field(
        [timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=8)],
        min_length=1,
        description="Delays between attempts; the last one repeats until `expire`.",
    )
    expire: Duration = Field(timedelta(days=3), description="Age of a mail at which retrying ends.")
    helo: str = Field("", description="Name for EHLO; empty means `authserv_id`.")
    concurrency: int = Field(300, ge=1, le=1000, description="Deliveries at a time in one process.")
    per_domain: int = Field(
        10,
        ge=1,
        description="Deliveries at a time to one domain: of all processes together, unless `split` says otherwise.",
    )
    destinations: dict[Domain, Destination] = Field(
        {}, description="What holds for single domains: encryption, connections, messages of a connection, rate."
    )
    dane: bool = Field(
        True,
        description="Do as TLSA records demand (RFC 7672) that the resolver says to have verified (AD): trust it, and the way to it.",
    )
    mta_sts: bool = Field(True, description="Do as the MTA-STS policies of domains demand (RFC 8461).")
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities whose certificates count as verified; empty: the system's."
    )
    split: dict[Domain, Annotated[int, Field(ge=2, le=100)]] = Field(
        {},
        description="Domains so large that several processes shall deliver to them: in how many parts; each part has `per_domain`.",
    )
    memory: Size = Field(
        256 << 20, ge=1 << 20, description="Octets that large messages may take in one process of delivery or handlers."
    )
    attempt_timeout: Duration = Field(
        timedelta(minutes=5),
        description="How long one attempt may take until the content begins to leave; the content has 10m and a second for each 16 KiB.",
    )
    timeout: Duration = Field(
        timedelta(seconds=60), description="How long a remote server may take to answer a command."
    )
    bind: str | None = Field(None, description="Local address to connect from.")
    drain_timeout: Duration = Field(
        timedelta(seconds=3),
        description="On SIGTERM: time for mail whose content is leaving; what takes longer is sent again. More where a stop may take more.",
    )
    delay_notice: Duration = Field(
        timedelta(hours=4),
        description="Age at which the submitter of a mail that is still deferred hears so, once, where it asked for that (NOTIFY=DELAY).",
    )
    notify_senders: bool = Field(
        True,
        description="Tell the sender of a forward that failed for good (RFC 3464): never a null sender, a list, or one not authenticated.",
    )

    @model_validator(mode="after")
    def _delays_pass(self) -> "Delivery":
        if any(not timedelta(0) < delay <= timedelta(days=6) for delay in self.retry):
            raise ValueError(
                "each of retry must be longer than 0s and at most 6d: commands wait in topics that keep 7d"
            )
        return self

    @model_validator(mode="after")
    def _login_is_whole(self) -> "Delivery":
        if bool(self.smarthost_user) != (self.smarthost_password_file is not None):
            raise ValueError("give both of smarthost_user, smarthost_password_file, or none")
        if self.smarthost_user and self.smarthost is None:
            raise ValueError("smarthost_user: there is no smarthost")
        return self

    @property
    def retry_names(self) -> list[str]:
        """The delays as the retry topics' names spell them."""
        return [format_duration(delay) for delay in self.retry]


class DkimKey(Section):
    selector: str = Field(pattern=r"^[A-Za-z0-9._-]+$", description="The selector (RFC 6376 section 3.1).")
    key_file: Path = Field(description="PEM file with the private key, RSA or Ed25519.")


class OutboundDomain(Section):
    dkim: list[DkimKey] = Field([], description="Keys that sign; each adds one signature.")


class Credential(Section):
    user: str = Field(description="User name for submission.")
    password_file: Path = Field(description="File whose first line is the password.")
    domains: list[Domain] = Field(description="Domains that this user may send from.")


class Quota(Section):
    domain: Domain = Field(description="Sending domain: that of From.")
    per: Literal["hour", "day"] = Field(description="Window of the quota: an hour or a day of UTC.")
    limit: int = Field(ge=0, description="Recipients in one window.")


class Stream(Section):
    unsubscribe: bool = Field(
        False,
        description="Put List-Unsubscribe and List-Unsubscribe-Post (RFC 8058) on its mail, signed; the link is `console.public_url`/u/….",
    )


class Outbound(Section):
    domains: dict[Domain, OutboundDomain] = Field({}, description="The domains that we send from.")
    credentials: list[Credential] = Field([], description="Who may submit over SMTP.")
    quotas: list[Quota] = Field([], description="Limits of sending.")
    streams: dict[str, Stream] = Field({}, description="Streams of mail, by the name that applications give.")
    max_size: Size = Field(
        10 << 20, ge=10_000, description="Largest message; a larger one (up to `smtp.max_size`) is `failed` in the log."
    )
    check_keys: bool = Field(
        True,
        description="Send nothing that is signed with a key other than the one in DNS; false where our name servers do not show what the "
        "world sees.",
    )
    verdict_timeout: Duration = Field(
        timedelta(seconds=2),
        description="How long who hands a mail over waits to hear which recipients get none; then all are answered as `sent`.",
    )
    token_requests: int = Field(
        6000,
        ge=0,
        description="Requests to the send hook that one token may make in a minute, of each console; more get 429; 0: any number.",
    )
    token_recipients: int = Field(
        60_000,
        ge=0,
        description="Recipients that one token may send to in a minute, of each console; more get 429; 0: any number.",
    )

    @property
    def key_files(self) -> dict[str, list[tuple[str, Path]]]:
        """The (selector, key file) pairs of each domain."""
        return {name: [(key.selector, key.key_file) for key in domain.dkim] for name, domain in self.domains.items()}


class OAuth(Section):
    mechanism: Literal["XOAUTH2", "OAUTHBEARER"] = Field(
        "XOAUTH2", description="How the token is given (OAUTHBEARER: RFC 7628)."
    )
    token_file: Path | None = Field(None, description="File whose first line is the token; another program renews it.")
    token_url: str | None = Field(
        None,
        pattern=r"^https://|^http://(127\.0\.0\.1|localhost)[:/]",
        description="Where a token is had for the refresh token.",
    )
    refresh_token_file: Path | None = Field(None, description="File whose first line is the refresh token.")
    client_id: str = Field("", description="Who asks there.")
    client_secret_file: Path | None = Field(None, description="File whose first line is the client's secret there.")
    scope: str = Field("", description="The scope that is asked for.")

    @model_validator(mode="after")
    def _one_source(self) -> "OAuth":
        if (self.token_file is None) == (self.token_url is None):
            raise ValueError("give exactly one of token_file, token_url")
        if self.token_url is not None and self.refresh_token_file is None:
            raise ValueError("token_url needs refresh_token_file")
        return self


class Channel(Section):
    address: Pattern | None = Field(
        None,
        description="Mail to this address belongs to the channel. Of a polled mailbox: the recipient that rows show; empty: its user.",
    )
    imap: MailboxUrl | None = Field(
        None,
        description="Mailbox to poll: `imaps://user@host[:port][/folder]`; `imap://` (no TLS) only on this machine.",
    )
    password_file: Path | None = Field(
        None, description="File whose first line is the mailbox's password; read anew at each log-in."
    )
    oauth: OAuth | None = Field(None, description="Log in with a bearer token instead of a password.")
    ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that the server's certificate is checked with; empty: the system's.",
    )
    poll: Duration = Field(
        timedelta(minutes=1), description="How often a server without IDLE (RFC 2177) is asked for new mail."
    )
    mark_seen: bool = Field(True, description="Flag what was taken as \\Seen.")
    move_to: str = Field("", description="Folder that what was taken is moved to; empty: it stays.")
    trusted_authserv_id: str = Field(
        "",
        description="Name of the server that took the mail, as it stands in the Authentication-Results that it put on top: those count as "
        "this mail's authentication, and so does the peer in its Received. Empty: nothing is known of it.",
    )
    trusted_hops: int = Field(
        0,
        ge=0,
        le=10,
        description="Received fields that stand above that server's own one: servers behind it, which every mail has to pass.",
    )
    skip: list[SkipWord] = Field(
        list(get_args(SkipWord)),
        description="What of the channel's mail no handler gets: automatic answers (RFC 3834), mail from the channel itself, lists and "
        "mass mail, `blocked_senders`, empty mail, and a Message-ID that the channel got from this author within a day. `[]`: none.",
    )
    blocked_senders: list[Pattern] = Field([], description="Senders, or patterns of them, whose mail no handler gets.")
    handle: str | None = Field(
        None, description="Handler of what is found in the mailbox; empty: `inbound.routes` say, by the recipient."
    )

    @model_validator(mode="after")
    def _one_login(self) -> "Channel":
        if self.imap is not None and (self.password_file is None) == (self.oauth is None):
            raise ValueError("imap needs exactly one of password_file, oauth")
        return self

    @property
    def recipient(self) -> str:
        """Whom a polled mail is for: the address, unless it is a pattern, or else the mailbox's user."""
        if self.address and "*" not in self.address:
            return self.address
        return split_mailbox(self.imap).address if self.imap else ""


class Settings(Section):
    """The whole of mailscope.yaml."""

    authserv_id: str = Field(
        "localhost",
        pattern=r"^[A-Za-z0-9.-]+$",
        description="Our name in Authentication-Results, Received and greetings.",
    )
    data_dir: Path = Field(Path("data"), description="Folder of everything that one machine keeps.")
    min_free_disk: Size = Field(
        500 << 20,
        description="With less room on the disk of `data_dir` nothing new is taken: SMTP answers 452, the send hook 507; 0: always take.",
    )
    secret_file: Path | None = Field(
        None,
        description="Key of bounce addresses (SRS, VERP), the same for all processes; empty: `secret` in `data_dir`. Needed where Kafka "
        "is not on this machine.",
    )
    dns: Dns = Dns()
    kafka: Kafka = Kafka()
    store: Store = Store()
    blobs: Blobs = Blobs()
    smtp: Smtp = Smtp()
    submission: Submission = Submission()
    console: Console = Console()
    metrics: Metrics = Metrics()
    inbound: Inbound = Inbound()
    handlers: dict[str, Handler] = Field({}, description="Who takes mail that a route gives to a handler.")
    delivery: Delivery = Delivery()
    outbound: Outbound = Outbound()
    channels: dict[str, Channel] = Field({}, description="Named ways in, shown in the log.")
    subscriptions: dict[SubscriptionName, Subscription] = Field(
        {},
        description="Status webhooks: who is called at each change of status (docs/status-topics.md); a name keeps its place there.",
    )

    @model_validator(mode="after")
    def _names_exist(self) -> "Settings":
        for place, name in [(f"inbound.routes[{i}]", route.handle) for i, route in enumerate(self.inbound.routes)] + [
            (f"channels.{name}", channel.handle) for name, channel in self.channels.items()
        ]:
            if name is not None and name not in self.handlers:
                known = ", ".join(sorted(self.handlers)) or "none"
                raise ValueError(f"{place}.handle: there is no handler '{name}' (handlers: {known})")
        return self

    @model_validator(mode="after")
    def _key_has_certificate(self) -> "Settings":
        if self.smtp.tls_key is not None and self.smtp.tls_cert is None:
            raise ValueError("smtp.tls_key: is not used without smtp.tls_cert")
        return self

    @property
    def mailboxes(self) -> dict[str, Channel]:
        """The channels that are polled."""
        return {name: channel for name, channel in self.channels.items() if channel.imap is not None}

    @property
    def helo(self) -> str:
        """The name for EHLO."""
        return self.delivery.helo or self.authserv_id

    @property
    def store_dsn(self) -> str:
        """DSN of the log store."""
        return self.store.dsn or f"chdb://{(self.data_dir / 'store').absolute()}"

    @property
    def embedded_store(self) -> bool:
        """Whether the log store lives in one process of this machine."""
        return self.store_dsn.startswith("chdb:")

    @property
    def blobs_url(self) -> str:
        """URL of the blob store."""
        return self.blobs.url or f"file://{(self.data_dir / 'blobs').absolute()}"

    @property
    def kafka_is_local(self) -> bool:
        """Whether Kafka runs on this machine, and so all processes do."""
        return all(is_loopback(server) for server in self.kafka.bootstrap.split(","))

    @property
    def embedded_kafka(self) -> bool:
        """Whether `mailscope up` runs the broker."""
        return is_embedded_kafka(self.kafka.bootstrap)

    @property
    def kafka_client(self) -> dict[str, str]:
        """librdkafka properties of every client."""
        user = {"sasl.username": self.kafka.user} if self.kafka.user else {}
        return {"bootstrap.servers": self.kafka.bootstrap, **self.kafka.properties, **user}
