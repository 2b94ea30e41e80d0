"""Compiles what is compiled where it is first called, so that no stage does it while events wait.

    python -m consumers.compiling

A few events are played through the stages in memory, which calls everything with the types that it will be called
with; what is compiled is kept on disk (``recsys.compiled``).
"""

from __future__ import annotations

import numpy as np

from consumers.flow import Flow
from consumers.interactions.stage import InteractionsStage
from consumers.item_factors.stage import ItemFactorsStage
from consumers.item_neighbours.stage import ItemNeighboursStage
from consumers.trending.stage import TrendingStage
from recsys.neighbours.dots import exact_dots
from schemas.events import PdpView, ProductCreated, Purchase

_PRODUCTS = 40
_SHOPPERS = 6


def main() -> None:
    """Play the events."""
    flow = Flow([InteractionsStage(), ItemNeighboursStage(), ItemFactorsStage(), TrendingStage()])
    flow.publish([ProductCreated(f"p{number}", 1, category="c") for number in range(_PRODUCTS)])
    for round_number in range(3):
        for shopper in range(_SHOPPERS):
            visited = [f"p{(7 * shopper + step + round_number) % _PRODUCTS}" for step in range(4)]
            at_ms = 1_000_000 * round_number + 1_000 * shopper
            for step, product_id in enumerate(visited):
                number = f"{round_number}-{shopper}-{step}"
                flow.publish([PdpView(f"view-{number}", at_ms + step, f"u{shopper}", None, product_id)])
            flow.publish(
                [Purchase(f"purchase-{round_number}-{shopper}", at_ms + 9, f"u{shopper}", None, visited[0])]
            )
        flow.run_until_quiet()
    flow.publish([ProductCreated("p0", 9_000_000, category="c", in_stock=False)])
    flow.run_until_quiet()
    queries, pairs = np.zeros((1, 8), np.float32), np.zeros(1_000, np.int64)
    for dtype in (np.float16, np.float32):
        exact_dots(queries, pairs, np.zeros((1, 8), dtype), pairs)


if __name__ == "__main__":
    main()
