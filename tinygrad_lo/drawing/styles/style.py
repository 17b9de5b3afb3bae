"""What the styles have in common: nodes as labels, boxes, and pictures that turn when they grow too long."""

from __future__ import annotations

from collections import defaultdict

from tinygrad_lo.drawing.contents import Contents, DrawnBox, DrawnValue, Stub
from tinygrad_lo.drawing.styles.boxes import box
from tinygrad_lo.drawing.styles.text import Look, font, text
from tinygrad_lo.explaining.formula import size

BOX = 200  # points that a box with the gap behind it takes, about
DEEPEST, WIDE = 14, 1600  # ranks and points from left to right; a longer picture runs from top to bottom


class Style:
    """A way to draw values. Cards, circuits and overviews say what is different about them.

    Attributes:
        gaps: between ranks and between nodes. widest: an edge, in points.
        nodes: DOT nodes for one value. gap: points that the label of an edge takes.
        labelled: whether edges have their local derivatives as labels.
        turned: whether the picture runs from top to bottom.
    """

    gaps = "ranksep=0.4 nodesep=0.3"
    widest = 2.8
    nodes = 1
    gap = 0
    labelled = True

    def __init__(self, contents: Contents, look: Look) -> None:
        self.contents, self.look, self.colors = contents, look, look.colors
        self.turned = self.is_too_long()

    def is_too_long(self) -> bool:
        """Whether the longest path is, from left to right, too deep or about too wide."""
        wide = self.breadths() | {group.id: BOX for group in self.contents.groups}
        ranks: defaultdict[str, int] = defaultdict(lambda: 1)
        ends = defaultdict(int, wide)  # where what leads to a node ends, and of a leaf the leaf itself
        reached: defaultdict[str, int] = defaultdict(int)
        for edge in self.contents.edges:  # in the order of their heads' births
            ranks[edge.head] = max(ranks[edge.head], ranks[edge.tail] + 1)
            end = ends[edge.tail] + wide.get(edge.head, 0) + self.gap
            ends[edge.head] = reached[edge.head] = max(reached[edge.head], end)
        return max(ranks.values(), default=1) > DEEPEST or max(reached.values(), default=0) > WIDE

    def breadths(self) -> dict[str, int]:
        """About how many points values take from left to right, where more than their rank counts."""
        return {}

    def label(self, value: DrawnValue) -> str:
        """The label of a value's node."""
        raise NotImplementedError

    def lines(self, value: DrawnValue) -> list[str]:
        """The DOT text of one value."""
        made = f"{value.name} = {value.formula}" if value.formula else f"{value.name}: {value.role}"
        kind = f"{size(value.data.shape) or 'scalar'} · {value.data.dtype}"
        about = f"{text(made, 200)} · {kind}"
        return [f'{value.id} [id="{value.id}" tooltip="{about}" label=<{self.label(value)}>]']

    def group_line(self, group: DrawnBox) -> str:
        """The node of a box."""
        about = text(f"{group.title}: {len(group.members)} values", 200)
        label = box(group, self.look, differentiated=self.contents.differentiated)
        return f'{group.id} [id="{group.id}" tooltip="{about}" label=<{label}>]'

    def stub_line(self, stub: Stub) -> str:
        """The node in place of what is not drawn."""
        count = f"{stub.behind} more value{'s' * (stub.behind != 1)}"
        return (
            f'{stub.id} [shape=box style="rounded,dashed" color="{self.colors.faint}" margin="0.1,0.05"'
            f' height=0 tooltip="{count}, not drawn" label=<{font(f"… {count}", self.colors.muted, 11)}>]'
        )

    def ports(self) -> tuple[dict[str, str], dict[str, str]]:
        """Where edges leave and where they enter, of the values whose node does not do for both."""
        return {}, {}

    def role_mark(self, role: str) -> str:
        """What the legend shows of a role: a little card, and the word."""
        frame, ground, _ = self.colors.role(role)
        card = f'BORDER="1" COLOR="{frame}" BGCOLOR="{ground}" WIDTH="16" HEIGHT="10" FIXEDSIZE="TRUE"'
        return (
            f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"><TR><TD {card}></TD>'
            f"<TD>{font(f'&#160;{role}', self.colors.muted)}</TD></TR></TABLE>"
        )

    def places(self) -> tuple[str, str]:
        """Where the value and the gradient stand, if the legend must say so."""
        return "", ""
