"""What stands and hangs at home: mugs, lamps, plates, vases, chairs, clocks, cushions and teapots."""

from __future__ import annotations

from random import Random

from producers.rendered_catalogue.canvas import Canvas, Form
from producers.rendered_catalogue.looks import BRASS, DARK_WOOD, INK, WHITE, WOOD, Look, darker, lighter, mixed
from producers.rendered_catalogue.outlines import (
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


def mug(canvas: Canvas, look: Look, rng: Random) -> None:
    """A mug with a handle on its right; straight or tapered."""
    top, bottom = rng.uniform(27, 31), 80.0
    left, right = 22.0, rng.uniform(64, 68)
    taper = 0.0 if look.variant == 0 else 5.5
    middle = (left + right) / 2
    half = (right - left) / 2
    canvas.shadow(ellipse(middle + 5, bottom + 1, half + 4, 4.5), blur=2.5, strength=0.5)
    ring = smooth(
        [(right - 2, 38), (right + 12, 36), (right + 18, 48), (right + 12, 62), (right - 4 - taper * 0.7, 66)]
    )
    canvas.shape(ribbon(ring, 5.4), darker(look.colour, 0.06), light=1.3)
    body = [
        (left, top),
        (right, top),
        *smooth([(right, bottom - 12), (right - 1.5 - taper, bottom - 3), (right - 7 - taper, bottom + 1.5)])[
            0 if not taper else 8 :
        ],
        *ellipse(middle, bottom - 0.5, half - 7 - taper, 3.2, 0, 180),
        *smooth([(left + 7 + taper, bottom + 1.5), (left + 1.5 + taper, bottom - 3), (left, bottom - 12)])[
            : None if not taper else -8
        ],
    ]
    canvas.shape(body, look.surface, form=Form.ROUND)
    canvas.shape(ellipse(middle, top, half, 5.6), lighter(look.colour, 0.35), light=0.8)
    canvas.shape(ellipse(middle, top + 0.5, half - 1.6, 4.5), darker(look.colour, 0.45), form=Form.FLAT)
    canvas.shape(ellipse(middle, top + 2.6, half - 4.5, 2.5), (84, 52, 34), light=0.4)
    canvas.gleam(box(left + 5, top + 9, left + 8.5, bottom - 12, 1.7), blur=0.9, strength=0.5)


def lamp(canvas: Canvas, look: Look, rng: Random) -> None:
    """A table lamp: a cone of cloth on a rod, or a low one on a ceramic belly."""
    wide, narrow = rng.uniform(29, 33), rng.uniform(14, 20)
    canvas.shadow(ellipse(52, 88, 22, 3.6), blur=2.4, strength=0.45)
    if look.variant == 0:
        canvas.shape(ribbon([(50.0, 45.0), (50.0, 86.0)], 2.4), BRASS, form=Form.ROUND, light=1.4)
        canvas.shape(
            mirrored([(50, 83.5), *smooth([(58, 84), (66, 86.5), (66.5, 88.5)]), (50, 90.5)]), BRASS, light=1.4
        )
    else:
        belly = mirrored([(50, 52), (53.5, 52), *smooth([(54, 57), (65, 66), (66, 76), (59, 88)]), (50, 89.5)])
        canvas.shape(belly, mixed(look.ink, WHITE, 0.25), form=Form.ROUND, light=1.1)
        canvas.gleam(ellipse(42.5, 70, 2.2, 6.5), blur=1.2, strength=0.55)
    shade = [
        *ellipse(50, 17, narrow, 2.2, 180, 360),
        (50 + wide, 54),
        *ellipse(50, 54, wide, 3.8, 0, 180),
        (50 - narrow, 17),
    ]
    canvas.shape(shade, look.surface, form=Form.ROUND, light=0.8)
    glow = [(50 - narrow * 0.5, 24), (50 + narrow * 0.5, 24), (50 + wide * 0.55, 53), (50 - wide * 0.55, 53)]
    canvas.gleam(rounded(glow, 4), blur=6, strength=0.42)
    canvas.line(ellipse(50, 54, wide, 3.8, 5, 175), darker(look.colour, 0.35), 0.7, 0.7)
    canvas.line(ellipse(50, 17, narrow, 2.2, 0, 360), darker(look.colour, 0.35), 0.6, 0.6)


def plate(canvas: Canvas, look: Look, rng: Random) -> None:
    """Seen from above; the pattern is on the rim, or all over."""
    radius = rng.uniform(36, 38)
    canvas.shadow(ellipse(51.5, 53, radius, radius), blur=2.6, strength=0.42)
    canvas.shape(ellipse(50, 50, radius, radius), look.surface, light=0.55)
    well = radius * 0.68
    centre = lighter(look.ink, 0.72) if look.variant == 0 else look.surface
    canvas.shape(ellipse(50, 50, well, well), centre, light=-0.45)
    canvas.line(ellipse(50, 50, well, well), darker(look.colour, 0.2), 0.6, 0.7)
    canvas.line(ellipse(50, 50, radius - 0.7, radius - 0.7), lighter(look.colour, 0.5), 0.7, 0.8)
    canvas.gleam(ribbon(ellipse(50, 50, radius - 5, radius - 5, 200, 250), 2.4), blur=1.2, strength=0.55)


def vase(canvas: Canvas, look: Look, rng: Random) -> None:
    """A belly with a neck, or a tall flare; some hold a few twigs."""
    neck, belly = rng.uniform(5.5, 8.0), rng.uniform(20, 24)
    canvas.shadow(ellipse(52, 88.5, 19, 3.4), blur=2.4, strength=0.5)
    _twigs(canvas, rng)
    half: list[Point]
    if look.variant == 0:
        half = smooth(
            [(50 + neck + 2, 36), (50 + neck, 41), (51 + neck, 47), (50 + belly, 62), (48 + belly, 77), (60, 88)]
        )
    else:
        half = smooth(
            [(50 + belly * 0.72, 34), (50 + neck + 3, 46), (52 + neck, 58), (63, 72), (63, 82), (58.5, 88)]
        )
    rim = half[0][0] - 50
    canvas.shape(ellipse(50, half[0][1], rim, 2.0), darker(look.colour, 0.55), form=Form.FLAT)
    lip = ellipse(50, half[0][1], rim, 2.0, 90, 0)
    canvas.shape(mirrored([*lip, *half, (50, 89.5)]), look.surface, form=Form.ROUND, light=1.1)
    canvas.line(ellipse(50, half[0][1], rim, 2.0), lighter(look.colour, 0.3), 0.6, 0.9)
    canvas.gleam(ellipse(50 - belly * 0.45, 66, 2.0, 8.0), blur=1.2, strength=0.5)


def _twigs(canvas: Canvas, rng: Random) -> None:
    leaf = (118, 142, 98)
    for lean in (-13.0, 2.0, 15.0):
        tip = (50 + lean + rng.uniform(-2, 2), rng.uniform(10, 15))
        stem = smooth([(50.0, 42.0), (50 + lean * 0.35, 29.0), tip])
        canvas.line(stem, (124, 104, 74), 0.7)
        for i in range(8, len(stem), 4):
            x, y = stem[i]
            for side in (-1, 1):
                blade = ellipse(x + side * 2.4, y - 1.2, 2.5, 1.1)
                canvas.shape(turned(blade, side * -32.0, (x, y)), leaf, light=1.2)


def chair(canvas: Canvas, look: Look, rng: Random) -> None:
    """An upholstered chair on wooden legs; an armchair as the variant."""
    top = rng.uniform(14, 19)
    canvas.shadow(ellipse(51, 90, 30, 3.4), blur=2.4, strength=0.42)
    for foot, knee, width in ((30.0, 35.0, 2.6), (70.0, 65.0, 2.6), (24.0, 29.0, 3.2), (76.0, 71.0, 3.2)):
        low = 86.0 if width < 3 else 91.0
        wood = DARK_WOOD if width < 3 else WOOD
        canvas.shape(
            [(knee - width, 62), (knee + width, 62), (foot + 1.1, low), (foot - 1.1, low)], wood, light=1.2
        )
    back = mirrored(
        [(50, top), *smooth([(60, top + 0.5), (70, top + 3), (73.5, top + 12), (71, 44), (69, 58)]), (50, 60)]
    )
    canvas.shape(back, look.surface)
    canvas.shadow(box(28, 52, 72, 58, 4), blur=2, strength=0.4)
    seat = mirrored([(50, 53.5), *smooth([(66, 53.5), (73, 55.5), (77, 61), (76.5, 66), (72, 68.5)]), (50, 69.3)])
    if look.variant == 1:
        for side in (1, -1):
            arm = [
                (50 + side * dx, y)
                for dx, y in smooth(
                    [(22, 41), (29, 40), (33.5, 44), (33.5, 66), (30, 69), (24.5, 68)], closed=True
                )
            ]
            canvas.shape(arm, darker(look.colour, 0.1), light=1.1)
    canvas.shape(seat, look.surface, light=1.1)
    canvas.line(smooth([(26.0, 64.0), (50.0, 65.4), (74.0, 64.0)]), darker(look.colour, 0.4), 0.5, 0.5)
    for x, y in ((41.0, 27.0), (59.0, 27.0), (50.0, 34.0), (41.0, 41.0), (59.0, 41.0)):
        canvas.shape(ellipse(x, y + (top - 16) * 0.6, 0.8, 0.8), darker(look.colour, 0.35), light=1.0)


def clock(canvas: Canvas, look: Look, rng: Random) -> None:
    """A wall clock, or an alarm clock with bells and feet."""
    radius = 35.0 if look.variant == 0 else 28.0
    cy = 50.0 if look.variant == 0 else 54.0
    if look.variant == 0:
        canvas.shadow(ellipse(51.8, cy + 3, radius, radius), blur=2.6, strength=0.42)
    else:
        canvas.shadow(ellipse(51, 88, 26, 3.5), blur=2.4, strength=0.45)
        _bells(canvas, look, cy)
    canvas.shape(ellipse(50, cy, radius, radius), look.surface, light=1.3)
    face = radius * 0.74
    canvas.shape(ellipse(50, cy, face + 0.9, face + 0.9), darker(look.colour, 0.4), form=Form.FLAT)
    canvas.shape(ellipse(50, cy, face, face), WHITE, light=-0.35)
    for hour in range(12):
        length = 4.4 if hour % 3 == 0 else 2.4
        tick = turned([(50, cy - face + 2.0), (50, cy - face + 2.0 + length)], hour * 30, (50, cy))
        canvas.line(tick, INK, 1.2 if hour % 3 == 0 else 0.7)
    hours, minutes = rng.randrange(12), rng.randrange(0, 60, 5)
    for degrees, length, width in ((hours * 30 + minutes / 2, 0.5, 1.9), (minutes * 6.0, 0.74, 1.3)):
        hand: list[Point] = [(50, cy + 3.0), (50, cy - face * length)]
        canvas.line(moved(turned(hand, degrees, (50, cy)), 0.5, 0.9), INK, width, 0.22)
        canvas.line(turned(hand, degrees, (50, cy)), INK, width)
    second = turned([(50, cy + 5.0), (50, cy - face * 0.8)], rng.randrange(60) * 6.0, (50, cy))
    canvas.line(second, look.colour, 0.6)
    canvas.shape(ellipse(50, cy, 1.7, 1.7), look.colour, light=1.0)
    canvas.gleam(ellipse(50 - face * 0.4, cy - face * 0.45, face * 0.3, face * 0.16), blur=2.2, strength=0.4)


def _bells(canvas: Canvas, look: Look, cy: float) -> None:
    canvas.shape(ribbon(ellipse(50, 22, 9, 8, 185, 355), 2.0), BRASS, light=1.2)
    for side in (-1, 1):
        leg: list[Point] = [(50 + side * 17, cy + 20), (50 + side * 23, cy + 33)]
        canvas.shape(ribbon(leg, 3.4), darker(look.colour, 0.3), light=1.0)
        bell = turned(ellipse(50, 21.5, 10.5, 8.5, 180, 360), side * 34.0, (50, cy))
        canvas.shape(bell, BRASS, light=1.5)


def cushion(canvas: Canvas, look: Look, rng: Random) -> None:
    """A square cushion with drawn-in corners; tassels as the variant."""
    lean, pinch = rng.uniform(-8, 8), rng.uniform(3.0, 5.0)
    corners: list[Point] = [(17, 17), (83, 17), (83, 83), (17, 83)]
    sides: list[Point] = []
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        mx, my = (ax + bx) / 2, (ay + by) / 2
        inward = (50 - mx) / 33 * pinch, (50 - my) / 33 * pinch
        sides += smooth([(ax, ay), (mx + inward[0], my + inward[1]), (bx, by)])
    outline = turned(sides, lean)
    canvas.shadow(moved(outline, 1.6, 3.0), blur=3, strength=0.45)
    if look.variant == 1:
        for corner in turned(corners, lean):
            outward = [(corner[0] + (corner[0] - 50) * t, corner[1] + (corner[1] - 50) * t) for t in (-0.03, 0.1)]
            canvas.shape(ribbon(outward, 3.2), look.ink, light=1.2)
    canvas.shape(outline, look.surface, light=1.5)
    canvas.line([*outline, outline[0]], darker(look.colour, 0.35), 0.6, 0.6)
    for x, y in turned([(27, 27), (73, 27), (73, 73), (27, 73)], lean):
        crease = [(50 + (x - 50) * t, 50 + (y - 50) * t) for t in (1.25, 0.85)]
        canvas.shadow(ribbon(crease, 1.8), blur=1.2, strength=0.22)


def teapot(canvas: Canvas, look: Look, rng: Random) -> None:
    """A round pot; the variant is taller and has a wooden handle."""
    wide = rng.uniform(24.5, 27.5)
    tall = 0.0 if look.variant == 0 else 7.0
    canvas.shadow(ellipse(51, 82.5, 31, 4.2), blur=2.4, strength=0.5)
    spout = smooth([(32, 66), (20, 60), (16, 48), (9.5, 42)])
    canvas.shape(
        [*spout, (15.5, 39.5), *smooth([(22, 44), (27, 53), (34, 54)])], darker(look.colour, 0.05), light=1.2
    )
    handle = smooth(
        [(50 + wide - 4, 46), (50 + wide + 11, 43), (50 + wide + 14, 56), (50 + wide + 6, 67), (50 + wide - 6, 71)]
    )
    canvas.shape(ribbon(handle, 4.2), darker(look.colour, 0.1) if look.variant == 0 else WOOD, light=1.3)
    top = 41.0 - tall
    half = smooth([(61, top), (48 + wide, 50 - tall / 2), (51 + wide, 62), (46 + wide, 75), (62, 82)])
    canvas.shape(mirrored([(50, top - 0.5), *half, (50, 83.5)]), look.surface, form=Form.ROUND, light=1.1)
    lid = mirrored([(50, top - 6), *smooth([(55, top - 5.4), (61, top - 2), (62, top + 1)]), (50, top + 2.6)])
    canvas.shape(lid, darker(look.colour, 0.12), form=Form.ROUND)
    canvas.shape(ellipse(50, top - 8, 3.2, 3.0), WOOD if look.variant else look.ink, light=1.4)
    canvas.gleam(ellipse(50 - wide * 0.5, 58, 2.4, 8), blur=1.3, strength=0.55)
