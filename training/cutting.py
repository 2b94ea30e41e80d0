"""Where a network is cut: what is before is left as it is and computed once, what comes after is trained."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import keras


class Cut(NamedTuple):
    """A network in two: ``tail(trunk(x))`` is what it was."""

    trunk: Any
    tail: Any
    """None where the trunk is all of it."""


def cut(core: Any, *, head_only: bool) -> Cut:
    """Cut before the last stage that has weights, at the smallest tensor; behind the network for ``head_only``.

    A stage is what works at one resolution. Batch normalisation in the tail keeps its statistics.
    """
    if head_only:
        return Cut(core, None)
    at = _place(core)
    if at is None:
        return Cut(core, None)
    tail = keras.Model(at, core.output)
    for layer in tail.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return Cut(keras.Model(core.input, at), tail)


def _place(core: Any) -> Any:
    """The tensor to cut at; None where nothing with weights comes after any."""
    narrow = [one for one in _narrow_places(core) if len(one.tensor.shape) == 4 and one.weights_after]
    if not narrow:
        return None
    resolution = min(math.prod(one.tensor.shape[1:3]) for one in narrow)
    stage = [one for one in narrow if math.prod(one.tensor.shape[1:3]) == resolution]
    smallest = min(math.prod(one.tensor.shape[1:]) for one in stage)
    return next(one.tensor for one in stage if math.prod(one.tensor.shape[1:]) == smallest)


class _Place(NamedTuple):
    tensor: Any
    weights_after: bool


def _narrow_places(core: Any) -> list[_Place]:
    """Where all that comes later depends on one tensor alone, in the order of computation."""
    operations = list(core.operations)
    made_by = {id(tensor): at for at, one in enumerate(operations) for tensor in _tensors(one.output)}
    last_use = [0] * len(operations)
    for at, one in enumerate(operations):
        for tensor in _tensors(one.input):
            last_use[made_by[id(tensor)]] = at
    last_weights = max((at for at, one in enumerate(operations) if getattr(one, "weights", ())), default=-1)
    places, open_until = [], 0
    for at, one in enumerate(operations):
        if open_until <= at and len(_tensors(one.output)) == 1 and at > 0:
            places.append(_Place(one.output, at < last_weights))
        open_until = max(open_until, last_use[at])
    return places


def _tensors(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (list, tuple)) else [given]
