"""Conversations that are trees of messages: the path to the present end is a session, and each other end a fork of it.

A fork is named by its first node and follows the first child of each, so that nodes which are added later change no
other branch. Everything here is linear in the number of nodes, and nothing recurses.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from amplifier.imports.batch import Digest
from amplifier.imports.items import MAIN, Fault, Item, Line, Session

MOST_FORKS = 1000  # of a conversation


class Node(NamedTuple):
    """A message of a tree. `raw` is its JSON as it is in the file."""

    id: str
    parent: str | None
    raw: bytes


class Branch(NamedTuple):
    """The nodes up to one of the ends, from where they leave the branch `of`, after `depth` nodes."""

    key: str
    of: str | None
    depth: int
    nodes: list[Node]


Converter = Callable[[Node, Line], Iterator[Fault]]  # makes the message of a line


def branches(nodes: dict[str, Node], end: str | None) -> Iterator[Branch]:
    """Yields the branch to `end`, or to the last node if there is none, and then those to all others.

    A node whose parent is missing begins a branch, and so does one of those in a circle.
    """
    first: dict[str, str] = {}
    for node in nodes.values():
        if node.parent is not None:
            first.setdefault(node.parent, node.id)
    place: dict[str, tuple[str, int]] = {}  # of each node: its branch, and the number of nodes up to it
    present = end if end in nodes else next(reversed(nodes), None)
    for name in (present, *nodes) if present is not None else ():
        if name in place:
            continue
        way = _up(nodes, name if not place else _end(name, first, place), place)
        key = way[0] if place else MAIN
        of, depth = place.get(nodes[way[0]].parent or "", (None, 0))
        for number, one in enumerate(way, depth + 1):
            place[one] = (key, number)
        yield Branch(key, of, depth, [nodes[one] for one in way])


def _up(nodes: dict[str, Node], end: str, place: Mapping[str, object]) -> list[str]:
    """Returns the way to a node, from the root or from a node that has a branch."""
    way: dict[str, None] = {}
    name: str | None = end
    while name is not None and name in nodes and name not in place and name not in way:
        way[name] = None
        name = nodes[name].parent
    return list(reversed(way))


def _end(name: str, first: Mapping[str, str], place: Mapping[str, object]) -> str:
    """Returns the end that is reached from a node by first children."""
    seen = {name}
    while (child := first.get(name)) is not None and child not in seen and child not in place:
        seen.add(child)
        name = child
    return name


def items(main: Session, nodes: dict[str, Node], end: str | None, convert: Converter, where: str) -> Iterator[Item]:
    """Yields the sessions of a tree. `where` says which tree it is, for faults."""
    found = list(branches(nodes, end))
    forked, sums = {branch.of for branch in found}, _Sums(found)
    for number, branch in enumerate(found):
        if number > MOST_FORKS:
            left = len(found) - number
            yield Fault(0, f"{where}: {left} of its branches are left out: at most {MOST_FORKS} are imported")
            break
        lines = [Line(branch.key, place, node.raw) for place, node in enumerate(branch.nodes, branch.depth + 1)]
        faults = [list(convert(node, line)) for node, line in zip(branch.nodes, lines, strict=True)]
        whole = sums.add(branch, lines)
        if number and branch.key not in forked and not any(line.message for line in lines):
            continue  # an end at which nothing was said
        yield _fork(main, branch, whole) if number else main
        for reasons, line in zip(faults, lines, strict=True):
            yield from reasons
            yield line
    yield main


class _Sums:
    """The digests of branches from the root, kept where others leave them."""

    def __init__(self, found: list[Branch]) -> None:
        self._needed = {(branch.of, branch.depth) for branch in found}
        self._kept: dict[tuple[str | None, int], Digest] = {}

    def add(self, branch: Branch, lines: list[Line]) -> tuple[int, str]:
        """Returns the number of lines from the root and their digest."""
        before = self._kept.get((branch.of, branch.depth))
        digest = before.copy() if before else Digest()
        for line in lines:
            digest.add(line)
            if (branch.key, line.number) in self._needed:
                self._kept[branch.key, line.number] = digest.copy()
        return digest.lines, digest.text()


def _fork(main: Session, branch: Branch, whole: tuple[int, str]) -> Session:
    key = branch.key
    is_plain = len(key) <= 64 and key.isascii() and key.isprintable()
    name = key if is_plain else hashlib.sha256(key.encode(errors="replace")).hexdigest()[:32]
    return Session(
        key=key,
        source_id=f"{main.source_id}/{name}",
        title=main.title,
        tags=dict(main.tags),
        metadata=dict(main.metadata),
        fork_of=branch.of,
        fork_line=None if branch.of is None else branch.depth,
        whole=whole,
    )
