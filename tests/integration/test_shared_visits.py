"""Visits in a real Redis: what one process changes the others see, nothing is lost, and all is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis_server import redis_server

from storefront.errors import TablesUnavailableError
from storefront.shop.redis_visits import RedisVisits
from storefront.shop.shoppers import REMEMBERED_SECONDS
from storefront.shop.visits import MemoryVisits, Visit


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(Path(tmp_path_factory.mktemp("redis"))) as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    clear(server)
    return server


def clear(url: str) -> None:
    with Redis.from_url(url) as redis:
        redis.flushall()


def shop(
    url: str, ask: Callable[[list[RedisVisits]], Coroutine[Any, Any, Any]], processes: int = 2, most: int = 100
) -> Any:
    """What is asked of as many processes."""

    async def asked() -> Any:
        async with AsyncExitStack() as stack:
            all_visits = [RedisVisits(url, "shop.", most) for _ in range(processes)]
            for visits in all_visits:
                stack.push_async_callback(visits.close)
            return await ask(all_visits)

    return asyncio.run(asked())


def test_carts_that_several_processes_fill_at_once_lose_nothing(url: str) -> None:
    async def fill(all_visits: list[RedisVisits]) -> tuple[Visit, Visit]:
        await asyncio.gather(
            *(
                visits.change("u", lambda visit, token=f"t{number}": visit.add(f"p{int(token[1:]) % 3}", 1, token))
                for number in range(12)
                for visits in all_visits  # both take the same form
            )
        )
        return await all_visits[0].get("u"), await all_visits[1].get("u")

    one, other = shop(url, fill)
    assert one == other
    assert one.cart == {"p0": 4, "p1": 4, "p2": 4}


steps = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from(["view", "add", "order"]),
    st.sampled_from(["p", "q", "r€"]),
    st.integers(0, 5),
)


def change_of(what: str, product_id: str, token: int) -> Callable[[Visit], None]:
    return {
        "view": lambda visit: visit.view(product_id),
        "add": lambda visit: visit.add(product_id, 2, f"{token}"),
        "order": lambda visit: visit.order({product_id: 1}, f"{token}"),
    }[what]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=12))
def test_it_is_what_one_process_would_have_in_memory(server: str, taken: list[tuple[str, str, str, int]]) -> None:
    clear(server)

    async def play(all_visits: list[RedisVisits]) -> None:
        memory = MemoryVisits(100)
        for number, (shopper, *step) in enumerate(taken):
            await memory.change(shopper, change_of(*step))
            await all_visits[number % 2].change(shopper, change_of(*step))
            assert await all_visits[(number + 1) % 2].get(shopper) == await memory.get(shopper)

    shop(server, play)


def test_the_longest_unused_goes_and_all_go_in_the_end(url: str) -> None:
    async def come(all_visits: list[RedisVisits]) -> list[int]:
        for number, shopper in enumerate(["a", "b", "c", "a", "d"]):
            await all_visits[0].change(shopper, lambda visit, token=f"t{number}": visit.add("p", 1, token))
        await all_visits[0].get("nobody")
        return [(await all_visits[0].get(shopper)).pieces for shopper in "abcd"]

    assert shop(url, come, most=3) == [2, 0, 1, 1]
    with Redis.from_url(url, decode_responses=True) as redis:
        keys = [key for key in redis.scan_iter("*") if not key.endswith("index")]
        assert len(keys) == 3
        assert all(0 < redis.ttl(key) <= REMEMBERED_SECONDS for key in keys)


def test_without_redis_it_says_so(tmp_path: Path) -> None:
    async def ask(all_visits: list[RedisVisits]) -> None:
        with pytest.raises(TablesUnavailableError, match="does not answer"):
            await all_visits[0].get("u")

    shop(f"unix://{tmp_path}/nobody", ask)
