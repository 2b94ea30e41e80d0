"""The one exception tree: every error says whether trying again can help, and what to do about it."""

from __future__ import annotations

from typing import ClassVar


class RecsysError(Exception):
    """Root of every error that this project raises on purpose.

    ``retriable`` says whether the same call may succeed later without anybody changing anything.
    """

    retriable: ClassVar[bool] = False


class ConfigurationError(RecsysError):
    """A setting is unknown, missing or out of range; the message names it and what is accepted."""


class ContractError(RecsysError):
    """A message breaks its contract; it belongs on the dead-letter topic."""


class UnknownSchemaError(ContractError):
    """The fingerprint in a message belongs to no schema that this reader knows."""


class TruncatedMessageError(ContractError):
    """A message ends before its schema does, or goes on after it."""


class OversizeMessageError(ContractError):
    """A message is larger than its topic allows."""


class InvalidEventError(ContractError):
    """A message decodes, but what it says cannot be: an empty id, a negative price, an impossible time."""


class FutureEventError(InvalidEventError):
    """An event is dated further ahead of the broker's timestamp than clocks differ."""


class IncompatibleSchemaError(RecsysError):
    """A schema change would make published messages unreadable."""


class TransactionAbortedError(RecsysError):
    """A transaction did not commit; state must be restored and the input read again."""

    retriable = True


class FencedError(RecsysError):
    """Another process took over this one's partitions; this one must let go of its state."""

    retriable = True


class KafkaUnavailableError(RecsysError):
    """No Kafka answers where the configuration says there is one."""

    retriable = True
