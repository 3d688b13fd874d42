"""Templates that cannot grow: what they write is bounded by the conversation, whatever it is.

A loop over the messages that writes their parts, as most templates are, needs no guard. Anything by which a text or
the work could grow on its own, such as a product, a variable that is set in a loop, a macro or a range, does.
"""

import functools

LOOPS = ("messages", "tools")
"""What a loop may go over."""
FILTERS = ("trim", "tojson", "length", "upper", "lower", "string", "first", "last")
CALLS = ("raise_exception", "strftime_now")
NESTED = 2
"""Loops within one another at most."""


@functools.lru_cache(maxsize=64)
def is_tame(source: str) -> bool:
    """Return whether a template is of bounded work and output; False where it cannot be parsed."""
    from jinja2 import TemplateError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        tree = ImmutableSandboxedEnvironment(extensions=[loopcontrols]).parse(source)
    except (TemplateError, RecursionError, MemoryError):
        return False
    return all(map(_is_tame_node, _list_nodes(tree))) and _count_loops(tree) <= NESTED


def _list_nodes(tree: object) -> list[object]:
    from jinja2 import nodes

    assert isinstance(tree, nodes.Node)
    return list(tree.find_all(nodes.Node))


def _is_tame_node(node: object) -> bool:
    from jinja2 import nodes

    if isinstance(node, nodes.For):
        is_plain = isinstance(node.iter, nodes.Name) and node.iter.name in LOOPS
        return is_plain and not node.recursive and isinstance(node.target, nodes.Name)
    if isinstance(node, nodes.Filter):
        return node.name in FILTERS and not node.args and not node.kwargs
    if isinstance(node, nodes.Call):
        return isinstance(node.node, nodes.Name) and node.node.name in CALLS
    growing: tuple[type[nodes.Node], ...] = (nodes.Mul, nodes.Pow, nodes.Macro, nodes.CallBlock, nodes.AssignBlock)
    growing = (
        *growing,
        nodes.Include,
        nodes.Import,
        nodes.FromImport,
        nodes.Extends,
        nodes.Block,
        nodes.FilterBlock,
        nodes.Mod,
    )
    if isinstance(node, nodes.Assign):
        return isinstance(node.node, (nodes.Dict, nodes.Const)) and isinstance(node.target, nodes.Name)
    return not isinstance(node, growing)


def _count_loops(tree: object) -> int:
    from jinja2 import nodes

    assert isinstance(tree, nodes.Node)
    inner = max(map(_count_loops, tree.iter_child_nodes()), default=0)
    return inner + isinstance(tree, nodes.For)
