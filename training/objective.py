"""What makes an embedding good: products of one category, or that shoppers put together, lie close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_SCALE = 16.0
_MARGIN = 0.2
_SMOOTHING = 0.05
_ATTRIBUTE_WEIGHT = 0.3
_PAIR_WEIGHT = 0.5

CATEGORY = "category"


class Objective:
    """Large-margin cosine loss for each property, and InfoNCE for pairs.

    Sources: Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR 2018; van den Oord
    et al., "Representation Learning with Contrastive Predictive Coding", 2018. All on unit vectors, the measure
    that neighbours are found with.
    """

    def __init__(self, values: Mapping[str, Sequence[str]], dimensions: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._proxies = {
            name: keras.Variable(rng.normal(0, 0.1, (dimensions, len(known))).astype(np.float32))
            for name, known in values.items()
        }

    @property
    def weights(self) -> list[Any]:
        """A direction for each value of each property."""
        return list(self._proxies.values())

    def of_labels(self, embeddings: Any, labels: Mapping[str, Any]) -> Any:
        """Loss of products (n, d) with the numbers of their values; -1 counts as unknown."""
        unit = tf.math.l2_normalize(embeddings, 1)
        attributes = max(1, len(self._proxies) - 1)
        total = tf.constant(0.0)
        for name, proxies in self._proxies.items():
            weight = 1.0 if name == CATEGORY else _ATTRIBUTE_WEIGHT / attributes
            total += weight * _margin_loss(unit, proxies.value, labels[name])
        return total

    def of_pairs(self, left: Any, right: Any) -> Any:
        """Loss of pairs (n, d): each is to find its partner among all partners of the batch."""
        cosines = tf.math.l2_normalize(left, 1) @ tf.transpose(tf.math.l2_normalize(right, 1))
        own = tf.range(tf.shape(left)[0])
        both = [_SCALE * cosines, _SCALE * tf.transpose(cosines)]
        losses = [tf.nn.sparse_softmax_cross_entropy_with_logits(own, logits) for logits in both]
        return _PAIR_WEIGHT * tf.reduce_mean(losses)


def _margin_loss(unit: Any, proxies: Any, numbers: Any) -> Any:
    cosines = unit @ tf.math.l2_normalize(proxies, 0)
    count = cosines.shape[1]
    truth = tf.one_hot(numbers, count)
    smooth = truth * (1 - _SMOOTHING) + _SMOOTHING / count
    losses = tf.nn.softmax_cross_entropy_with_logits(smooth, _SCALE * (cosines - _MARGIN * truth))
    known = tf.cast(numbers >= 0, tf.float32)
    return tf.reduce_sum(losses * known) / tf.maximum(tf.reduce_sum(known), 1.0)
