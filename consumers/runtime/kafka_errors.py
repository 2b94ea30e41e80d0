"""The border to the client library: its errors become ours, which say whether trying again can help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors

from schemas.errors import (
    ConfigurationError,
    FencedError,
    KafkaUnavailableError,
    RecsysError,
    TransactionAbortedError,
)
from schemas.kafka_settings import KafkaSettings


class InstanceTakenError(RecsysError):
    """Another process of the stage runs under the same instance name; this one has to end."""


_FENCED = (
    errors.ProducerFencedError,
    errors.InvalidProducerEpochError,
    errors.IllegalGenerationError,
    errors.UnknownMemberIdError,
    errors.CommitFailedError,
)
_REFUSED = (
    errors.AuthorizationError,
    errors.SaslAuthenticationFailedError,
    errors.InvalidTransactionTimeoutError,
    errors.UnsupportedVersionError,
)


@contextmanager
def kafka_errors(doing: str) -> Iterator[None]:
    """Translate what the client raises; ``doing`` says what was tried."""
    try:
        yield
    except errors.KafkaError as error:
        raise translated(error, doing) from error


@contextmanager
def connecting(kafka: KafkaSettings) -> Iterator[None]:
    """Translate what the client raises when it is made."""
    try:
        yield
    except (errors.AuthorizationError, errors.SaslAuthenticationFailedError) as error:
        raise translated(error, "the connection") from error
    except errors.KafkaError as error:
        servers = ",".join(kafka.client_options()["bootstrap_servers"])
        raise KafkaUnavailableError(
            f"no Kafka answers at {servers} ({reason(error)}); start one with `recsys kafka up`, or set "
            "KAFKA_BOOTSTRAP_SERVERS to the shop's own"
        ) from error


def reason(error: BaseException) -> str:
    """What an error of the client's says, or its name where it says nothing."""
    return str(error) or type(error).__name__


def translated(error: Exception, doing: str, *, in_transaction: bool = False) -> RecsysError:
    """The error of ours that an error of the client's is."""
    said = f"{doing}: {reason(error)}"
    if isinstance(error, _REFUSED):
        return ConfigurationError(f"Kafka refused {said}")
    if isinstance(error, errors.FencedInstanceIdError):
        return InstanceTakenError(
            "another process of this stage runs under the same instance name; give each one its own "
            "RECSYS_RUNTIME__INSTANCE"
        )
    if isinstance(error, _FENCED):
        return FencedError(f"another process took over while {said}")
    return TransactionAbortedError(said) if in_transaction else KafkaUnavailableError(f"Kafka failed {said}")
