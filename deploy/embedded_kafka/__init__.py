"""Apache Kafka itself as one process on loopback, with Python as the only prerequisite."""

from deploy.embedded_kafka.broker import BrokerStatus, EmbeddedKafka
from deploy.embedded_kafka.settings import EmbeddedKafkaSettings

__all__ = ["BrokerStatus", "EmbeddedKafka", "EmbeddedKafkaSettings"]
