"""What is worn and carried: t-shirts, hats, sneakers, bags, umbrellas and socks."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from producers.rendered_catalogue.canvas import Canvas, Form
from producers.rendered_catalogue.looks import DARK_WOOD, INK, WHITE, WOOD, Look, darker, lighter
from producers.rendered_catalogue.outlines import (
    Outline,
    Point,
    box,
    ellipse,
    mirrored,
    moved,
    ribbon,
    rounded,
    smooth,
    turned,
)


def t_shirt(canvas: Canvas, look: Look, rng: Random) -> None:
    """Laid flat; variants have short sleeves, long ones, or a V-neck."""
    flare, hem = rng.uniform(-1.0, 2.0), rng.uniform(84, 88)
    long = look.variant == 1
    cuff: list[Point] = [(88.0, 63.0), (79.5, 66.0)] if long else [(86.5, 40.0), (76.0, 46.0)]
    right = [
        *smooth([(60.0, 15.5), (67.0, 18.0), (74.5, 22.0)]),
        *smooth([(74.5, 22.0), (79.5, 27.5), cuff[0]]),
        *smooth([cuff[1], (74.0, 42.0) if long else (73.0, 40.0), (71.0, 38.0)]),
        *smooth([(71.0, 38.0), (70.5, 60.0), (71.0 + flare, hem)]),
        (50.0, hem + 1.2),
    ]
    depth = 27.5 if look.variant == 2 else 23.0
    neck = (
        [(60.0, 15.5), (50.0, depth)] if look.variant == 2 else smooth([(60.0, 15.5), (56.5, 21.0), (50.0, depth)])
    )
    body = mirrored([*reversed(neck), *right])
    canvas.shadow(moved(body, 1.2, 2.0), blur=2.2, strength=0.33)
    back = mirrored([(50.0, 15.8), *smooth([(56.0, 15.8), (60.5, 15.2)]), *neck])
    canvas.shape(back, darker(look.colour, 0.42), form=Form.FLAT)
    canvas.shape(body, look.surface, light=0.85)
    for side in (1, -1):
        canvas.line(_sided([(74.0, 22.5), (72.2, 30.0), (71.2, 38.5)], side), darker(look.colour), 0.35, 0.6)
        fold = _sided([(69.0, 42.0), (63.0, 58.0), (64.0, 80.0)], side)
        canvas.gleam(ribbon(smooth(fold), 1.6), blur=1.6, strength=0.16)
    canvas.shape(ribbon(mirrored(neck[::-1])[: 2 * len(neck)], 2.2), darker(look.colour, 0.14), light=0.5)
    canvas.line([(29.5 - flare, hem - 2.0), (70.5 + flare, hem - 2.0)], darker(look.colour), 0.3, 0.5)


def hat(canvas: Canvas, look: Look, rng: Random) -> None:
    """A hat with a brim, or a knitted one with a bobble."""
    if look.variant == 1:
        _beanie(canvas, look)
        return
    high, wide = rng.uniform(29, 34), rng.uniform(38, 42)
    brim = ellipse(50, 66, wide, 10.5)
    canvas.shadow(ellipse(51, 75, wide, 7), blur=3, strength=0.42)
    canvas.shape(brim, darker(look.colour, 0.12), light=1.2)
    canvas.shape(ellipse(50, 64.6, wide - 2.5, 8.4), look.surface, light=0.7)
    canvas.shadow(ellipse(51, 66.5, 26, 6.5), blur=1.5, strength=0.35)
    crown = mirrored(
        [
            *smooth([(50, high + 2.5), (57, high - 0.5), (65, high + 2), (69.5, high + 12), (72.5, 62)]),
            *smooth([(72.5, 63.5), (63, 68.5), (50, 69.8)]),
        ]
    )
    canvas.shape(crown, look.surface, form=Form.ROUND, light=0.9)
    canvas.gleam(smooth([(38, high + 8), (44, high + 4), (45, 52), (37, 53)], closed=True), blur=2.5, strength=0.2)
    band = mirrored(
        [
            *smooth([(50, 61.2), (63, 60.2), (71.4, 55.6)]),
            *smooth([(72.6, 62.2), (63, 67.6), (50, 69.0)]),
        ]
    )
    canvas.shape(band, darker(look.ink, 0.25), form=Form.ROUND, light=0.9)


def _beanie(canvas: Canvas, look: Look) -> None:
    canvas.shadow(ellipse(51, 81, 30, 5), blur=3, strength=0.4)
    dome = mirrored([*smooth([(50, 27), (63, 29.5), (74, 43), (77, 66)]), (50, 69)])
    canvas.shape(dome, look.surface, form=Form.ROUND)
    canvas.shape(box(21.5, 62, 78.5, 80, 5), darker(look.colour, 0.1), form=Form.ROUND)
    for i in range(14):
        x = 25.0 + i * 3.85
        canvas.line([(x, 64.0), (x, 78.5)], darker(look.colour, 0.4), 0.55, 0.6)
    canvas.shape(ellipse(50, 24, 8.5, 8), look.ink, light=1.2)
    for i in range(12):
        spoke = turned([(50.0, 24.0), (50.0, 17.5)], i * 30.0, (50.0, 24.0))
        canvas.line(spoke, darker(look.ink, 0.2), 0.4, 0.45)


def sneaker(canvas: Canvas, look: Look, rng: Random) -> None:
    """Seen from its side, low or high."""
    collar = 31.0 if look.variant == 1 else rng.uniform(42.0, 44.0)
    canvas.shadow(ellipse(51, 75.5, 42, 4.5), blur=2.2, strength=0.5)
    upper: Outline = [
        *smooth([(13, 68), (12, 58), (13.5, collar + 4), (15, collar)]),
        *smooth([(16.5, collar - 0.6), (24, collar + 2.5), (33, collar - 0.5)]),
        *smooth([(36, collar + 1), (48, 49), (62, 55.5), (76, 58.5), (86, 62.5), (88.5, 69)]),
        (13, 70),
    ]
    opening = smooth(
        [(15, collar), (20, collar - 3), (28, collar - 3), (34, collar - 0.5), (24, collar + 3)], closed=True
    )
    canvas.shape(opening, darker(look.colour, 0.55), form=Form.FLAT)
    canvas.shape(upper, look.surface, light=0.9)
    toe = [*smooth([(70, 68.5), (71, 61.5), (77, 58.8), (86, 62.5), (89, 69)]), (70, 69.5)]
    canvas.shape(toe, lighter(look.ink, 0.35), light=0.9)
    heel = [
        *smooth([(12.2, 58), (13.5, collar + 4), (15, collar), (19, collar + 2), (20.5, 56), (22, 69.5)]),
        (12.5, 69.5),
    ]
    canvas.shape(heel, darker(look.colour, 0.22), light=0.8)
    tongue = smooth(
        [(35.0, collar - 3.5), (40.0, collar - 2.0), (50, 49.2), (46, 50.5), (33, collar + 1.0)], closed=True
    )
    canvas.shape(tongue, lighter(look.colour, 0.25), light=0.9)
    _laces(canvas, (38.0, collar + 4.5), (57.5, 55.5))
    sole = [
        *smooth([(11, 68.5), (10.5, 73.5), (14, 76.0)]),
        *smooth([(50, 76.2), (80, 76), (89.5, 74), (91.5, 69.5)]),
        *smooth([(80, 68.6), (50, 69.3), (30, 69.0), (11, 68.5)]),
    ]
    canvas.shape(sole, WHITE, light=0.9)
    canvas.line([(12, 72.6), (50, 73.0), (82, 72.6), (90.0, 71.2)], darker(look.colour, 0.1), 0.8, 0.9)
    canvas.gleam(ribbon(smooth([(26, 58), (44, 60), (62, 62)]), 2.5), blur=2, strength=0.18)


def _laces(canvas: Canvas, first: Point, last: Point) -> None:
    for i in range(5):
        t = i / 4
        x, y = first[0] + (last[0] - first[0]) * t, first[1] + (last[1] - first[1]) * t
        canvas.line([(x - 3.0, y + 4.4), (x + 2.2, y - 1.2)], darker(WHITE, 0.35), 2.1, 0.5)
        canvas.line([(x - 3.0, y + 4.2), (x + 2.2, y - 1.4)], WHITE, 1.5)


def bag(canvas: Canvas, look: Look, rng: Random) -> None:
    """A tote with two handles, or a handbag with a flap."""
    if look.variant == 1:
        _handbag(canvas, look)
        return
    top, flare = rng.uniform(37, 41), rng.uniform(0, 4)
    canvas.shadow(ellipse(51, 89, 32, 4), blur=2.4, strength=0.45)
    body = rounded([(24, top), (76, top), (76 + flare, 88), (24 - flare, 88)], 3)
    for raise_, colour in ((2.5, darker(look.colour, 0.35)), (0.0, darker(look.ink, 0.12))):
        arc = smooth(
            [
                (37, top + 1 - raise_),
                (38, 21 - raise_),
                (50, 12 - raise_),
                (62, 21 - raise_),
                (63, top + 1 - raise_),
            ]
        )
        if raise_:
            canvas.shape(ribbon(arc, 2.6), colour, light=0.8)
            canvas.shape(body, look.surface, light=0.9)
        else:
            strap = [(37.0, top + 10.0), *arc, (63.0, top + 10.0)]
            canvas.shadow(moved(ribbon(strap, 2.8), 0.6, 1.2), blur=0.8, strength=0.3)
            canvas.shape(ribbon(strap, 3.0), colour, light=0.8)
    canvas.line([(25.0, top + 3.2), (75.0, top + 3.2)], darker(look.colour), 0.35, 0.6)
    for x in (37.0, 63.0):
        canvas.line([(x - 1, top + 8.5), (x + 1, top + 8.5)], WHITE, 0.4, 0.8)


def _handbag(canvas: Canvas, look: Look) -> None:
    canvas.shadow(ellipse(51, 84, 34, 4.5), blur=2.4, strength=0.45)
    arc = smooth([(32, 49), (34, 27), (50, 18), (66, 27), (68, 49)])
    canvas.shape(ribbon(arc, 3.4), DARK_WOOD, light=1.0)
    body = mirrored([(50, 45), *smooth([(68, 45), (76, 47), (81, 64), (82, 78), (77, 84.5)]), (50, 85.5)])
    canvas.shape(body, look.surface)
    flap = mirrored([(50, 44.5), *smooth([(68, 44.5), (76.5, 46), (77.5, 55), (68, 64.5), (50, 68)])])
    canvas.shadow(moved(flap, 0, 1.4), blur=1.0, strength=0.35)
    canvas.shape(flap, darker(look.colour, 0.12))
    canvas.shape(ellipse(50, 66, 3.0, 3.0), (214, 180, 104), light=1.4)


def umbrella(canvas: Canvas, look: Look, rng: Random) -> None:
    """Open, seen from its side."""
    lean = rng.uniform(-9, -3) if look.variant == 0 else rng.uniform(3, 9)
    top, edge = rng.uniform(15, 18), 53.0
    canvas.shadow(ellipse(52, 92, 24, 2.6), blur=2.4, strength=0.28)

    def placed(outline: list[Point]) -> Outline:
        return turned(outline, lean)

    grip = [(50.0, 84.0), *ellipse(45.6, 84.0, 4.4, 4.6, 0, 175)]
    canvas.shape(placed(ribbon([(50.0, 20.0), (50.0, 72.0)], 1.4)), (150, 152, 158), form=Form.ROUND)
    canvas.shape(placed(ribbon([(50.0, 70.0), *grip], 2.8)), WOOD)
    ribs = [10.0, 24.0, 41.0, 59.0, 76.0, 90.0]
    scallops: list[Point] = []
    for left, right in pairwise(ribs):
        sag = edge - 4.2 + abs((left + right) / 2 - 50) * 0.03
        scallops += smooth([(left, edge), ((left + right) / 2, sag), (right, edge)])
    under = [*scallops, *ellipse(50, edge - 0.5, 40, 3.2, 0, 180)]
    canvas.shape(placed(under), darker(look.colour, 0.45), form=Form.FLAT)
    dome = [
        *smooth([(10, edge), (15, 36), (30, 21.5), (50, top), (70, 21.5), (85, 36), (90, edge)]),
        *scallops[::-1],
    ]
    canvas.shape(placed(dome), look.surface, light=1.0)
    for i, x in enumerate(ribs[1:-1]):
        bow = (x - 50) * 0.78 + 50
        rib = smooth([(50, top), (bow, 32.0 + abs(i - 1.5)), (x, edge)])
        canvas.line(placed(rib), darker(look.colour, 0.45), 0.45, 0.7)
    canvas.gleam(placed(smooth([(24, 32), (36, 23), (40, 26), (30, 40)], closed=True)), blur=3, strength=0.25)
    canvas.shape(placed(ribbon([(50.0, top + 0.5), (50.0, top - 5.5)], 1.6)), INK, form=Form.ROUND)


def socks(canvas: Canvas, look: Look, rng: Random) -> None:
    """A pair, one over the other."""
    long = rng.uniform(12, 16) if look.variant == 0 else rng.uniform(24, 28)
    for dx, dy, back in ((13.0, -4.0, True), (-3.0, 2.0, False)):
        leg = [
            (34, long),
            (52, long),
            *smooth(
                [
                    (52.5, 40),
                    (53, 56),
                    (58, 64),
                    (70, 70),
                    (75, 78),
                    (70, 84.5),
                    (56, 83),
                    (40, 74.5),
                    (34.5, 62),
                    (34, 44),
                ]
            ),
        ]
        sock = moved(leg, dx, dy)
        canvas.shadow(moved(sock, 1.2, 1.8), blur=1.8, strength=0.34)
        canvas.shape(sock, look.surface, light=0.95 if not back else 0.75)
        toe = moved(smooth([(63, 66.5), (70, 70), (75, 78), (70, 84.5), (61, 84)], closed=True), dx, dy)
        canvas.shape(toe, darker(look.ink, 0.08), light=0.8)
        heel = moved(smooth([(34.2, 60), (39, 62), (42, 69), (41, 75), (36.5, 69)], closed=True), dx, dy)
        canvas.shape(heel, darker(look.ink, 0.08), light=0.8)
        cuff = moved(box(33.2, long - 1, 52.8, long + 7.5, 1.6), dx, dy)
        canvas.shape(cuff, darker(look.ink, 0.08), light=0.8)
        for i in range(8):
            x = 35.2 + i * 2.3 + dx
            canvas.line([(x, long + dy), (x, long + 6.5 + dy)], darker(look.ink, 0.35), 0.35, 0.5)


def _sided(points: list[Point], side: int) -> list[Point]:
    return points if side > 0 else [(100 - x, y) for x, y in points]
