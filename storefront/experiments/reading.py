"""An experiment's impressions and outcomes, read from Kafka."""

from __future__ import annotations

from collections.abc import Iterable

from consumers.runtime.records import Record
from recsys.evaluation.experiments import ExperimentReport, ExperimentTally
from schemas.codec import decoder
from schemas.errors import ContractError
from schemas.events import Impression, RecommendationOutcome
from schemas.kafka_settings import KafkaSettings
from schemas.topics import IMPRESSION, RECOMMENDATION_OUTCOMES
from storefront.experiments.model import Experiment
from storefront.following import TopicFollower

_read_impression = decoder(IMPRESSION.name)
_read_outcome = decoder(RECOMMENDATION_OUTCOMES.name)


def read_report(experiment: Experiment, settings: KafkaSettings, since_ms: int = 0) -> ExperimentReport:
    """Report on what happened from a time on, up to the topics' end as it is now."""
    tally = ExperimentTally(experiment.name, experiment.shares(), experiment.control_name)
    with TopicFollower(settings, [IMPRESSION, RECOMMENDATION_OUTCOMES]) as follower:
        for records in follower.to_end():
            take(tally, records, since_ms)
    return tally.report()


def take(tally: ExperimentTally, records: Iterable[Record], since_ms: int = 0) -> None:
    """Add records of the two topics; what cannot be read is left out, as the outcomes stage leaves it out."""
    for record in records:
        try:
            if record.topic == IMPRESSION.name:
                _take_impression(tally, record, since_ms)
            else:
                _take_outcome(tally, record, since_ms)
        except ContractError:
            continue


def _take_impression(tally: ExperimentTally, record: Record, since_ms: int) -> None:
    event = None if record.value is None else _read_impression(record.value)
    if isinstance(event, Impression) and event.event_time_ms >= since_ms:
        tally.add_impression(event)


def _take_outcome(tally: ExperimentTally, record: Record, since_ms: int) -> None:
    outcome = None if record.value is None else _read_outcome(record.value)
    assert outcome is None or isinstance(outcome, RecommendationOutcome)
    if outcome is not None and outcome.event_time_ms < since_ms:
        return
    tally.put_outcome((record.key or b"").decode(errors="replace"), outcome)
