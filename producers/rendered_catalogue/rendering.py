"""Plans a demo catalogue and draws it into a folder that ``recsys publish catalogue`` takes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random

from PIL import Image

from producers.rendered_catalogue import garments, household
from producers.rendered_catalogue.canvas import Canvas
from producers.rendered_catalogue.looks import COLOURS, INKS, PATTERNS, Look, textured
from schemas.errors import ConfigurationError

SIDE_PX = 320
JPEG_QUALITY = 88

Draw = Callable[[Canvas, Look, Random], None]


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of product: how it is drawn, what it may be made of, and what it costs, from and to."""

    singular: str
    draw: Draw
    materials: tuple[str, ...]
    prices: tuple[int, int]
    variants: tuple[str, ...]
    """What the title calls the second, third … variant of the shape; the first has no name of its own."""


CATEGORIES: dict[str, Category] = {
    "t-shirts": Category(
        "t-shirt", garments.t_shirt, ("cotton", "linen", "jersey"), (19, 45), ("long-sleeve", "V-neck")
    ),
    "mugs": Category("mug", household.mug, ("stoneware", "porcelain"), (9, 24), ("tapered",)),
    "lamps": Category("lamp", household.lamp, ("linen", "cotton", "paper"), (39, 129), ("ceramic",)),
    "hats": Category("hat", garments.hat, ("felt", "wool", "straw"), (24, 69), ("bobble",)),
    "sneakers": Category("sneaker", garments.sneaker, ("canvas", "suede", "leather"), (59, 139), ("high-top",)),
    "bags": Category("bag", garments.bag, ("canvas", "leather", "nylon"), (29, 149), ("flap",)),
    "plates": Category("plate", household.plate, ("stoneware", "porcelain"), (12, 32), ("painted",)),
    "vases": Category("vase", household.vase, ("stoneware", "glass", "porcelain"), (24, 89), ("flared",)),
    "chairs": Category("chair", household.chair, ("velvet", "linen", "wool"), (149, 449), ("arm",)),
    "clocks": Category("clock", household.clock, ("metal", "wood"), (24, 79), ("alarm",)),
    "cushions": Category("cushion", household.cushion, ("velvet", "linen", "cotton"), (19, 49), ("tasselled",)),
    "umbrellas": Category("umbrella", garments.umbrella, ("nylon", "canvas"), (19, 59), ()),
    "socks": Category("pair of socks", garments.socks, ("cotton", "wool"), (6, 16), ("ankle",)),
    "teapots": Category("teapot", household.teapot, ("stoneware", "porcelain"), (34, 89), ("tall",)),
}


@dataclass(frozen=True, slots=True)
class DrawnProduct:
    """A product as it will be drawn and listed."""

    product_id: str
    category: str
    title: str
    colour: str
    ink: str
    pattern: str
    material: str
    price: float
    variant: int

    @property
    def image(self) -> str:
        """Where its picture is, below the catalogue's folder."""
        return f"images/{self.category}/{self.product_id}.jpg"


def planned_products(products: int, seed: int = 0) -> list[DrawnProduct]:
    """What the catalogue will hold: categories take turns, and looks repeat only when all were used."""
    if products < 1:
        raise ConfigurationError(f"a catalogue of {products} products is none; give at least 1")
    names = list(CATEGORIES)
    looks = {name: _shuffled_looks(name, seed) for name in names}
    return [
        _planned(names[i % len(names)], i // len(names), looks[names[i % len(names)]], seed)
        for i in range(products)
    ]


def render_catalogue(
    folder: Path, products: int = 320, seed: int = 0, on_progress: Callable[[int], None] | None = None
) -> list[DrawnProduct]:
    """Draw the products below ``folder`` and list them in its ``catalog.csv``; the same seed draws the same.

    ``on_progress`` is called with the number of pictures that are done. The list is written last, so a folder
    that has one is whole.
    """
    planned = planned_products(products, seed)
    for number, item in enumerate(planned, start=1):
        path = folder / item.image
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn(item, seed).save(path, quality=JPEG_QUALITY)
        if on_progress is not None:
            on_progress(number)
    _write_list(folder / "catalog.csv", planned)
    return planned


def drawn(item: DrawnProduct, seed: int = 0, side_px: int = SIDE_PX) -> Image.Image:
    """The picture of a product, RGB, square."""
    canvas = Canvas(side_px)
    colour, ink = COLOURS[item.colour], COLOURS[item.ink]
    look = Look(textured(item.pattern, colour, ink, canvas.drawn_px), colour, ink, item.variant)
    CATEGORIES[item.category].draw(canvas, look, Random(f"picture {seed} {item.product_id}"))
    return canvas.finished()


def _shuffled_looks(category: str, seed: int) -> list[tuple[str, str, str]]:
    looks = [(colour, INKS[colour][0], "plain") for colour in COLOURS]
    patterned = product(COLOURS, range(2), [pattern for pattern in PATTERNS if pattern != "plain"])
    looks += [(colour, INKS[colour][which], pattern) for colour, which, pattern in patterned]
    Random(f"looks {seed} {category}").shuffle(looks)
    return looks


def _planned(name: str, number: int, looks: list[tuple[str, str, str]], seed: int) -> DrawnProduct:
    category = CATEGORIES[name]
    rng = Random(f"product {seed} {name} {number}")
    colour, ink, pattern = looks[number % len(looks)]
    variant = 0 if rng.random() < 0.6 else rng.randint(0, len(category.variants))
    shape = f"{category.variants[variant - 1]} {category.singular}" if variant else category.singular
    title = f"{'' if pattern == 'plain' else pattern + ' '}{shape}, {colour}"
    return DrawnProduct(
        product_id=f"{name.rstrip('s')}-{number + 1:03d}",
        category=name,
        title=title[0].upper() + title[1:],
        colour=colour,
        ink=ink,
        pattern=pattern,
        material=rng.choice(category.materials),
        price=rng.randint(*category.prices) - 0.1,
        variant=variant,
    )


def _write_list(path: Path, planned: list[DrawnProduct]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["product_id", "category", "title", "image", "price", "colour", "pattern", "material"])
        for item in planned:
            price = f"{item.price:.2f}"
            lines.writerow(
                [
                    item.product_id,
                    item.category,
                    item.title,
                    item.image,
                    price,
                    item.colour,
                    item.pattern,
                    item.material,
                ]
            )
