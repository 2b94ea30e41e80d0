"""Users and items of whom only attributes are known: the stream's factors, popularity, and LightFM."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from benchmarks.evaluation import Row
from consumers.configuration import Configuration
from consumers.flow import BehaviourFlow
from consumers.trending.settings import TrendingSettings
from recsys.evaluation.ranking import RankingEvaluation
from recsys.factors.attributes import attribute_features
from recsys.factors.learner import FactorLearner
from recsys.sessions.index import Sessions
from schemas.events import PdpView, ProductCreated, UserUpdated

Floats = NDArray[np.float64]
Attributes = Mapping[str, Mapping[str, str]]
Features = Mapping[str, list[str]]
Event = tuple[str, str, int]

_BATCH = 5_000
_IDENTIFYING = frozenset({"movie_title"})


class ColdSplit(NamedTuple):
    """Events of users and items that are known, and what is asked for."""

    train: Sequence[Event]
    cold_users: Mapping[str, set[str]]
    """What each cold user did with known items."""
    known_users: Mapping[str, set[str]]
    """What each known user did with cold items."""
    known_items: Sequence[str]
    cold_items: Sequence[str]

    @classmethod
    def of(cls, events: Sequence[Event], seed: int) -> ColdSplit:
        """A tenth of the users and a tenth of the items are cold."""
        random = np.random.default_rng(seed)
        users, items = (sorted({event[place] for event in events}) for place in (0, 1))
        out_users = set(random.permutation(users)[: len(users) // 10].tolist())
        out_items = set(random.permutation(items)[: len(items) // 10].tolist())
        train = [event for event in events if event[0] not in out_users and event[1] not in out_items]
        cold: dict[str, set[str]] = {}
        known: dict[str, set[str]] = {}
        known_items = {item for _, item, _ in train}
        for user, item, _ in events:
            if user in out_users and item in known_items:
                cold.setdefault(user, set()).add(item)
            elif user not in out_users and item in out_items:
                known.setdefault(user, set()).add(item)
        return cls(train, cold, known, sorted(known_items), sorted(out_items))


def read_attributes(path: Path) -> dict[str, dict[str, str]]:
    """RecBole's tab-separated attributes by the id in the first column, without titles, which nobody shares."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        names = [name.partition(":")[0] for name in next(rows)]
        return {
            row[0]: {
                name: value for name, value in zip(names[1:], row[1:], strict=True) if name not in _IDENTIFYING
            }
            for row in rows
        }


def cold_rows(split: ColdSplit, users: Attributes, items: Attributes) -> dict[str, Row]:
    """Figures of each recommender for cold users, over known items, and for cold items, over those."""
    user_features, item_features = (
        {name: list(attribute_features(own)) for name, own in attributes.items()} for attributes in (users, items)
    )
    made: dict[str, Callable[..., tuple[Floats, Floats]]] = {
        "most popular (cold items: any order)": _popular,
        "LightFM (WARP, 32 components)": _lightfm,
        "this stream's factors": _stream,
    }
    rows = {}
    for name, make in made.items():
        for_users, for_items = make(split, user_features, item_features)
        rows[name] = {
            **_figures(for_users, split.known_items, split.cold_users, "cold users"),
            **_figures(for_items, split.cold_items, split.known_users, "cold items"),
        }
    listed = _lists(split, users, items)
    rows["this stream's for-you lists"] = _figures(listed, split.known_items, split.cold_users, "cold users")
    return rows


def _lists(split: ColdSplit, users: Attributes, items: Attributes) -> Floats:
    """What the stages list for cold users, with all their scorers, as scores by rank.

    Cold users are asked for what they did at any time, so what is popular forgets nothing here.
    """
    flow = BehaviourFlow(Configuration(trending=TrendingSettings(popular_half_life_days=3_650)))
    flow.feed(ProductCreated(item, 0, attributes=items.get(item, {})) for item in split.known_items)
    flow.feed(UserUpdated(user, 0, own) for user, own in users.items())
    views = sorted(split.train, key=lambda event: event[2])
    flow.feed(PdpView(f"{user}/{item}", at * 1_000, user, None, item) for user, item, at in views)
    places = {item: place for place, item in enumerate(split.known_items)}
    scores = np.zeros((len(split.cold_users), len(places)))
    for row, user in zip(scores, split.cold_users, strict=True):
        for rank, listed in enumerate(flow.recommend(user, 20), start=1):
            row[places[listed.product_id]] = 1.0 / rank
    return scores


