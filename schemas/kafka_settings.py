"""How to reach the shop's Kafka: one frozen, validated description that every process shares."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from schemas.topics import Topic

EMBEDDED_BOOTSTRAP_SERVERS = "127.0.0.1:9092"
"""Where the embedded Kafka listens unless told otherwise."""

_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,60}")
_SERVER = re.compile(r"[^\s,/@]+:\d{1,5}")


class KafkaSettings(BaseModel):
    """Connection, security and naming; the environment gives each as ``KAFKA_<NAME>``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str | None = Field(
        default=None,
        description="host:port[,host:port] of the shop's own cluster; unset means the embedded Kafka",
    )
    topic_prefix: str = Field(default="", description="put before every topic, group and transactional id")
    partitions: int = Field(default=3, ge=1, le=1000, description="partitions of a topic that is created")
    replication_factor: int = Field(default=1, ge=1, le=7, description="copies of a topic that is created")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_plain_username: str | None = None
    sasl_plain_password: SecretStr | None = None
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: SecretStr | None = None
    ssl_check_hostname: bool = True

    @field_validator("topic_prefix")
    @classmethod
    def _legal_prefix(cls, prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError("topic_prefix may hold at most 60 of the characters A-Z a-z 0-9 . _ -")
        return prefix

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers_with_ports(cls, servers: str | None) -> str | None:
        """An empty variable is an unset one, as compose files leave it."""
        if servers is None or not servers.strip():
            return None
        listed = [server.strip() for server in servers.split(",")]
        for server in listed:
            if not _SERVER.fullmatch(server):
                raise ValueError(f"{server!r} is no server; give host:port[,host:port]")
        return ",".join(listed)

    @model_validator(mode="after")
    def _security_belongs_together(self) -> Self:
        """What is half given would be found out late, or silently leave a connection unprotected."""
        credentials = (self.sasl_mechanism, self.sasl_plain_username, self.sasl_plain_password)
        if self.security_protocol.startswith("SASL_"):
            if None in credentials:
                raise ValueError(
                    f"security_protocol {self.security_protocol} needs sasl_mechanism, sasl_plain_username and "
                    "sasl_plain_password"
                )
        elif credentials != (None, None, None):
            raise ValueError("sasl_ settings need security_protocol SASL_SSL or SASL_PLAINTEXT")
        certificates = (self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile, self.ssl_password)
        if not self.security_protocol.endswith("SSL") and certificates != (None, None, None, None):
            raise ValueError("ssl_ settings need security_protocol SSL or SASL_SSL")
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ValueError("ssl_keyfile needs ssl_certfile")
        return self

    @property
    def embedded(self) -> bool:
        """True when no cluster of the shop's own is named."""
        return self.bootstrap_servers is None

    def named(self, topic: Topic | str) -> str:
        """The topic's name on the cluster, prefix included."""
        return self.topic_prefix + (topic if isinstance(topic, str) else topic.name)

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for every kafka-python client. Holds secrets: never print it."""
        options: dict[str, Any] = {
            "bootstrap_servers": (self.bootstrap_servers or EMBEDDED_BOOTSTRAP_SERVERS).split(","),
            "security_protocol": self.security_protocol,
            "ssl_check_hostname": self.ssl_check_hostname,
        }
        for name in ("sasl_mechanism", "sasl_plain_username", "ssl_cafile", "ssl_certfile", "ssl_keyfile"):
            value = getattr(self, name)
            if value is not None:
                options[name] = value
        for name in ("sasl_plain_password", "ssl_password"):
            secret: SecretStr | None = getattr(self, name)
            if secret is not None:
                options[name] = secret.get_secret_value()
        return options
