"""What can go wrong with the embedded Kafka; each message says what to do."""

from __future__ import annotations

from schemas.errors import KafkaUnavailableError, RecsysError


class EmbeddedKafkaError(RecsysError):
    """The embedded Kafka cannot run as things are, and somebody has to change them."""


class DistributionUnavailableError(KafkaUnavailableError):
    """Java or Kafka's jars are not at hand and could not be fetched."""
