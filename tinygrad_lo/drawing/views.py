"""What a page shows when its boxes are opened: pictures of the same graph, told by the same steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tinygrad_lo.drawing.contents import Contents, DrawnBox
from tinygrad_lo.drawing.styles.style import Look, shown_name
from tinygrad_lo.engine.naming import ScopePath

MOST_VIEWS = 16  # views of a page; boxes beyond them stay closed there
TOLD = ("line", "sentence", "remark", "question")  # what steps of several views say alike
Paint = Callable[[Look], str]  # the picture as DOT text
# With a scope open and these beside it closed, if there is room.
Opener = Callable[[ScopePath, Iterable[ScopePath]], tuple[Contents, Paint] | None]


@dataclass
class View:
    """One picture of the graph."""

    contents: Contents
    paint: Paint
    scope: ScopePath = ()  # what is open in it, with all that is around; () in that of the whole graph
    parent: int = 0  # the number of the view that one comes back to
    # Of each box, by its id, the number of the view that shows it open, or why there is none.
    boxes: dict[str, int | str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What is open."""
        return shown_name(self.scope[-1][0]) if self.scope else "Whole graph"


def views_of(contents: Contents, paint: Paint, open_: Opener | None) -> list[View]:
    """The picture, and one for each box of it that can be opened, and for each box in these.

    In each, one scope is open: of boxes side by side the others are closed, so that there are as many
    views as boxes, not as ways to open them.
    """
    views, known = [View(contents, paint)], dict[ScopePath, int | str]()
    for view in views:  # which grows
        for box in view.contents.groups:
            if not box.scope or open_ is None:
                view.boxes[box.id] = why_closed(box)
            else:
                known[box.scope] = known.get(box.scope) or view_of(box, view, views, open_)
                view.boxes[box.id] = known[box.scope]
    return views


def why_closed(box: DrawnBox) -> str:
    """Why a box opens on no page of its kind."""
    if box.lanes:
        return f"These are {box.lanes} equal values; lo.draw(loss, focus=…) opens the part with one of them."
    if not box.scope:
        return "Leaves that enter the same boxes share one."
    return "Boxes open on pages that are drawn without check= and compared_with=."


def view_of(box: DrawnBox, view: View, views: list[View], open_: Opener) -> int | str:
    """The number of a new view in which this box of a view is open, or why there is none."""
    name = repr(shown_name(box.named[0])) if box.named else "…"
    if len(views) > MOST_VIEWS:
        return f"This page opens {MOST_VIEWS} boxes; lo.draw(loss, focus={name}) opens this one."
    made = open_(box.scope, [one.scope for one in view.contents.groups])
    if made is None:
        return (
            f"Too large to open here; a larger max_nodes opens it, lo.draw(loss, focus={name}) a part of it."
        )
    around = [k for k, view in enumerate(views) if box.scope[: len(view.scope)] == view.scope]
    parent = max(around, key=lambda k: len(views[k].scope))
    views.append(View(*made, box.scope, parent))
    return len(views) - 1


def shared_texts(pages: list[dict[str, Any]]) -> list[str]:
    """Put numbers in the place of what the steps of these pages say, and list what they stand for.

    In the place of a whole step that the first page has, too, stands its number there.
    """
    texts: dict[str, int] = {}
    for step in (step for page in pages for step in page["steps"]):
        for key in TOLD:
            if step.get(key):
                step[key] = texts.setdefault(step[key], len(texts))
    first = {json.dumps(step): k for k, step in enumerate(pages[0]["steps"])}
    for page in pages[1:]:
        page["steps"] = [first.get(json.dumps(step), step) for step in page["steps"]]
    return [*texts]
