"""Reads the configuration and what it includes into models, each with its place in a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from monitor import config_schema as schema
from monitor.config_schema import Wrong
from monitor.config_yaml import Faults, Place, Reader, Tree, joined, nearest
from monitor.errors import Fault

_INCLUDABLE = ("endpoints", "holdernames", "identities")
_SECRET_KEYS = {
    "bearer_token": "bearer_token_file",
    "key": "private_key_file",
    "passphrase": "password_file",
    "password": "password_file",
    "previous_secret": "previous_secret_file",
    "private_key": "private_key_file",
    "secret": "secret_file",
    "token": "tokens_file",
    "tokens": "tokens_file",
}

M = TypeVar("M", bound=BaseModel)


@dataclass(slots=True)
class Draft:
    """What could be read, each valid part with its place; a section with faults is None."""

    root: Tree
    faults: Faults
    sections: dict[str, Any] = field(default_factory=dict)
    endpoints: list[tuple[schema.EndpointSection, Tree]] = field(default_factory=list)
    holdernames: list[tuple[schema.HoldernameSection, Tree]] = field(default_factory=list)
    identities: dict[str, tuple[schema.IdentitySection, Tree]] = field(default_factory=dict)
    # Names as written, also of parts with faults, so that one fault does not cause another.
    endpoint_ids: set[str] = field(default_factory=set)
    identity_names: set[str] = field(default_factory=set)
    # Nothing is to be probed, only accounted: identities may be missing.
    accounting_only: bool = False
    # Patterns of included files, absolute.
    includes: list[str] = field(default_factory=list)
    # Lists of which a part could not be read: what seems missing may stand there.
    unreadable: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    def warn(self, tree: Tree, what: str, cure: str) -> None:
        place = tree.place
        fault = Fault(place.file, place.line, place.column, tree.path, what, cure)
        self.warnings.append(self.faults.hide(str(fault)))


def read(path: Path, reader: Reader, faults: Faults) -> Draft:
    """Read and validate value by value; faults are collected, an unreadable file raises at once."""
    root = reader.read(path)
    if root is None:
        faults.raise_any()
        raise AssertionError("a file that cannot be read has a fault")
    draft = Draft(root, faults)
    known = schema.Document.model_fields
    for name, place in root.keys.items():
        if name not in known:
            _unknown_key(faults, place, name, name, schema.Document)
    for name in (
        "organisation",
        "slo",
        "defaults",
        "store",
        "http",
        "alerts",
        "planning",
        "probing",
        "hypercare",
    ):
        draft.sections[name] = _section(root, name, faults)
    sources = [root, *_included(draft, path, reader)]
    _read_lists(draft, sources)
    return draft


def _section(root: Tree, name: str, faults: Faults) -> BaseModel | None:
    """A section of the file, its defaults if it is absent, None if it has faults."""
    model = _model_of(schema.Document, name)
    tree = root.parts.get(name)
    if tree is None or (tree.value is None and not tree.broken):
        return None if name == "organisation" else model()
    return _validated(model, tree, faults)


def _included(draft: Draft, path: Path, reader: Reader) -> Iterator[Tree]:
    """The included files, each once, in the order of the patterns and of their names."""
    tree = draft.root.parts.get("include")
    if tree is None or tree.value is None:
        return
    if not isinstance(tree.value, list) or not all(isinstance(p, str) and p for p in tree.value):
        draft.faults.at(tree, "must be a list of patterns", "write [endpoints.d/*.yaml]")
        draft.unreadable.update(_INCLUDABLE)
        return
    seen = {path.resolve()}
    for part in tree.items():
        for found in _matches(draft, path.parent, part):
            if found.resolve() not in seen:
                seen.add(found.resolve())
                source = reader.read(found)
                if source is None:
                    draft.unreadable.update(_INCLUDABLE)
                else:
                    _only_lists(draft.faults, source)
                    yield source


def _matches(draft: Draft, folder: Path, part: Tree) -> list[Path]:
    pattern = str(part.value)
    draft.includes.append(os.path.abspath(folder / pattern))
    if not any(character in pattern for character in "*?["):
        return [folder / pattern]
    try:
        absolute = Path(pattern).is_absolute()
        base = Path(Path(pattern).anchor) if absolute else folder
        relative = str(Path(pattern).relative_to(base)) if absolute else pattern
        found = sorted(match for match in base.glob(relative) if match.is_file())
    except (ValueError, NotImplementedError):
        draft.faults.at(part, "is not a pattern", "write one such as endpoints.d/*.yaml")
        return []
    if not found:
        draft.warn(part, "matches no file", "correct the pattern or remove it")
    return found


def _only_lists(faults: Faults, source: Tree) -> None:
    for name, place in source.keys.items():
        if name in _INCLUDABLE:
            continue
        if name in schema.Document.model_fields:
            what = "stands in an included file"
            faults.add(place, name, what, "move it to the main configuration file")
        else:
            _unknown_key(faults, place, name, name, schema.Document, only=_INCLUDABLE)


def _read_lists(draft: Draft, sources: list[Tree]) -> None:
    faults = draft.faults
    absent = not any("endpoints" in source.parts for source in sources)
    if absent and "endpoints" not in draft.unreadable:
        start = Place(draft.root.place.file, draft.root.place.line, draft.root.place.column)
        faults.add(start, "endpoints", "is missing", "add `endpoints:` with what to probe")
    for tree in _list_items(draft, sources, "endpoints"):
        name = tree.value.get("id") if isinstance(tree.value, dict) else None
        if isinstance(name, str):
            draft.endpoint_ids.add(name)
        else:
            draft.unreadable.add("endpoints")
        if (endpoint := _validated(schema.EndpointSection, tree, faults)) is not None:
            draft.endpoints.append((endpoint, tree))
    for tree in _list_items(draft, sources, "holdernames"):
        if (holdername := _validated(schema.HoldernameSection, tree, faults)) is not None:
            draft.holdernames.append((holdername, tree))
    witnesses = [
        (_validated(schema.WitnessSection, tree, faults), tree)
        for tree in _list_items(draft, sources[:1], "witness")
    ]
    draft.sections["witness"] = [(each, tree) for each, tree in witnesses if each is not None]
    for source in sources:
        _read_identities(draft, source)


def _list_items(draft: Draft, sources: list[Tree], name: str) -> Iterator[Tree]:
    for source in sources:
        tree = source.parts.get(name)
        if tree is None or (tree.value is None and not tree.broken):
            continue
        if isinstance(tree.value, list):
            yield from tree.items()
            continue
        draft.unreadable.add(name)
        if not tree.broken:
            draft.faults.at(tree, "must be a list", "begin each entry with -")


def _read_identities(draft: Draft, source: Tree) -> None:
    tree = source.parts.get("identities")
    if tree is None or (tree.value is None and not tree.broken):
        return
    if not isinstance(tree.value, dict):
        draft.unreadable.add("identities")
        if not tree.broken:
            draft.faults.at(tree, "must be a mapping of names to identities", "write `live: {...}`")
        return
    for name, part in tree.parts.items():
        name, place = str(name), tree.keys[str(name)]
        try:
            schema.parse_label(name)
        except Wrong as wrong:
            draft.faults.add(place, part.path, wrong.what, wrong.cure)
        if name in draft.identity_names:
            twice(draft.faults, place, part.path, f'identity "{name}"', draft.identities.get(name))
        draft.identity_names.add(name)
        if (identity := _validated(schema.IdentitySection, part, draft.faults)) is not None:
            draft.identities.setdefault(name, (identity, part))


def twice(
    faults: Faults, place: Place, path: str, what: str, first: tuple[Any, Tree] | None
) -> None:
    """The fault of a name given a second time: names the line of the first."""
    where = f"{first[1].place.file}:{first[1].place.line}" if first else "above"
    faults.add(place, path, f"{what} is given twice, first at {where}", "rename or remove one")


# --- faults of single values ------------------------------------------------------------------


def _validated(model: type[M], tree: Tree, faults: Faults) -> M | None:
    if tree.broken:
        return None
    try:
        return model.model_validate(tree.value)
    except ValidationError as error:
        # include_input=False: a message must never carry a value, which may be a secret.
        for detail in error.errors(include_input=False, include_url=False):
            _explain(faults, model, tree, dict(detail))
        return None


def _explain(faults: Faults, model: type[BaseModel], tree: Tree, detail: dict[str, Any]) -> None:
    """One pydantic error as a fault at its place."""
    part, rest = tree.find(detail["loc"])
    context = detail.get("ctx", {})
    if part.broken:
        return
    if detail["type"] == "missing":
        path = joined(part.path, str(rest[0]))
        faults.add(part.place, path, "is missing", f"add `{rest[0]}: ...`")
    elif detail["type"] == "extra_forbidden":
        name = str(detail["loc"][-1])
        owner = tree.part(*detail["loc"][:-1])
        inner = _model_at(model, detail["loc"][:-1])
        _unknown_key(faults, owner.keys[name], joined(owner.path, name), name, inner)
    elif isinstance(context.get("error"), Wrong):
        faults.at(part, context["error"].what, context["error"].cure)
    elif detail["type"] in ("enum", "literal_error"):
        faults.at(part, *_not_one_of(part.value, context["expected"]))
    else:
        faults.at(
            part, *_PLAIN.get(detail["type"], (f"does not do: {detail['msg']}", "correct it"))
        )


_PLAIN = {
    "bool_parsing": ("is neither true nor false", "write true or false"),
    "bool_type": ("is neither true nor false", "write true or false"),
    "model_type": ("must be a mapping of keys to values", "write its keys below it, indented"),
    "string_too_long": ("is longer than 65536 characters", "shorten it"),
    "string_type": ("must be text", "write it in quotes"),
    "too_short": ("is empty", "write at least one entry, or remove the key"),
    "tuple_type": ("must be a list", "write [a, b], or one entry per line beginning with -"),
}


def _not_one_of(value: object, expected: str) -> tuple[str, str]:
    names = expected.replace("'", "").replace(" or ", ", ").split(", ")
    close = nearest(str(value), names)
    cure = f"did you mean {close}?" if close else "write one of them"
    return f"is not one of {', '.join(names)}", cure


def _unknown_key(
    faults: Faults,
    place: Place,
    path: str,
    name: str,
    model: type[BaseModel],
    only: Iterable[str] = (),
) -> None:
    known = list(only) or [option.alias or key for key, option in model.model_fields.items()]
    if name in _SECRET_KEYS:
        fitting = _SECRET_KEYS[name] if _SECRET_KEYS[name] in known else None
        cure = f"write `{fitting}: PATH`" if fitting else "remove it: no secret belongs here"
        faults.add(place, path, "would be a secret in the file", cure)
        return
    close = nearest(name, known)
    cure = f"did you mean {close}?" if close else f"known here: {', '.join(known)}"
    faults.add(place, path, "is not a known key", cure)


def _model_of(model: type[BaseModel], name: str) -> type[BaseModel]:
    """The section model of a field, looking through optional, tuple and dict."""
    for key, option in model.model_fields.items():
        if name in (key, option.alias):
            found = next(_models_in(option.annotation), None)
            if found is not None:
                return found
    raise KeyError(name)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def _model_at(model: type[BaseModel], location: Iterable[str | int]) -> type[BaseModel]:
    for step in location:
        if isinstance(step, str):
            model = _model_of(model, step)
    return model
