"""The stages by name; each is imported only where it is looked up, so a process loads its own only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from consumers.configuration import Configuration
from consumers.runtime.stage import Stage
from schemas.errors import ConfigurationError

_CLASSES = {
    "image-features": ("consumers.image_features.stage", "ImageFeaturesStage"),
    "similar-products": ("consumers.similar_products.stage", "SimilarProductsStage"),
    "interactions": ("consumers.interactions.stage", "InteractionsStage"),
    "item-neighbours": ("consumers.item_neighbours.stage", "ItemNeighboursStage"),
    "item-factors": ("consumers.item_factors.stage", "ItemFactorsStage"),
    "trending": ("consumers.trending.stage", "TrendingStage"),
    "outcomes": ("consumers.outcomes.stage", "OutcomesStage"),
}


class _Stages(Mapping[str, type[Stage]]):
    """Stage classes by name, in the order of the data flow."""

    def __getitem__(self, name: str) -> type[Stage]:
        module, class_name = _CLASSES[name]
        stage: type[Stage] = getattr(import_module(module), class_name)
        return stage

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


STAGES: Mapping[str, type[Stage]] = _Stages()


def make_stage(name: str, configuration: Configuration) -> Stage:
    """A stage with the settings of its section; raises ``ConfigurationError`` for a name that is none."""
    if name not in _CLASSES:
        raise ConfigurationError(f"there is no stage {name!r}; the stages are {', '.join(_CLASSES)}")
    make = STAGES[name]
    section = "images" if name == "image-features" else name.replace("-", "_")
    if name == "item-neighbours" and configuration.item_neighbours.is_relative:
        from consumers.item_neighbours.relative import RelativeItemNeighboursStage

        return RelativeItemNeighboursStage(configuration.item_neighbours)
    if name == "similar-products":
        from consumers.image_features.encoders import wanted_features_id

        wanted = wanted_features_id(configuration.images)
        return make(configuration.similar_products, encoder_id=wanted)  # type: ignore[call-arg]
    if name == "interactions":
        return make(configuration.interactions, experiments=configuration.experiments)  # type: ignore[call-arg]
    return make(getattr(configuration, section))  # type: ignore[call-arg]
