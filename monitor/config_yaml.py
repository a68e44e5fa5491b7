"""YAML read into plain data that remembers where each value stands.

Works on the composed nodes of ruamel.yaml, so that all duplicate keys are found at once, numbers
keep the text they were written with, and every key and value has its line and column.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from monitor.errors import ConfigError, Fault

_TAG = "tag:yaml.org,2002:"
_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_WHOLE = re.compile(r"[-+]?[0-9]{1,18}\Z")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")

SHORTEST_SECRET = 3
"""Values of the environment shorter than this are not hidden in messages."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file; line and column count from 1."""

    file: str
    line: int
    column: int


@dataclass(slots=True)
class Tree:
    """A value with its place, its path in the file (`endpoints[2].url`) and its parts.

    `value` is plain data: dict, list, str, int, Decimal, bool or None. `keys` are the places of the
    keys of a mapping. `broken` values already have a fault of their own.
    """

    value: Any
    place: Place
    path: str
    keys: dict[str, Place] = field(default_factory=dict)
    parts: dict[str | int, Tree] = field(default_factory=dict)
    broken: bool = False
    expanded: bool = False

    def find(self, location: Iterable[str | int]) -> tuple[Tree, list[str | int]]:
        """The deepest part on the way to a location, and what is left of the way."""
        tree, rest = self, list(location)
        while rest and (part := tree.parts.get(rest[0])) is not None:
            tree = part
            rest.pop(0)
        return tree, rest

    def part(self, *location: str | int) -> Tree:
        """The part at a location, or the nearest one that encloses it."""
        return self.find(location)[0]

    def items(self) -> Iterator[Tree]:
        """The parts in the order of the file."""
        return iter(self.parts.values())


def joined(path: str, key: str | int) -> str:
    """A path with one more step: `a.b`, `a[0]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is meant, if one is much like it."""
    return next(iter(difflib.get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)), None)


class Faults:
    """Collects faults. Values that came from the environment are shown by their names only."""

    def __init__(self) -> None:
        self._found: list[Fault] = []
        self._files: dict[str, int] = {}
        self._secrets: dict[str, str] = {}

    def file(self, name: str) -> None:
        """Register a file: faults are listed in the order in which files were registered."""
        self._files.setdefault(name, len(self._files))

    def secret(self, value: str, shown: str) -> None:
        """Show `shown` wherever a message would show this value."""
        if len(value) >= SHORTEST_SECRET:
            self._secrets[value] = shown

    def add(self, place: Place, path: str, what: str, cure: str) -> None:
        self._found.append(Fault(place.file, place.line, place.column, path, what, cure))

    def at(self, tree: Tree, what: str, cure: str) -> None:
        """A fault in the value of a part."""
        self.add(tree.place, tree.path, what, cure)

    def whole_file(self, name: str, what: str, cure: str) -> None:
        self._found.append(Fault(name, None, None, "", what, cure))

    def raise_any(self) -> None:
        """Raise ConfigError with every fault, in file order; return if there is none."""
        if self._found:
            raise ConfigError(
                [self._hidden(fault) for fault in sorted(self._found, key=self._order)]
            )

    def hide(self, text: str) -> str:
        """The text without any value that came from the environment."""
        for value in sorted(self._secrets, key=len, reverse=True):
            shown = self._secrets[value].replace("\\", "\\\\")
            text = re.sub(re.escape(value), shown, text, flags=re.IGNORECASE)
        return text

    def _order(self, fault: Fault) -> tuple[int, int, int]:
        return self._files.get(fault.file, 0), fault.line or 0, fault.column or 0

    def _hidden(self, fault: Fault) -> Fault:
        path, what, cure = (self.hide(text) for text in (fault.path, fault.what, fault.cure))
        return Fault(fault.file, fault.line, fault.column, path, what, cure)