def _figures(scores: Floats, items: Sequence[str], wanted: Mapping[str, set[str]], where: str) -> Row:
    at_10, at_20 = RankingEvaluation(10, []), RankingEvaluation(20, [])
    for own, relevant in zip(scores, wanted.values(), strict=True):
        listed = [items[place] for place in np.argsort(-own, kind="stable")[:20]]
        at_10.add(listed[:10], relevant)
        at_20.add(listed, relevant)
    return {f"{where} NDCG@10": at_10.metrics().ndcg, f"{where} Recall@20": at_20.metrics().recall}


def _popular(split: ColdSplit, users: Features, items: Features) -> tuple[Floats, Floats]:
    counts = dict.fromkeys(split.known_items, 0.0)
    for event in split.train:
        counts[event[1]] += 1.0
    random = np.random.default_rng(0)
    for_users = np.tile([counts[item] for item in split.known_items], (len(split.cold_users), 1))
    return for_users, random.random((len(split.known_users), len(split.cold_items)))


def _stream(split: ColdSplit, users: Features, items: Features) -> tuple[Floats, Floats]:
    learner = FactorLearner()
    for name, features in items.items():
        learner.put_item_features(name, features)
    for name, features in users.items():
        learner.put_user_features(name, features)
    histories: dict[str, dict[str, int]] = {}
    for start in range(0, len(split.train), _BATCH):
        changed = {}
        for user, item, at in split.train[start : start + _BATCH]:
            changed[user] = histories.setdefault(user, {})
            changed[user][item] = at * 1_000
        numbers = learner.assign([item for own in changed.values() for item in own])
        times = np.array([at for own in changed.values() for at in own.values()])
        counts = np.array([len(own) for own in changed.values()])
        learner.learn(Sessions(list(changed), counts, numbers, times, np.ones(len(times), np.float32)))
    vectors = {
        name: learner.items.vectors[learner.assign(wanted)].astype(np.float64)
        for name, wanted in (("known", split.known_items), ("cold", split.cold_items))
    }
    tastes = learner.users.vectors[learner.index.find(list(split.known_users))].astype(np.float64)
    return learner.expected_users(list(split.cold_users)) @ vectors["known"].T, tastes @ vectors["cold"].T


def _lightfm(split: ColdSplit, users: Features, items: Features) -> tuple[Floats, Floats]:
    """Attributes, and the identity of what is known."""
    from lightfm import LightFM

    known_users = sorted({user for user, _, _ in split.train})
    user_names = [*known_users, *split.cold_users]
    item_names = [*split.known_items, *split.cold_items]
    user_matrix = _matrix(user_names, users, len(known_users))
    item_matrix = _matrix(item_names, items, len(split.known_items))
    user_at, item_at = ({name: place for place, name in enumerate(names)} for names in (user_names, item_names))
    pairs = np.array([(user_at[user], item_at[item]) for user, item, _ in split.train]).T
    shape = (len(user_names), len(item_names))
    seen = sp.coo_matrix((np.ones(pairs.shape[1], np.float32), tuple(pairs)), shape=shape)
    model = LightFM(no_components=32, loss="warp", random_state=1)
    model.fit(seen, user_features=user_matrix, item_features=item_matrix, epochs=30, num_threads=1)
    user_bias, user_vectors = model.get_user_representations(user_matrix)
    item_bias, item_vectors = model.get_item_representations(item_matrix)
    scores = user_vectors @ item_vectors.T + item_bias + user_bias[:, None]
    border = len(split.known_items)
    asked = [user_at[user] for user in split.known_users]
    return scores[len(known_users) :, :border], scores[asked, border:]


def _matrix(names: Sequence[str], features: Features, known: int) -> sp.csr_matrix:
    """Rows of ones: each name's features, and itself where it is known; rows add up to one."""
    numbers: dict[str, int] = {}
    rows, columns = [], []
    for place, name in enumerate(names):
        for feature in [*features.get(name, []), *([f"itself={name}"] if place < known else [])]:
            rows.append(place)
            columns.append(numbers.setdefault(feature, len(numbers)))
    sums = np.maximum(np.bincount(rows, minlength=len(names)), 1)
    shares = (1.0 / sums[rows]).astype(np.float32)
    return sp.csr_matrix((shares, (rows, columns)), shape=(len(names), len(numbers)))
