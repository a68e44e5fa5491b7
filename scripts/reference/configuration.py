"""docs/reference/configuration.md, from the JSON Schema that `monitor config schema` prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from monitor.config import json_schema
from scripts.reference.tables import WRITTEN, table

HEAD = f"""\
# Configuration

{WRITTEN}
One YAML file; [`config/monitor.yaml`](../../config/monitor.yaml) shows every option in its place. Unknown keys
are errors, and all faults are told at once with line and cure: `monitor check`. `monitor config schema` prints the
same as a JSON Schema, for editors.

| form | written |
| --- | --- |
| duration | a number with its unit: `500ms`, `30s`, `5m`, `1h30m`, `10d` |
| date | a UK date, `YYYY-MM-DD`; what begins or ends on it does so at 00:00 UK time |
| name | small letters, digits, `.`, `_`, `-`; begins with a letter or digit; at most 63 |
| path | seen from the folder of the configuration file |
| `*_file` | a path, or the name of a systemd credential; secrets never stand in the configuration itself |
| `${{NAME}}` | anywhere in a value: taken from the environment; `$${{` is a plain `${{` |

A changed file is taken over without a restart, whole or not at all: on a fault the old one stays in force,
`monitor_config_last_reload_successful` is 0 and the log says why. Only `store.url`, `http.listen`, `http.tls` and
`probing` need a restart. *needed* means that there is no default. What stands under `defaults` may stand under an endpoint too, for it
alone, and the four keys `confirm_down`, `confirm_up`, `recheck_interval` and `gap_after` under `slo` instead.
"""

_WORDS = {
    "^[0-9]+(wd)?$": "integer of working days",
    "^[0-9]+ ?(B|KiB|MiB)$": "size, such as `64KiB`",
    "^[0-2][0-9]:[0-5][0-9] ?- ?[0-2][0-9]:[0-5][0-9]$": "`HH:MM-HH:MM`",
    "^[0-2][0-9]:[0-5][0-9]$": "`HH:MM`",
    "^[0-9]{2}-[0-9]{2}$": "`MM-DD`",
    "^[A-Za-z0-9._~-]+$": "asset id",
    "^[a-z0-9][a-z0-9._-]{0,62}$": "name",
    "^https://[^?#@\\\\]*[^/\\\\?#]$": "https URL",
    "^https?://[^@]+$": "URL",
    "^https?://[^@?#]+$": "URL",
    "^sqlite:.*[^/]$": "sqlite URL",
}
_FORMATS = {"date": "date", "uuid": "GUID"}
_DEFAULT = re.compile(r"\s*\(default:? ([^;)]*)(?:; ([^)]*))?\)")


def configuration() -> str:
    """The page: a table for each section, in the order of the schema."""
    schema = json_schema()
    sections = [_section(schema, name, given) for name, given in schema["properties"].items()]
    return HEAD + "".join(sections)


def options() -> list[str]:
    """The path of every option, such as `slo.bank_holidays.add` and `endpoints[].id`."""
    schema = json_schema()
    return [row[0].strip("`") for row in _rows(schema, "", schema)]


def _section(schema: Mapping[str, Any], name: str, given: Mapping[str, Any]) -> str:
    rows = list(_option(schema, name, given, needed=name in schema["required"]))
    heads = ("option", "form", "default", "meaning")
    said = given.get("description") or _resolved(schema, given)[0]["description"]
    return f"\n## `{name}`\n\n{said}\n\n" + table(heads, rows)


def _rows(schema: Mapping[str, Any], path: str, section: Mapping[str, Any]) -> Iterator[list[str]]:
    needed = section.get("required", ())
    for name, given in section["properties"].items():
        yield from _option(schema, f"{path}{name}", given, needed=name in needed)


def _option(
    schema: Mapping[str, Any], path: str, given: Mapping[str, Any], *, needed: bool
) -> Iterator[list[str]]:
    """The rows of one option: itself, or those of the section that it is."""
    inner, suffix = _resolved(schema, given)
    if "properties" in inner:
        yield from _rows(schema, f"{path}{suffix}.", inner)
        return
    text, default = _told(given)
    yield [f"`{path}`", _form(schema, given), "needed" if needed else default, text]


def _resolved(schema: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """What an option holds, and how that shows in the path: `[]` of a list, `.NAME` of a mapping."""
    if "$ref" in given:
        return schema["$defs"][given["$ref"].rpartition("/")[2]], ""
    if "anyOf" in given:
        (only,) = (one for one in given["anyOf"] if one != {"type": "null"})
        return _resolved(schema, only)
    if given.get("type") == "array":
        return _resolved(schema, given["items"])[0], "[]"
    if "patternProperties" in given:
        (only,) = given["patternProperties"].values()
        return _resolved(schema, only)[0], ".NAME"
    return given, ""


def _told(given: Mapping[str, Any]) -> tuple[str, str]:
    """Meaning and default; a default that is no constant stands in the description."""
    text = given["description"]
    said = _DEFAULT.search(text)
    if said is not None:
        source = f" ({said[2]})" if said[2] else ""
        return _DEFAULT.sub(source, text), said[1]
    if "default" not in given:
        return text, "none"
    default = given["default"]
    plain = default if isinstance(default, str) else json.dumps(default)
    return text, f"`{plain}`"


def _form(schema: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    if "anyOf" in given:
        (only,) = (one for one in given["anyOf"] if one != {"type": "null"})
        return _form(schema, only)
    if given.get("type") == "array":
        return f"list of {_form(schema, given['items'])}"
    if "$ref" in given:
        return _form(schema, _resolved(schema, given)[0])
    if "enum" in given:
        return ", ".join(f"`{one}`" for one in given["enum"])
    if "pattern" in given:
        return "duration" if "ms" in given["pattern"] else _WORDS.get(given["pattern"], "text")
    if "format" in given:
        return _FORMATS[given["format"]]
    return _plain(given)


def _plain(given: Mapping[str, Any]) -> str:
    """The words for a plain JSON type. Raises KeyError for one that has none yet."""
    kind = given["type"]
    if kind == ["number", "string"]:
        return f"number between {given['exclusiveMinimum']} and {given['exclusiveMaximum']}"
    if kind == "integer":
        most = f" to {given['maximum']}" if "maximum" in given else ""
        return f"integer from {given['minimum']}{most}"
    return {"boolean": "`true`, `false`", "string": "text", "object": "mapping of texts"}[kind]