class Reader:
    """Reads YAML files, expanding `${NAME}` in text from `environ`."""

    def __init__(self, environ: Mapping[str, str], faults: Faults) -> None:
        self._environ = environ
        self._faults = faults

    def read(self, path: Path) -> Tree | None:
        """The file as a tree whose value is a mapping; None, with a fault, if it is not one."""
        name = str(path)
        self._faults.file(name)
        try:
            # Nodes have all positions; the round-trip loader gathers comments too, for longer.
            node = YAML(typ="safe", pure=True).compose(path.read_text(encoding="utf-8"))
        except OSError as error:
            self._faults.whole_file(
                name, f"cannot be read ({error.strerror})", "check the path and who may read it"
            )
            return None
        except UnicodeDecodeError as error:
            self._faults.whole_file(
                name, f"is not UTF-8 text (byte {error.start})", "save it as UTF-8"
            )
            return None
        except YAMLError as error:
            self._syntax(name, error)
            return None
        except RecursionError:
            self._faults.whole_file(name, "is nested too deeply", "flatten it")
            return None
        if node is None:
            return Tree({}, Place(name, 1, 1), "")
        tree = _Build(name, self._expand, self._faults).tree(node, "")
        if isinstance(tree.value, dict):
            return tree
        if not tree.broken:
            self._faults.at(tree, "must be a mapping of keys to values", "start with `endpoints:`")
        return None

    def _syntax(self, name: str, error: YAMLError) -> None:
        mark = problem = None
        if isinstance(error, MarkedYAMLError):
            mark, problem = error.problem_mark or error.context_mark, error.problem
        # What stands in quotes may be a value of the file.
        text = re.sub(r"(['\"]).{2,}\1", "...", str(problem or "it cannot be read"))
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name, 1, 1)
        self._faults.add(place, "", f"is not YAML: {text}", "correct it or put the value in quotes")

    def _expand(self, text: str, tree: Tree) -> None:
        """Set the value of a part to its text with `${NAME}` replaced; `$${` stands for `${`."""

        def replace(match: re.Match[str]) -> str:
            name = match["name"]
            if name is None:
                return "${"
            tree.expanded = True
            if not match[0].endswith("}") or not _NAME.match(name):
                self._broken(tree, "has ${ without a variable name and }", "write ${NAME}, or $${")
                return ""
            if name not in self._environ:
                self._broken(tree, f"${{{name}}} is not set", f"set {name} in the environment")
                return ""
            self._faults.secret(self._environ[name], match[0])
            return self._environ[name]

        tree.value = _VARIABLE.sub(replace, text)

    def _broken(self, tree: Tree, what: str, cure: str) -> None:
        tree.broken = True
        self._faults.at(tree, what, cure)


class _Build:
    """Turns the nodes of one file into a Tree."""

    def __init__(self, file: str, expand: Any, faults: Faults) -> None:
        self._file = file
        self._expand = expand
        self._faults = faults
        self._open: set[int] = set()

    def _place(self, node: Node) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)

    def tree(self, node: Node, path: str) -> Tree:
        tree = Tree(None, self._place(node), path)
        if id(node) in self._open:
            self._fail(tree, "is an alias of something that encloses it", "write it out")
            return tree
        self._open.add(id(node))
        if isinstance(node, MappingNode):
            self._mapping(node, tree)
        elif isinstance(node, SequenceNode):
            tree.parts = {
                n: self.tree(child, joined(path, n)) for n, child in enumerate(node.value)
            }
            tree.value = [part.value for part in tree.items()]
        elif isinstance(node, ScalarNode):
            self._scalar(node, tree)
        self._open.discard(id(node))
        return tree

    def _fail(self, tree: Tree, what: str, cure: str) -> None:
        tree.broken = True
        self._faults.at(tree, what, cure)

    def _scalar(self, node: ScalarNode, tree: Tree) -> None:
        text, tag = node.value, str(node.tag)
        if not tag.startswith(_TAG):
            self._fail(tree, "has a tag that is not known here", "remove what starts with !")
        elif tag == f"{_TAG}null":
            tree.value = None
        elif tag == f"{_TAG}bool":
            tree.value = text.lower() == "true" if text.lower() in ("true", "false") else text
        elif tag == f"{_TAG}int" and _WHOLE.match(text):
            tree.value = int(text)
        elif tag == f"{_TAG}float" and _DECIMAL.match(text):
            tree.value = Decimal(text)
        else:  # dates and times stay text: they are read where their meaning is known
            self._expand(text, tree)

    def _mapping(self, node: MappingNode, tree: Tree) -> None:
        merged: list[MappingNode] = []
        for key, value in node.value:
            place = self._place(key)
            if str(key.tag) == f"{_TAG}merge":
                merged += _merged(value)
            elif not isinstance(key, ScalarNode):
                self._faults.add(place, tree.path, "has a key that is not text", "write a word")
            elif key.value in tree.keys:
                first = tree.keys[key.value]
                self._faults.add(
                    place,
                    joined(tree.path, key.value),
                    f"is given twice, first on line {first.line}",
                    "keep one of them",
                )
            else:
                tree.keys[key.value] = place
                tree.parts[key.value] = self.tree(value, joined(tree.path, key.value))
        for source in merged:
            inherited = self.tree(source, tree.path)
            for name, part in inherited.parts.items():
                tree.keys.setdefault(str(name), inherited.keys[str(name)])
                tree.parts.setdefault(name, part)
        tree.value = {name: part.value for name, part in tree.parts.items()}


def _merged(value: Node) -> list[MappingNode]:
    """The mappings that `<<:` brings in."""
    nodes = value.value if isinstance(value, SequenceNode) else [value]
    return [node for node in nodes if isinstance(node, MappingNode)]
