"""What a page shows when its boxes are opened: pictures of the same graph, told by the same steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinygrad_lo.drawing.contents import Contents
from tinygrad_lo.drawing.styles.style import Look, shown_name
from tinygrad_lo.engine.naming import ScopePath

MOST_VIEWS = 16  # views of a page; boxes beyond them stay closed there
TOLD = ("line", "sentence", "remark", "question")  # what steps of several views say alike
Paint = Callable[[Look], str]  # the picture as DOT text
Opener = Callable[
    [Sequence[ScopePath]], tuple[Contents, Paint] | None
]  # with these scopes open, if there is room


@dataclass
class View:
    """One picture of the graph.

    Attributes:
        opened: the scopes that are open in it, in the order in which they were opened.
        boxes: of each box that opens further, by its id, the number of the view that shows it open.
    """

    contents: Contents
    paint: Paint
    opened: tuple[ScopePath, ...] = ()
    boxes: dict[str, int] = field(default_factory=dict)

    @property
    def crumbs(self) -> list[str]:
        """The titles of the open scopes."""
        return [shown_name(scope[-1][0]) for scope in self.opened]


def views_of(contents: Contents, paint: Paint, open_: Opener | None) -> list[View]:
    """The picture, and one for each box of it that can be opened, and for each box in these."""
    views = [View(contents, paint)]
    for view in views:  # which grows
        for box in view.contents.groups if open_ is not None else ():
            if not box.scope or len(views) > MOST_VIEWS:
                continue
            opened = (*view.opened, box.scope)
            made = open_(opened)
            if made is not None:
                view.boxes[box.id] = len(views)
                inside, drawn = made
                views.append(View(inside, drawn, opened))
    return views


def shared_texts(pages: list[dict[str, Any]]) -> list[str]:
    """Put numbers in the place of what the steps of these pages say, and list what they stand for."""
    texts: dict[str, int] = {}
    for step in (step for page in pages for step in page["steps"]):
        for key in TOLD:
            if step.get(key):
                step[key] = texts.setdefault(step[key], len(texts))
    return [*texts]
