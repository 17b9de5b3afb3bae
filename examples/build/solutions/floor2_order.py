"""Floor 2, solved: each value once."""

import floor1_scalar


def order(root):
    """Every value that the root was made of, and the root: each once, parents first."""
    done, seen, stack = [], set(), [(root, False)]
    while stack:
        node, complete = stack.pop()
        if complete:
            done.append(node)
        elif node not in seen:
            seen.add(node)
            stack += [(node, True), *((parent, False) for parent in node.parents)]
    return done


class Value(floor1_scalar.Value):
    """A number with a backward pass that meets each value once."""

    def backward(self, g=1.0):
        """The gradient waits at each value until all that used it have sent their parts."""
        grads = {self: g}
        for node in reversed(order(self)):
            g = grads.pop(node)
            if not node.parents:
                node.grad = node.grad + g
            for parent, part in node.shares(g):
                grads[parent] = grads[parent] + part if parent in grads else part
