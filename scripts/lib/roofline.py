# SPDX-License-Identifier: Apache-2.0
"""A roofline as SVG (Williams, Waterman, Patterson 2009): operations per second over operations per byte."""

import math
from html import escape

WIDTH, HEIGHT = 1080, 600
LEFT, RIGHT, TOP, BOTTOM = 72, 330, 56, 64
LABEL_STEP = 19
# Okabe and Ito: told apart with any kind of colour vision.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00", "#882255", "#000000")
HALO = ' paint-order="stroke" stroke="#fff" stroke-width="4"'
GREYS = ("#8a8a8a", "#4d4d4d", "#a9744f")


def tidy(value):
    return f"{value:.1f}".rstrip("0").rstrip(".")


def number(value):
    return f"{value:g}"


class Axes:
    """Logarithmic in both directions."""

    def __init__(self, lowest, highest):
        self.low = [math.log10(v) for v in lowest]
        self.high = [math.log10(v) for v in highest]

    def x(self, value):
        part = (math.log10(value) - self.low[0]) / (self.high[0] - self.low[0])
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        part = (math.log10(value) - self.low[1]) / (self.high[1] - self.low[1])
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def text(x, y, content, size=13, anchor="start", fill="#333", extra=""):
    return (f'<text x="{tidy(x)}" y="{tidy(y)}" font-size="{size}" text-anchor="{anchor}" fill="{fill}"{extra}>'
            f"{escape(content)}</text>")


def line(x1, y1, x2, y2, stroke, width=1.0, extra=""):
    return (f'<line x1="{tidy(x1)}" y1="{tidy(y1)}" x2="{tidy(x2)}" y2="{tidy(y2)}" stroke="{stroke}" '
            f'stroke-width="{width}"{extra}/>')


def spread(wanted, lowest, highest):
    """Places close to the wanted ones, at least LABEL_STEP apart, within bounds."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [0.0] * len(wanted)
    at = lowest - LABEL_STEP
    for i in order:
        at = max(wanted[i], at + LABEL_STEP)
        places[i] = at
    limit = highest
    for i in reversed(order):
        places[i] = min(places[i], limit)
        limit = places[i] - LABEL_STEP
    return places


def draw(slopes, peaks, families):
    """slopes: (name, bytes per second); peaks: (name, operations per second); families: (label, whether it is a
    baseline, [(operations per byte, operations per second)])."""
    points = [point for _, _, family in families for point in family]
    xs = [x for x, _ in points] or [1.0]
    ys = [y for _, y in points] + [rate for _, rate in peaks]
    x_low, x_high = 2.0 ** math.floor(math.log2(min(xs) / 1.5)), 2.0 ** math.ceil(math.log2(max(xs) * 1.1))
    x_high = max(x_high, 16 * x_low)
    y_low, y_high = 10.0 ** math.floor(math.log10(min(ys) / 1.2)), max(ys) * 2.0
    axes = Axes((x_low, y_low), (x_high, y_high))
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        text(LEFT, 26, "Products Y = X W\u1d40 under the roofs of the same run, one thread", 16, fill="#111"),
        text(LEFT, 45, "Each line: more rows of X from left to right, from one up; weights hot", 12, fill="#666"),
        f'<clipPath id="plot"><rect x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}"/></clipPath>',
    ]
    # Grid.
    step = 4 if math.log2(x_high / x_low) > 7 else 2
    tick = x_low
    while tick <= x_high * 1.001:
        out += [line(axes.x(tick), TOP, axes.x(tick), bottom, "#ececec"),
                text(axes.x(tick), bottom + 18, number(tick), 12, "middle", "#666")]
        tick *= step
    tick = y_low
    while tick <= y_high:
        out += [line(LEFT, axes.y(tick), right, axes.y(tick), "#ececec"),
                text(LEFT - 8, axes.y(tick) + 4, number(tick / 1e9), 12, "end", "#666")]
        tick *= 10
    out += [text((LEFT + right) / 2, HEIGHT - 18, "operations per byte", 13, "middle"),
            text(20, (TOP + bottom) / 2, "GOP/s", 13, "middle",
                 extra=f' transform="rotate(-90 20 {tidy((TOP + bottom) / 2)})"'),
            line(LEFT, bottom, right, bottom, "#999"), line(LEFT, TOP, LEFT, bottom, "#999")]
    # Roofs: slopes up to the highest peak, peaks from the steepest slope on.
    highest = max([rate for _, rate in peaks], default=y_high)
    steepest = max([rate for _, rate in slopes], default=None)
    rise = (axes.y(y_low) - axes.y(10 * y_low)) / (axes.x(10 * x_low) - axes.x(x_low))
    angle = -math.degrees(math.atan(rise))
    out.append('<g clip-path="url(#plot)">')
    for _, rate in slopes:
        start, end = max(x_low, y_low / rate), min(x_high, highest / rate)
        out.append(line(axes.x(start), axes.y(start * rate), axes.x(end), axes.y(end * rate), "#9a9a9a", 1.3))
    for _, rate in peaks:
        start = max(x_low, rate / steepest) if steepest else x_low
        out.append(line(axes.x(start), axes.y(rate), axes.x(x_high), axes.y(rate), "#9a9a9a", 1.3))
    out.append("</g>")
    # Families: a label for each at the right, led to its last point.
    ends = [family[-1] for _, _, family in families]
    places = spread([axes.y(y) for _, y in ends], TOP + 10, bottom - 4)
    ours = base = 0
    for (label, is_baseline, family), place in zip(families, places):
        if is_baseline:
            colour, base = GREYS[base % len(GREYS)], base + 1
        else:
            colour, ours = COLOURS[ours % len(COLOURS)], ours + 1
        path = " ".join(f"{tidy(axes.x(x))},{tidy(axes.y(y))}" for x, y in family)
        if len(family) > 1:
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        for x, y in family:
            where = f'{tidy(axes.x(x))}" cy="{tidy(axes.y(y))}'
            out.append(f'<circle cx="{where}" r="4" fill="{colour}" stroke="#fff" stroke-width="1"/>')
        x, y = family[-1]
        out += [line(axes.x(x) + 6, axes.y(y), right + 14, place, colour, 0.7, ' stroke-dasharray="2 3"'),
                f'<circle cx="{right + 19}" cy="{tidy(place)}" r="4" fill="{colour}"/>',
                text(right + 28, place + 4, label, 12.5)]
    # Names of roofs last, readable where points come near.
    for name, rate in slopes:
        # Where the slope enters the plot, above its line.
        start = max(x_low, y_low / rate)
        span = math.log10(min(x_high, highest / rate) / start)
        at = start * 10 ** (0.06 * span)
        x, y = axes.x(at), axes.y(at * rate) - 6
        out.append(text(x, y, f"{name} {rate / 1e9:.0f} GB/s", 12, fill="#666",
                        extra=f'{HALO} transform="rotate({angle:.2f} {tidy(x)} {tidy(y)})"'))
    for name, rate in peaks:
        out.append(text(right - 6, axes.y(rate) - 6, f"{name} {rate / 1e9:.0f} GOP/s", 12, "end", "#666", HALO))
    out.append("</svg>")
    return "\n".join(out) + "\n"
