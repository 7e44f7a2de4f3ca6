"""What does a stranger's XML say? A plain tree of it: no DTD, no entities, nothing fetched, bounded."""

from __future__ import annotations

import xml.parsers.expat  # documents with a DTD are refused below
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAX_DEPTH = 48  # a notification of an Axis has 12
_MAX_NODES = 50_000  # GetServices of a 32-channel recorder: about 400


class XmlError(ValueError):
    """Not XML, or more than anybody has to say."""


@dataclass(slots=True)
class Node:
    """One element; names without prefixes, because every maker has its own."""

    name: str
    namespace: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def all(self, name: str) -> Iterator[Node]:
        """Every element of that name below this one."""
        for child in self.children:
            if child.name == name:
                yield child
            yield from child.all(name)

    def first(self, name: str) -> Node | None:
        return next(self.all(name), None)

    def said(self, name: str) -> str:
        """The text of the first element of that name, or an empty one."""
        node = self.first(name)
        return node.text.strip() if node else ""


def parse(document: bytes) -> Node:
    """Return a node that holds the document's root. Raises XmlError."""
    reader = _Reader()
    parser = xml.parsers.expat.ParserCreate(None, " ")
    parser.buffer_text = True  # one piece: a megabyte of lines, one by one, took half a minute
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.said
    try:
        parser.Parse(document, True)  # noqa: FBT003 -- expat's signature: this is all there is
    except (xml.parsers.expat.ExpatError, LookupError, ValueError) as error:  # also: an encoding nobody knows
        raise XmlError(str(error)) from None
    return reader.root


class _Reader:
    def __init__(self) -> None:
        self.root = Node("")
        self._path = [self.root]
        self._nodes = 0

    def refuse(self, *_: object) -> None:
        message = "a DTD"
        raise XmlError(message)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._nodes += 1
        if self._nodes > _MAX_NODES or len(self._path) > _MAX_DEPTH:
            message = "too much"
            raise XmlError(message)
        namespace, _, local = name.rpartition(" ")
        plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        node = Node(local, namespace, plain)
        self._path[-1].children.append(node)
        self._path.append(node)

    def end(self, _: str) -> None:
        self._path.pop()

    def said(self, text: str) -> None:
        self._path[-1].text += text
