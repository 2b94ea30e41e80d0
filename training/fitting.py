"""Trains the last part of a network on views, and stops when held-out products no longer gain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.head import DIMENSIONS, Trainable
from training.objective import CATEGORY, Objective
from training.products import Products
from training.views import OnProgress, Views

K = 10
_BATCH = 64
_PAIRS_BATCH = 32
_HELD_OUT = 0.12
_DECAY = 1e-4


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How long and how fast."""

    epochs: int
    patience: int
    """Epochs without a gain after which it stops."""
    fresh_rate: float = 1e-3
    earlier_rate: float = 2e-4
    """For weights that had been trained before."""
    seed: int = 0


class Fitted(NamedTuple):
    """How it went; the model holds the weights of the best epoch."""

    epochs: int
    best_epoch: int
    losses: list[float]
    held_out_precision: list[float]
    """After each epoch: precision@10 of held-out products, or how often a held-out pair finds its partner."""
    held_out: NDArray[np.int64]
    """Positions among the usable products."""


class Fit:
    """One training; ``labels`` and ``pairs`` are by position among the usable products of ``views``."""

    def __init__(self, part: Trainable, products: Products, views: Views, settings: FitSettings) -> None:
        self._part, self._views, self._settings = part, views, settings
        self._labels = {name: numbers[views.usable] for name, numbers in products.labels.items()}
        self._objective = Objective(products.values, DIMENSIONS, settings.seed)
        self._rng = np.random.default_rng(settings.seed)
        self.held_out = self._hold_out()
        fit = np.ones(len(views.usable), np.bool_)
        fit[self.held_out] = False
        self._fit = np.flatnonzero(fit)
        self._pairs, self._held_pairs = self._split_pairs(products.pairs, fit)
        self._step = self._make_step()

    def run(self, on_progress: OnProgress) -> Fitted:
        """Train; stops early, and goes back to the weights of the best epoch."""
        settings, model = self._settings, self._part.model
        losses: list[float] = []
        found: list[float] = []
        best, weights = -1.0, model.get_weights()
        for epoch in range(settings.epochs):
            losses.append(self._epoch())
            found.append(self._judge())
            on_progress(epoch + 1, settings.epochs)
            if found[-1] > best:
                best, weights = found[-1], model.get_weights()
            elif epoch - int(np.argmax(found)) >= settings.patience:
                on_progress(settings.epochs, settings.epochs)
                break
        model.set_weights(weights)
        return Fitted(len(found), int(np.argmax(found)) + 1, losses, found, self.held_out)

    def _hold_out(self) -> NDArray[np.int64]:
        """The same share of every category."""
        numbers = self._labels.get(CATEGORY, np.zeros(len(self._views.usable), np.int32))
        groups = [self._rng.permutation(np.flatnonzero(numbers == number)) for number in np.unique(numbers)]
        chosen = [group[: round(_HELD_OUT * len(group))] for group in groups]
        return np.sort(np.concatenate(chosen))

    def _split_pairs(
        self, pairs: NDArray[np.int32], fit: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs by position among the usable ones: of fitted products, and those with a held-out one."""
        position = np.full(int(self._views.usable.max()) + 1, -1)
        position[self._views.usable] = np.arange(len(self._views.usable))
        known = pairs[(pairs < len(position)).all(axis=1)]
        mapped = position[known]
        mapped = mapped[(mapped >= 0).all(axis=1)]
        both = fit[mapped].all(axis=1)
        return mapped[both], mapped[~both]

    def _epoch(self) -> float:
        order = self._rng.permutation(self._fit)
        pairs = self._rng.permutation(self._pairs)
        losses = []
        for number, start in enumerate(range(0, max(len(order) - _BATCH, 0) + 1, _BATCH)):
            at = order[start : start + _BATCH]
            labels = {name: tf.constant(numbers[at]) for name, numbers in self._labels.items()}
            together = _next_pairs(pairs, number)
            given = np.concatenate([at, together[:, 0], together[:, 1]])
            losses.append(float(self._step(self._some_views(given), labels, tf.constant(len(together)))))
        return float(np.mean(losses))

    def _some_views(self, at: NDArray[np.int64]) -> Any:
        views = self._rng.integers(0, self._views.values.shape[1], len(at))
        return tf.constant(self._views.values[at, views].astype(np.float32))

    def _make_step(self) -> Callable[..., Any]:
        steps = max(1, len(self._fit) // _BATCH) * self._settings.epochs
        groups = [(list(self._part.earlier), self._settings.earlier_rate)]
        groups.append(([*self._part.fresh, *self._objective.weights], self._settings.fresh_rate))
        optimizers = []
        for weights, rate in groups:
            schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
            optimizer = keras.optimizers.AdamW(schedule, weight_decay=_DECAY, global_clipnorm=1.0)
            optimizer.build(weights)
            optimizers.append((optimizer, weights))

        def step(given: Any, labels: Mapping[str, Any], pairs: Any) -> Any:
            with tf.GradientTape() as tape:
                embeddings = self._part.model(given, training=True)
                own = tf.shape(given)[0] - 2 * pairs
                loss = self._objective.of_labels(embeddings[:own], labels)
                if len(self._pairs):
                    loss += self._objective.of_pairs(embeddings[own : own + pairs], embeddings[own + pairs :])
            every = [weight.value for _, weights in optimizers for weight in weights]
            gradients = tape.gradient(loss, every)
            for optimizer, weights in optimizers:
                optimizer.apply(gradients[: len(weights)], weights)
                gradients = gradients[len(weights) :]
            return loss

        compiled: Callable[..., Any] = tf.function(step, reduce_retracing=True)
        return compiled

    def _judge(self) -> float:
        """Precision@10 of held-out products against all; without categories, how often pairs find each other."""
        unit = embed_plain(self._part.model, self._views)
        if CATEGORY in self._labels:
            return precision(unit, self._labels[CATEGORY], self.held_out)
        cosines = unit[self._held_pairs[:, 0]] @ unit.T
        cosines[np.arange(len(cosines)), self._held_pairs[:, 0]] = -1
        own = cosines[np.arange(len(cosines)), self._held_pairs[:, 1]]
        return float(((cosines > own[:, None]).sum(axis=1) < K).mean()) if len(own) else 0.0


def _next_pairs(pairs: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """The pairs of a step; they begin anew when all have been taken."""
    if not len(pairs):
        return pairs
    return pairs.take(range(number * _PAIRS_BATCH, (number + 1) * _PAIRS_BATCH), axis=0, mode="wrap")


def embed_plain(model: Any, views: Views) -> NDArray[np.float32]:
    """Unit vectors of the pictures as they are, float32 (usable, d)."""
    rows = [
        model.predict_on_batch(views.values[start : start + 256, 0].astype(np.float32))
        for start in range(0, len(views.values), 256)
    ]
    found: NDArray[np.float32] = np.concatenate(rows)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return found


def precision(unit: NDArray[np.float32], labels: NDArray[np.int32], queries: NDArray[np.int64]) -> float:
    """Of the ten nearest of each query, the share with its label; queries without a label are left out."""
    queries = queries[labels[queries] >= 0]
    if not len(queries):
        return 0.0
    cosines = unit[queries] @ unit.T
    cosines[np.arange(len(queries)), queries] = -2
    count = min(K, len(unit) - 1)
    nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    return float((labels[nearest] == labels[queries][:, None]).mean())
