"""The for-you list: from a shopper's history, by every scorer that there is, as one blend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from recsys.catalogue import Catalogue, CatalogueChange
from recsys.experiments import BlendTrial, BlendVariants
from recsys.histories import History, HistoryEvent
from recsys.history_store import HistoryStore
from recsys.scoring.blend import Blend
from recsys.scoring.choice import ChoiceRules, Chooser
from recsys.scoring.factor_scorer import FactorScorer, FoldInRules
from recsys.scoring.neighbour_tables import NeighbourTables, RowScoring, ranked
from recsys.scoring.query import QueryRules, make_queries
from recsys.scoring.scorers import ListScorer, NeighbourScorer, Scorer
from recsys.scoring.segment_scorer import SegmentScorer
from recsys.scoring.session_scorer import SessionScorer
from recsys.scoring.slots import ProductSlots
from recsys.scoring.verdicts import Verdicts
from recsys.scoring.weights import Group, LearningRules, OnlineWeights
from recsys.segments import segment_of
from recsys.sessions.index import SessionRules
from recsys.sessions.vmis import VmisRules
from schemas.events import Kind, ListedProduct, ProductCreated, Reason, RecommendationUpdated


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """How each scorer scores."""

    rows: RowScoring = field(default_factory=RowScoring)
    sessions: SessionRules = field(default_factory=SessionRules)
    neighbours: VmisRules = field(default_factory=VmisRules)
    fold_in: FoldInRules = field(default_factory=FoldInRules)
    segment_attribute: str = ""
    """Attribute of profiles that says which segment of users a shopper is in; empty: no segments."""
    learning: LearningRules = field(default_factory=LearningRules)
    choice: ChoiceRules = field(default_factory=ChoiceRules)


class NextEvent(NamedTuple):
    """What a shopper did, to be judged by what was known before it."""

    subject: str
    history: History
    event: HistoryEvent


class ForYou:
    """Everything that a for-you list follows from but the history itself. Recommending changes nothing."""

    def __init__(
        self,
        query_rules: QueryRules,
        rules: ScoringRules,
        weights: Mapping[str, float],
        trials: Sequence[BlendTrial] = (),
    ) -> None:
        self._query_rules = query_rules
        self._segment_attribute = rules.segment_attribute
        self._catalogue = Catalogue()
        self._slots = ProductSlots(self._catalogue)
        self.tables = NeighbourTables(self._slots, rules.rows)
        self.sessions = SessionScorer(self._slots, rules.neighbours, rules.sessions)
        self.factors = FactorScorer(self._slots, rules.fold_in)
        self._lists = {
            Kind.TRENDING: ListScorer("trending", Reason.TRENDING),
            Kind.POPULAR: ListScorer("popular", Reason.POPULAR),
        }
        self._segments = SegmentScorer()
        scorers: list[Scorer] = [
            NeighbourScorer("viewed_next", Reason.BECAUSE_VIEWED, self._slots, self.tables.viewed),
            NeighbourScorer("bought_together", Reason.BOUGHT_TOGETHER, self._slots, self.tables.bought),
            NeighbourScorer("similar", Reason.LOOKS_LIKE, self._slots, self.tables.similar),
            self.sessions,
            self.factors,
            *self._lists.values(),
            self._segments,
        ]
        self._blend = Blend(self._slots, scorers, weights)
        self._chooser = Chooser(rules.choice, self._slots, self._catalogue, self.tables)
        self._learning = rules.learning
        self.weights = OnlineWeights(self._blend.weights, rules.learning)
        self._variants = BlendVariants(trials, self._blend.names)

    def put_product(self, product_id: str, product: ProductCreated | None) -> CatalogueChange | None:
        """Take a product as the catalogue has it now; returns what changed."""
        self._chooser.put_product(product_id, product)
        change = self._catalogue.put(product_id, product)
        if change is not None:
            self._slots.assign([product_id])
            self._slots.refresh(product_id)
        return change

    def put_row(self, product_id: str, item_state: bytes | None) -> None:
        """Take a product's co-occurrence row as it is now; None where it has none any more."""
        self.tables.put_row(product_id, item_state)
        self._chooser.put_row(product_id)

    def shared_id(self, product_id: str) -> str:
        """The same id, as the one object that all share where the product is known."""
        slot = self._slots.get(product_id)
        return product_id if slot is None else self._slots.ids[slot]

    def new_histories(self) -> HistoryStore:
        """A store for histories, which names products by the numbers that they have here."""
        return HistoryStore(self._slots)

    def is_recommendable(self, product_id: str) -> bool:
        """True for a product that may be in a list."""
        return self._catalogue.is_recommendable(product_id)

    def put_list(self, kind: str, listed: RecommendationUpdated | None) -> None:
        """Take the shop's trending or popular list as it is now."""
        self._lists[kind].put(None if listed is None else ranked(self._slots, listed))

    def put_segment(self, segment: str, listed: RecommendationUpdated | None) -> None:
        """Take what is popular in a segment of users as it is now."""
        self._segments.put(segment, None if listed is None else ranked(self._slots, listed))

    @property
    def scorers(self) -> list[str]:
        """The scorers in use, in the order of verdicts and weights."""
        return self._blend.names

    @property
    def max_queries(self) -> int:
        """How many lists, or events to be judged, are best worked on at once."""
        return self._blend.max_queries

    def has_segment(self, segment: str) -> bool:
        """True for a segment of users whose popular list is known."""
        return segment in self._segments

    def segment_of(self, history: History) -> str:
        """The segment of users that a shopper is in; empty for none."""
        return segment_of(history.attributes, self._segment_attribute) if history.attributes else ""

    def group_of(self, history: History, events: int) -> Group:
        """The group by which weights are chosen of a shopper of whom so many events are known."""
        segment = self.segment_of(history)
        return Group(self._learning.knowledge(events), segment if segment in self._segments else "")

    def judge(self, events: Sequence[NextEvent]) -> tuple[list[Group], Verdicts]:
        """What each scorer says of what shoppers did, from what was known before it; nothing is learnt from it."""
        before = [[row for row in of.history.latest() if row[:2] < of.event[:2]] for of in events]
        groups = [self.group_of(of.history, len(rows)) for of, rows in zip(events, before, strict=True)]
        queries = make_queries(
            before,
            self._query_rules,
            excluded=[()] * len(events),
            subjects=[of.subject for of in events],
            segments=[self.segment_of(of.history) for of in events],
            profiles=[of.history.attributes for of in events],
        )
        return groups, self._blend.judge(queries, [of.event.product_id for of in events])

    def recommend(
        self, history: History, n: int, *, excluded: Iterable[str] = (), subject: str = ""
    ) -> list[ListedProduct]:
        """The list of a history: what was bought is left out, and what is ``excluded``.

        What is known of the ``subject``'s earlier visits by other ways is left out of account.
        """
        return self._recommend([(subject, history)], n, excluded)[0]

    def recommend_many(self, histories: Sequence[tuple[str, History]], n: int) -> Iterator[list[ListedProduct]]:
        """The lists of several subjects' histories, each as ``recommend`` gives it."""
        at_once = self.max_queries
        for start in range(0, len(histories), at_once):
            yield from self._recommend(histories[start : start + at_once], n)

    def _recommend(
        self, histories: Sequence[tuple[str, History]], n: int, excluded: Iterable[str] = ()
    ) -> list[list[ListedProduct]]:
        out = [history.bought().union(excluded) for _, history in histories]
        latest = (history.latest() for _, history in histories)
        subjects = [subject for subject, _ in histories]
        segments = [self.segment_of(history) for _, history in histories]
        weights = self.weights.of([self.group_of(history, len(history)) for _, history in histories])
        if self._variants:
            self._variants.put(weights, subjects, [h.latest_ms() if h else 0 for _, h in histories])
        wanted = self._chooser.wanted(n)
        queries = make_queries(
            latest,
            self._query_rules,
            excluded=out,
            subjects=subjects,
            n=wanted,
            segments=segments,
            profiles=[history.attributes for _, history in histories],
        )
        best = self._blend.recommend(queries, weights)
        if not self._chooser.is_needed:
            return best
        columns = zip(histories, best, out, strict=True)
        choose = self._chooser.choose
        return [choose(subject, history, items, n, bought) for (subject, history), items, bought in columns]
