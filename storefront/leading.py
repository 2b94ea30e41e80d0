"""The thread that keeps the shared table while it is its turn, and waits for it while it is not."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.kafka_settings import KafkaSettings
from schemas.topics import Topic
from storefront.following import TopicFollower
from storefront.redis_writer import RedisWriter
from storefront.table_follower import TableFollower


class LeadingFollower(TableFollower):
    """Follows the topics into a ``RedisWriter``, from the beginning each time that it becomes its turn."""

    def __init__(self, kafka: KafkaSettings, topics: Sequence[Topic], writer: RedisWriter) -> None:
        super().__init__(kafka, topics, [writer], writer)
        self._writer = writer

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Stop, and let another process go on at once."""
        super().close(timeout_seconds)
        self._writer.close()

    def _once(self) -> None:
        if not self._writer.lead():
            return
        try:
            with TopicFollower(self._kafka, self._topics) as follower:
                self._writer.begin(follower.identity)
                self._follow(follower)
        finally:
            self._writer.resign()
