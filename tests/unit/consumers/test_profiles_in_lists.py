"""Profiles reach live lists: what users like who have much in common, all stages together."""

from __future__ import annotations

from consumers.configuration import Configuration
from consumers.flow import BehaviourFlow
from consumers.interactions.settings import FoldInSettings, InteractionSettings
from consumers.item_factors.settings import ItemFactorSettings
from schemas.events import PdpView, ProductCreated, Reason, UserUpdated

SIDES = {"left": "abcd", "right": "pqrs"}


def flow() -> BehaviourFlow:
    """Users of two cities view products of one side each; two users of each city view nothing."""
    made = BehaviourFlow(
        Configuration(
            interactions=InteractionSettings(fold_in=FoldInSettings(regularisation=0.1)),
            item_factors=ItemFactorSettings(regularisation=0.1),
        )
    )
    made.feed(ProductCreated(product_id, 0) for side in SIDES.values() for product_id in side)
    users = [f"{side}{number}" for side in SIDES for number in range(40)]
    made.feed(UserUpdated(user, 0, {"city": user[:4]}) for user in [*users, "left-new", "right-new"])
    made.feed(
        PdpView(f"{user}/{place}", 1_000_000 + 60_000 * place, user, None, product_id)
        for user in users
        for place, product_id in enumerate(SIDES[user.rstrip("0123456789")])
    )
    return made


def test_a_user_nobody_has_seen_has_a_list_from_the_profile() -> None:
    made = flow()
    for side, products in SIDES.items():
        listed = made.recommend(f"{side}-new", 4)
        assert {item.product_id for item in listed} == set(products)
        assert {item.reason for item in listed} == {Reason.YOUR_TASTE}
    assert {item.reason for item in made.recommend("nobody", 4)} == {Reason.POPULAR}
