"""What a figure shows, read back from its artists."""

from __future__ import annotations

from itertools import combinations
from unittest import mock

from matplotlib.figure import Figure
from matplotlib.text import Text


def drawn_texts(figure: Figure) -> list[Text]:
    """Return the texts that drawing the figure really puts on the canvas; a figure is drawn once."""
    if hasattr(figure, "_texts_seen"):
        return figure._texts_seen
    seen: list[Text] = []
    original = Text.draw

    def record(self: Text, renderer, *args, **kwargs):
        if self.get_visible() and self.get_text().strip():
            seen.append(self)
        return original(self, renderer, *args, **kwargs)

    with mock.patch.object(Text, "draw", record):
        figure.canvas.draw()
    figure._texts_seen = list(dict.fromkeys(seen))
    return figure._texts_seen


def words(figure: Figure) -> str:
    return " | ".join(" ".join(text.get_text().split()) for text in drawn_texts(figure))


def clipped(figure: Figure) -> list[str]:
    """Return texts that reach over the edge of the figure."""
    width, height = figure.canvas.get_width_height()
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure)]
    return [name for name, box in boxes if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Return pairs of level texts whose boxes cross by more than a pixel."""
    boxes = [
        (text.get_text(), text.get_window_extent().padded(-1))
        for text in drawn_texts(figure)
        if not text.get_rotation()
    ]
    return [(a, b) for (a, box), (b, other) in combinations(boxes, 2) if box.overlaps(other)]


def panels(figure: Figure, label: str):
    return [axes for axes in figure.axes if axes.get_label() == label]
