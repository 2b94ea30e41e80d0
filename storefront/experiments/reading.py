"""An experiment's impressions and outcomes, and what shoppers bought, read from Kafka."""

from __future__ import annotations

from collections.abc import Iterable

from consumers.experiments import Experiment
from consumers.runtime.records import Record
from recsys.evaluation.experiments import ExperimentReport, ExperimentTally
from schemas.codec import decoder
from schemas.errors import ContractError
from schemas.events import Event, Impression, Purchase, RecommendationOutcome
from schemas.kafka_settings import KafkaSettings
from schemas.topics import IMPRESSION, PURCHASE, RECOMMENDATION_OUTCOMES
from storefront.following import TopicFollower

_READ = {topic.name: decoder(topic.name) for topic in (IMPRESSION, PURCHASE, RECOMMENDATION_OUTCOMES)}


def read_report(experiment: Experiment, settings: KafkaSettings, since_ms: int = 0) -> ExperimentReport:
    """Report on what happened from a time on, up to the topics' end as it is now."""
    tally = ExperimentTally(experiment.name, experiment.shares(), experiment.control_name)
    with TopicFollower(settings, [IMPRESSION, PURCHASE, RECOMMENDATION_OUTCOMES]) as follower:
        for records in follower.to_end():
            take(tally, records, since_ms)
    return tally.report()


def take(tally: ExperimentTally, records: Iterable[Record], since_ms: int = 0) -> None:
    """Add records of these topics; what cannot be read is left out, as the outcomes stage leaves it out."""
    for record in records:
        try:
            event = None if record.value is None else _READ[record.topic](record.value)
        except ContractError:
            continue
        if event is None:
            if record.topic == RECOMMENDATION_OUTCOMES.name and record.key is not None:
                tally.put_outcome(record.key.decode(errors="replace"), None)
        elif event.event_time_ms >= since_ms:  # type: ignore[union-attr]
            _add(tally, event)


def _add(tally: ExperimentTally, event: Event) -> None:
    if isinstance(event, Impression):
        tally.add_impression(event)
    elif isinstance(event, Purchase):
        tally.add_purchase(event)
    elif isinstance(event, RecommendationOutcome):
        tally.put_outcome(event.event_id, event)
