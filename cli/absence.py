"""Why there is no list: what the topics say about the subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from consumers.runtime.records import Record
from schemas.errors import RecsysError
from schemas.events import Kind, ProductCreated
from schemas.kafka_settings import KafkaSettings
from schemas.topics import (
    CART_ADD,
    DEAD_LETTER,
    IMAGE_FEATURES,
    INTERACTION_STATE,
    PDP_VIEW,
    PRODUCT_CREATED,
    PURCHASE,
)
from storefront.dead_letters import DeadLetter, read_dead_letter
from storefront.following import TopicFollower
from storefront.products import ProductTable
from storefront.wording import PRODUCT_KINDS, SHOP_KINDS


class NoListError(RecsysError):
    """There is no such list; the message says why, as far as the topics tell."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is on the topics about one subject."""

    product: ProductCreated | None = None
    retired: bool = False
    has_feature: bool = False
    has_history: bool = False
    refused: DeadLetter | None = None
    """The newest dead letter under the subject's key."""


def explain(kind: str, subject: str, facts: Facts) -> str:
    """One sentence or two on why ``kind:subject`` has no list, and what would give it one."""
    what = f"there is no {kind} list" + (f" for {subject}" if subject else " for the whole shop")
    if kind in PRODUCT_KINDS:
        why = _why_no_product_list(kind, facts)
    elif kind == Kind.FOR_YOU:
        why = _why_no_user_list(facts)
    else:
        why = "no shopper's event there has been processed yet; `recsys simulate` plays some"
    return f"{what}: {why}"


def _why_no_product_list(kind: str, facts: Facts) -> str:
    product = facts.product
    if product is None:
        if facts.retired:
            return "the product was retired; publish it again to bring it back"
        refusal = f"; {_refusal(facts.refused)}" if facts.refused is not None else ""
        return f"no such product was published{refusal}"
    if kind == Kind.COMPLETE_THE_LOOK:
        return "no product with a picture goes with it, or similar_products.complete_the_look is not set"
    if kind != Kind.SIMILAR:
        return "nobody has viewed or bought it together with another product that can be recommended yet"
    if facts.has_feature:
        return "its picture is embedded, but no other product with a picture can be recommended yet"
    if facts.refused is not None:
        return f"its picture could not be used; {_refusal(facts.refused)}"
    if not product.image_url:
        return "it was published without a picture; publish it with image_url"
    return "its picture has not been embedded yet; is the stage image-features running?"


def _why_no_user_list(facts: Facts) -> str:
    if facts.has_history:
        return "their events are counted, but no product that can be recommended follows from them yet"
    if facts.refused is not None:
        return f"none of their events was processed; {_refusal(facts.refused)}"
    return "no event of this user or session has been processed; is the stage interactions running?"


def _refusal(letter: DeadLetter | None) -> str:
    assert letter is not None
    return f"the dead letters say that {letter.stage} refused a message on {letter.topic}: {letter.reason}"


def read_facts(kind: str, subject: str, settings: KafkaSettings) -> Facts:
    """Look the subject up on the topics, from the beginning to their end as it is now."""
    if kind in SHOP_KINDS:
        return Facts()
    if kind == Kind.FOR_YOU:
        origins = {PDP_VIEW.name, CART_ADD.name, PURCHASE.name}
        topics = [INTERACTION_STATE, DEAD_LETTER]
    else:
        origins = {PRODUCT_CREATED.name, IMAGE_FEATURES.name}
        topics = [PRODUCT_CREATED, IMAGE_FEATURES, DEAD_LETTER]
    facts = Facts()
    products = ProductTable()
    with TopicFollower(settings, topics) as follower:
        for records in follower.to_end():
            ours = [record for record in records if record.key == subject.encode()]
            products.apply(ours)
            facts = _with(facts, ours, origins)
    return replace(facts, product=products.get(subject), retired=products.was_retired(subject))


def _with(facts: Facts, records: Sequence[Record], origins: set[str]) -> Facts:
    for record in records:
        if record.topic == IMAGE_FEATURES.name:
            facts = replace(facts, has_feature=record.value is not None)
        elif record.topic == INTERACTION_STATE.name:
            facts = replace(facts, has_history=record.value is not None)
        else:
            letter = read_dead_letter(record)
            if letter is not None and letter.topic in origins:
                facts = replace(facts, refused=letter)
    return facts
