"""The shape of the configuration file: pydantic models, one per section.

Each option has a description and a default, which `monitor config schema` prints. The models check
one value at a time; what concerns several values is checked in `config_check.py`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from monitor.config_place import DEFAULT_STORE, NO_FILE, names_file
from monitor.core.alert import EVENT_TYPES
from monitor.core.endpoint import Environment, Service
from monitor.core.planning import Reading
from monitor.core.rules import LateRecords, NoticeCalendar, NoticeMethod


class Wrong(ValueError):
    """A value that does not do: what is wrong with it, and the cure. Neither quotes a secret."""

    def __init__(self, what: str, cure: str) -> None:
        self.what, self.cure = what, cure
        super().__init__(what)


class Connection(StrEnum):
    """Where the pension data sits (domain.md section 1)."""

    DATA_LAKE = "data-lake"
    DISTRIBUTED = "distributed"
    FEDERATED = "federated"


# --- values ---------------------------------------------------------------------------------

_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m(?!s))?(?:[0-9]+s)?(?:[0-9]+ms)?\Z")
_DURATION_PATTERN = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"
_LONGEST = timedelta(days=36500)
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?\Z")


def parse_duration(value: object) -> timedelta:
    """`30s`, `1h30m`, `500ms` as a timedelta; raises Wrong."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not value or not _DURATION.match(value):
        raise Wrong("is not a duration", "write it with its unit, such as 30s, 5m, 1h30m or 10d")
    parts = re.findall(r"([0-9]+)(ms|[smhd])", value)
    micros = sum(int(count) * _UNITS[unit] for count, unit in parts)
    if micros > _LONGEST // timedelta(microseconds=1):
        raise Wrong("is longer than a hundred years", "write a shorter one")
    return timedelta(microseconds=micros)


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back: `1h30m`."""
    rest, text = value // timedelta(microseconds=1), ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _positive(value: object) -> timedelta:
    duration = parse_duration(value)
    if not duration:
        raise Wrong("must be longer than nothing", "write a duration such as 30s")
    return duration


def parse_date(value: object) -> date:
    """YYYY-MM-DD as a date; raises Wrong."""
    if isinstance(value, date):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise Wrong("is a day that does not exist", "correct the date") from None
    raise Wrong("is not a date", "write it as YYYY-MM-DD")


def _parse_time(value: object) -> time:
    if isinstance(value, time):
        return value
    if isinstance(value, str) and re.fullmatch(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", value):
        return time.fromisoformat(value)
    raise Wrong("is not a time of day", 'write it as "HH:MM", such as "17:00"')


def _parse_hours(value: object) -> tuple[time, time]:
    if isinstance(value, tuple):
        return value
    wrong = Wrong("is not a stretch of a day", 'write it as "HH:MM-HH:MM", such as "00:00-10:00"')
    if not isinstance(value, str) or value.count("-") != 1:
        raise wrong
    try:
        opens, closes = (_parse_time(part.strip()) for part in value.split("-"))
    except Wrong:
        raise wrong from None
    if opens >= closes:
        raise Wrong("ends before it begins", "name a stretch within one day")
    return opens, closes


def _parse_objective(value: object) -> Fraction:
    if isinstance(value, Fraction):
        return value
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or abs(number.adjusted()) > 30:
        raise Wrong("is not a decimal number", "write it as 0.995")
    if not 0 < number < 1:
        raise Wrong("must lie between 0 and 1", "write 99.5 % as 0.995")
    return Fraction(number)


def _show_objective(value: Fraction) -> str:
    return str(Decimal(value.numerator) / Decimal(value.denominator))


def _parse_zone(value: object) -> ZoneInfo:
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(str(value))
    except (ValueError, OSError, KeyError):
        raise Wrong("is not a time zone", "write an IANA name such as Europe/London") from None


def _parse_seal_after(value: object) -> int:
    """Working days: `5` or `5wd`."""
    text = value.removesuffix("wd") if isinstance(value, str) else value
    return _parse_count(text, "write working days, such as 5")


def _parse_count(value: object, cure: str = "write a whole number") -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Wrong("is not a whole number of 0 or more", cure)
    return value


def _parse_number(value: object) -> int:
    count = _parse_count(value)
    if count < 1:
        raise Wrong("must be at least 1", "write 1 or more")
    return count


def _parse_size(value: object) -> int:
    match = re.fullmatch(r"([0-9]{1,9}) ?(B|KiB|MiB)", value) if isinstance(value, str) else None
    size = int(match[1]) * _SIZES[match[2]] if match else value
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise Wrong("is not a size", "write it as 64KiB, 1MiB or bytes")
    if size > 16 * _SIZES["MiB"]:
        raise Wrong("is over 16MiB", "a probe needs the first bytes only: write 64KiB")
    return size


def _parse_year_end(value: object) -> tuple[int, int]:
    if isinstance(value, tuple):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{2}-[0-9]{2}", value):
        try:  # a leap year, so that 02-29 is a day
            day = date(2024, int(value[:2]), int(value[3:]))
        except ValueError:
            raise Wrong("is a day that does not exist", "correct the day") from None
        return day.month, day.day
    raise Wrong("is not a day of the year", "write it as MM-DD, such as 03-31")


def _parse_guid(value: object) -> str:
    text = value.lower() if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise Wrong("is not a UUID", "copy the holdername GUID from the portal: 8-4-4-4-12 digits")
    return text


def parse_label(value: object) -> str:
    """A name of an endpoint, identity or webhook, fit to be a metric's label; raises Wrong."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", value):
        raise Wrong(
            "is not a name fit for labels",
            "use 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit",
        )
    return value


def _parse_text(value: object) -> str:
    if not isinstance(value, str):
        raise Wrong("must be text", "write it in quotes")
    if not value.strip():
        raise Wrong("is empty", "write a value or remove the key")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise Wrong("contains control characters", "write it on one line, without tabs")
    return value


def _parse_group(value: object) -> str:
    text = _parse_text(value)
    if len(text) > 253:
        raise Wrong("is longer than 253 characters", "shorten it")
    return text


def _split(value: object) -> tuple[str, SplitResult]:
    text = _parse_text(value)
    if text != text.strip() or " " in text:
        raise Wrong("contains a space", "remove it")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Wrong("is not a URL", "write it as https://host/path") from None
    if not parts.scheme or not parts.netloc or not parts.hostname:
        raise Wrong("has no host", "write it as https://host/path")
    if port == 0:
        raise Wrong("has port 0", "write the port, or leave it out for 443")
    if "@" in parts.netloc:
        raise Wrong("contains a user name or password", "remove what stands before the @")
    return text, parts


def _parse_endpoint_url(value: object) -> str:
    """The URL rules of domain.md section 10: reported, never mended."""
    text, parts = _split(value)
    if parts.query or parts.fragment or text[-1] in "?#":
        raise Wrong("has a query or fragment", "remove everything from the ? or #")
    if parts.scheme != "https":
        raise Wrong(f'"{text}" is not https', "write it with https://")
    if text.endswith("/"):
        raise Wrong(f'"{text}" ends in a slash', "write it without")
    if text.endswith("\\"):
        raise Wrong(f'"{text}" ends in a backslash', "write it without")
    if "\\" in text:
        raise Wrong(f'"{text}" contains a backslash', "write /")
    return text


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _parse_alert_url(value: object) -> str:
    """https, or http to this machine. The path may be a secret: no message quotes the URL."""
    text, parts = _split(value)
    if parts.scheme != "https" and not (
        parts.scheme == "http" and is_loopback(parts.hostname or "")
    ):
        raise Wrong("is neither https nor http to this machine", "write it with https://")
    return text


def _parse_base_url(value: object) -> str:
    """http or https, with neither query nor fragment; a slash at the end is dropped."""
    text, parts = _split(value)
    if parts.scheme not in ("http", "https"):
        raise Wrong("is neither http nor https", "write it as https://host:port")
    if parts.query or parts.fragment or text[-1] in "?#":
        raise Wrong("has a query or fragment", "remove everything from the ? or #")
    return text.rstrip("/")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def parse_host_port(value: object, default_port: int | None = None) -> tuple[str, int]:
    """`host:port`, `[::1]:port`; raises Wrong."""
    if isinstance(value, tuple):
        return value
    text = _parse_text(value)
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]*))(?::([0-9]{1,5}))?", text)
    host = (match[1] or match[2]) if match else ""
    port = int(match[3]) if match and match[3] else default_port
    if not host or port is None or port > 65535:
        raise Wrong("is not host:port", 'write it as "127.0.0.1:9464" or "[::1]:9464"')
    if match and match[1]:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise Wrong("is not an IPv6 address", 'write it as "[::1]:9464"') from None
    elif not _HOST.match(host):
        raise Wrong("has a host that is neither a name nor an address", "write 0.0.0.0 for all")
    return host, port


def _show_host_port(value: tuple[str, int]) -> str:
    host, port = value
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parse_witness_host(value: object) -> tuple[str, int]:
    host, port = parse_host_port(value, default_port=443)
    if not port:
        raise Wrong("has port 0", "write the port, such as 443")
    return host, port


def _parse_store_url(value: object) -> str:
    text = _parse_text(value)
    if not names_file(text):
        raise Wrong(*NO_FILE)
    return text


def _parse_events(value: object) -> str:
    text = _parse_text(value)
    if not any(fnmatchcase(kind, text) for kind in EVENT_TYPES):
        cure = "write a type of docs/reference/alerts.md or a pattern, such as incident.*"
        raise Wrong("is no type of alert, and matches none", cure)
    return text


_METHODS = ("GET", "HEAD", "OPTIONS", "POST")
_OWN_HEADERS = ("content-length", "host", "transfer-encoding", "user-agent", "x-request-id")


def _parse_method(value: object) -> str:
    if not isinstance(value, str) or value.upper() not in _METHODS:
        raise Wrong("is not a method a probe may use", f"write one of {', '.join(_METHODS)}")
    return value.upper()


def _parse_status(value: object) -> int:
    status = _parse_count(value, "write a status such as 401")
    if not 200 <= status <= 499 or 300 <= status <= 399:
        raise Wrong("can never read as up", "write statuses from 200 to 299 or 400 to 499")
    return status


def _parse_headers(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise Wrong("must be a mapping of keys to values", "write `Name: value`, one per line")
    for name, text in value.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise Wrong("has a name that HTTP does not allow", "use letters, digits and -")
        if name.lower() in _OWN_HEADERS:
            raise Wrong(f"sets {name}, which every probe sets itself", "remove it")
        if not isinstance(text, str) or re.search(r"[\x00-\x1f\x7f]", text):
            raise Wrong(
                f"has a value for {name} that is not text", "write it in quotes, on one line"
            )
    return tuple(sorted(value.items()))


def _parse_asset(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._~-]{1,200}", value):
        raise Wrong("is not an asset id", "write the agreed test asset's GUID, without slashes")
    return value


def _value(
    parse: Callable[[Any], object], schema: dict[str, Any], show: Callable[[Any], Any] = str
) -> tuple[Any, ...]:
    return BeforeValidator(parse), WithJsonSchema(schema), PlainSerializer(show)


_DURATION_SCHEMA = {"type": "string", "pattern": _DURATION_PATTERN, "examples": ["30s", "1h30m"]}
_ANY_TEXT = {"type": "string", "minLength": 1}
_DATE_SCHEMA = {"type": "string", "format": "date"}

Duration = Annotated[timedelta, *_value(_positive, _DURATION_SCHEMA, format_duration)]
DurationOrNone = Annotated[timedelta, *_value(parse_duration, _DURATION_SCHEMA, format_duration)]
Day = Annotated[date, *_value(parse_date, _DATE_SCHEMA)]
TimeOfDay = Annotated[
    time,
    *_value(
        _parse_time,
        {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"},
        lambda value: f"{value:%H:%M}",
    ),
]
Hours = Annotated[
    tuple[time, time],
    *_value(
        _parse_hours,
        {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9] ?- ?[0-2][0-9]:[0-5][0-9]$"},
        lambda value: f"{value[0]:%H:%M}-{value[1]:%H:%M}",
    ),
]
Objective = Annotated[
    Fraction,
    *_value(
        _parse_objective,
        {"type": ["number", "string"], "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        _show_objective,
    ),
]
Zone = Annotated[ZoneInfo, *_value(_parse_zone, {"type": "string", "examples": ["Europe/London"]})]
Count = Annotated[int, *_value(_parse_count, {"type": "integer", "minimum": 0}, int)]
Number = Annotated[int, *_value(_parse_number, {"type": "integer", "minimum": 1}, int)]
SealAfter = Annotated[
    int,
    *_value(_parse_seal_after, {"type": ["integer", "string"], "pattern": "^[0-9]+(wd)?$"}, int),
]
Size = Annotated[
    int,
    *_value(_parse_size, {"type": ["string", "integer"], "pattern": "^[0-9]+ ?(B|KiB|MiB)$"}, int),
]
YearEnd = Annotated[
    tuple[int, int],
    *_value(
        _parse_year_end,
        {"type": "string", "pattern": "^[0-9]{2}-[0-9]{2}$"},
        lambda value: f"{value[0]:02}-{value[1]:02}",
    ),
]
Guid = Annotated[str, *_value(_parse_guid, {"type": "string", "format": "uuid"})]
Label = Annotated[
    str, *_value(parse_label, {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$"})
]
Text = Annotated[str, *_value(_parse_text, _ANY_TEXT)]
Group = Annotated[str, *_value(_parse_group, {**_ANY_TEXT, "maxLength": 253})]
EndpointUrl = Annotated[
    str,
    *_value(_parse_endpoint_url, {"type": "string", "pattern": "^https://[^?#@\\\\]*[^/\\\\?#]$"}),
]
AlertUrl = Annotated[
    str, *_value(_parse_alert_url, {"type": "string", "pattern": "^https?://[^@]+$"}, _origin)
]
BaseUrl = Annotated[
    str, *_value(_parse_base_url, {"type": "string", "pattern": "^https?://[^@?#]+$"})
]
EventPattern = Annotated[str, *_value(_parse_events, _ANY_TEXT)]
# A secret as a whole, so that only ${NAME} may stand in the file: shown as nothing.
SecretUrl = Annotated[str, *_value(_parse_text, _ANY_TEXT, lambda value: "")]
HostPort = Annotated[tuple[str, int], *_value(parse_host_port, _ANY_TEXT, _show_host_port)]
WitnessHost = Annotated[tuple[str, int], *_value(_parse_witness_host, _ANY_TEXT, _show_host_port)]
StoreUrl = Annotated[
    str, *_value(_parse_store_url, {"type": "string", "pattern": "^sqlite:.*[^/]$"})
]
Method = Annotated[str, *_value(_parse_method, {"type": "string", "enum": list(_METHODS)})]
Status = Annotated[
    int, *_value(_parse_status, {"type": "integer", "minimum": 200, "maximum": 499}, int)
]
Headers = Annotated[
    tuple[tuple[str, str], ...],
    *_value(
        _parse_headers,
        {"type": "object", "additionalProperties": {"type": "string"}},
        # A value may be a secret: only the names are shown.
        lambda value: sorted(name for name, _ in value),
    ),
]
# May hold a secret: shown as a digest.
Body = Annotated[
    str,
    StringConstraints(max_length=65536),
    PlainSerializer(lambda text: hashlib.sha256(text.encode()).hexdigest()),
]
Asset = Annotated[str, *_value(_parse_asset, {"type": "string", "pattern": "^[A-Za-z0-9._~-]+$"})]


# --- sections -------------------------------------------------------------------------------


class Section(BaseModel):
    """A mapping of the file. A fault never carries the value that caused it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_by_name=False,
        use_attribute_docstrings=True,
    )


class OrganisationSection(Section):
    """Who runs the endpoints."""

    name: Text
    """Name of the organisation, as MaPS knows it."""
    connection: Connection | None = None
    """Where the pension data sits: data-lake, distributed or federated."""


class BankHolidaysSection(Section):
    """Corrections to the built-in list of UK bank holidays."""

    add: tuple[Day, ...] = ()
    """Days that are bank holidays and missing from the list."""
    remove: tuple[Day, ...] = ()
    """Days of the list that are not bank holidays."""


class CadenceOptions(Section):
    """How probing confirms; the same keys under slo, defaults and an endpoint."""

    confirm_down: Number | None = None
    """Consecutive failing observations that confirm an outage (default 3; accounting 2.3)."""
    confirm_up: Number | None = None
    """Consecutive good observations that end an outage (default 2; accounting 2.4)."""
    recheck_interval: Duration | None = None
    """Time between probes while an endpoint is suspect or recovering (default 5s)."""
    gap_after: Duration | None = None
    """A silence longer than this is unknown time (default: twice the interval plus the timeout)."""


class SloSection(CadenceOptions):
    """The objective, and the choices of the accounting rules."""

    objective: Objective = Fraction(995, 1000)
    """Availability to reach in each calendar month (CoCo 2.1.5)."""
    zone: Zone = Field(default_factory=lambda: ZoneInfo("Europe/London"))
    """Time zone of the calendar month."""
    slo_zone: Zone | None = None
    """Another name of zone."""
    late_records: LateRecords = LateRecords.REJECT
    """Whether a declaration recorded late may excuse time already past: reject or accept."""
    notice_days: Count = 5
    """Working days of notice that downtime needs (CoCo 2.2.1)."""
    notice_method: NoticeMethod = NoticeMethod.CLEAR
    """How they are counted: clear (neither first nor last day counts) or inclusive_start."""
    notice_cutoff: TimeOfDay = time(17, 0)
    """UK time of day from which a notification counts as made on the next working day."""
    notice_calendar: NoticeCalendar = NoticeCalendar.ANY_UK
    """Whose bank holidays are not working days."""
    quiet_period: DurationOrNone = timedelta(minutes=10)
    """Outages of one group at most this far apart are one incident (accounting 7.2)."""
    restoration: Duration = timedelta(hours=2)
    """Target for restoration after an outage began (CoCo 2.1.4)."""
    at_risk_after: tuple[Duration, ...] = (timedelta(minutes=60), timedelta(minutes=90))
    """When to warn that the restoration target is at risk; rising, below restoration."""
    seal_after: SealAfter = 5
    """Working days after which a month is sealed."""
    bank_holidays: BankHolidaysSection = BankHolidaysSection()
    """Corrections to the built-in list of UK bank holidays."""


class ChangeWindowsSection(Section):
    """When MaPS recommends changes; outside there is a warning."""

    reading: Reading = Reading.NTH_TUESDAY
    """What Tuesday of the first and third weeks means: nth_tuesday, week_containing_first, \
first_full_week or iso_majority."""
    time: Hours = (time(0), time(10))
    """From when to when on such a day, UK time."""
    dates: tuple[Day, ...] = ()
    """UK dates that are the only change windows, whatever the reading (default: by the reading)."""


class FreezeSection(Section):
    """A stretch of each year in which downtime is refused unless overridden with a reason."""

    first: YearEnd = Field(alias="from")
    """Its first UK day, MM-DD."""
    last: YearEnd = Field(alias="to")
    """Its last UK day, MM-DD; before the first: of the next year."""


class PlanningSection(Section):
    """When changes are welcome and when they are not."""

    change_windows: ChangeWindowsSection = ChangeWindowsSection()
    """When MaPS recommends changes."""
    freeze: tuple[FreezeSection, ...] = (
        FreezeSection.model_validate({"from": "12-24", "to": "01-02"}),
    )
    """Stretches of each year without changes."""


class DefaultsSection(CadenceOptions):
    """What holds for every endpoint that does not say otherwise."""

    interval: Duration = timedelta(seconds=30)
    """Time between probes of an endpoint; at most 60s is advised."""
    timeout: Duration = timedelta(seconds=15)
    """Give up on a probe after this long; must be longer than impaired_above."""
    impaired_above: Duration | None = None
    """A slower answer is impaired (default 10s)."""


class IdentitySection(Section):
    """A client identity: an issued folder, or PEM files, or a PKCS#12 file."""

    pack: Text | None = None
    """Folder as issued: certificate, certificateChain, certPrivateKey."""
    certificate: Text | None = None
    """PEM file of the client certificate, instead of pack."""
    chain: Text | None = None
    """PEM file of the issuing certificates."""
    private_key_file: Text | None = None
    """PEM file of the private key, readable by its owner only."""
    pkcs12: Text | None = None
    """PKCS#12 file, instead of pack."""
    password_file: Text | None = None
    """File with the password of an encrypted key or PKCS#12 file."""
    trust: Text = "system"
    """Whom servers must be vouched for by: system, pack (the issued chain) or a PEM file."""
    strict: bool = False
    """Refuse server certificates that break RFC 5280 in form (X509_STRICT)."""
    partial_chain: bool = False
    """Let an intermediate certificate in the trust file be an anchor (PARTIAL_CHAIN)."""


class ExpectSection(Section):
    """The request to send and the answers that count as up (default by service)."""

    status: Annotated[tuple[Status, ...], Field(min_length=1)] | None = None
    """HTTP statuses that read as up (default: by service)."""
    method: Method | None = None
    """HTTP method (default: by service)."""
    headers: Headers | None = None
    """More request headers; a secret value must come from ${NAME}."""
    body: Body | None = None
    """Request body. Never a valid find request: it would start matching."""
    impaired_above: Duration | None = None
    """A slower answer is impaired (default: that of the endpoint)."""
    refusals: tuple[Text, ...] | None = None
    """Texts by which a gateway refuses our certificate after a good handshake (default: a list)."""
    asset: Asset | None = None
    """View only: asset id of an agreed test asset (default: a fresh random one)."""


class SecurityProbesSection(Section):
    """Requests that an endpoint must refuse; they never count for availability."""

    every: Duration = timedelta(days=1)
    """Time between them, at least 1h."""


class EndpointSection(CadenceOptions):
    """One registered endpoint."""

    id: Label
    """Name, stable for ever; the URL may change under it."""
    service: Service
    """find, view or pat-refresh."""
    url: EndpointUrl
    """Registered URL: https, without a slash at the end."""
    environment: Environment = Environment.LIVE
    """live endpoints are accounted, test endpoints only watched."""
    identity: Label | None = None
    """Which of the identities probes present (default: the one named like the environment)."""
    connected_from: Day | None = None
    """UK date from which the endpoint is accounted; live endpoints need it."""
    disconnected_on: Day | None = None
    """UK date from which it is not accounted any more."""
    group: Group | None = None
    """Endpoints of one group that fail together are one incident (default: host of the URL)."""
    expect: ExpectSection = ExpectSection()
    """The request to send and the answers that count as up."""
    interval: Duration | None = None
    """Time between probes (default: as under defaults)."""
    timeout: Duration | None = None
    """Give up on a probe after this long (default: as under defaults)."""
    impaired_above: Duration | None = None
    """A slower answer is impaired (default: as under defaults)."""
    trust: Text | None = None
    """Instead of the identity's trust: system, pack or a PEM file (default: the identity's)."""
    security_probes: SecurityProbesSection | None = None
    """Ask now and then what must be refused: no client certificate, TLS 1.1 (default: never)."""

    @property
    def presents(self) -> str:
        """The name of the identity that probes present."""
        return self.identity or self.environment.value


class ServesSection(Section):
    """These endpoints serve the holdername from a date on."""

    endpoints: Annotated[tuple[Label, ...], Field(min_length=1)]
    """Ids of live endpoints."""
    start: Day = Field(alias="from")
    """First UK date."""
    until: Day | None = None
    """UK date from which they no longer do."""


class HoldernameSection(Section):
    """One holdername GUID and the endpoints that serve it."""

    guid: Guid
    """The holdername GUID."""
    name: Text
    """Name of the scheme."""
    scheme_year_end: YearEnd = (12, 31)
    """Last day of the scheme year, MM-DD; records are kept six years from it."""
    serves: tuple[ServesSection, ...] = ()
    """Which endpoints serve it, by effective date."""


class StoreSection(Section):
    """Where facts are kept."""

    url: StoreUrl = DEFAULT_STORE
    """SQLite file: sqlite:///absolute/path, or sqlite:path beside the configuration."""
    retain_observations: Duration = timedelta(days=400)
    """Raw observations older than this are removed; everything else is kept."""


class HttpTlsSection(Section):
    """TLS of the listener; a changed pair is picked up without a restart."""

    certificate: Text
    """PEM file: the server certificate, then its chain."""
    private_key_file: Text
    """PEM file of its private key, unencrypted, readable by the monitor's user alone."""
    client_ca: Text | None = None
    """PEM bundle against which client certificates are verified."""
    client_certificates: Literal["required", "optional"] | None = None
    """Whether every client must show one; those that tokens_file names need no token."""


class HttpSection(Section):
    """The listener for metrics, health and the API."""

    listen: HostPort = ("127.0.0.1", 9464)
    """Address and port. Other than loopback only with tokens_file."""
    tokens_file: Text | None = None
    """File with the hashes of the bearer tokens."""
    public_url: BaseUrl | None = None
    """Where people reach the pages, such as https://monitor.example; alerts then link to them."""
    discovery: Literal["public", "off"] = "public"
    """Whether /discovery/status and /discovery/outages are there, open to all."""
    tls: HttpTlsSection | None = None
    """Serve HTTPS instead of HTTP."""


class WebhookSection(Section):
    """A receiver of Standard Webhooks."""

    name: Label
    """Name, used in metrics and messages."""
    url: AlertUrl
    """Where to post: https, or http to this machine."""
    secret_file: Text | None = None
    """File with the signing secret (whsec_...)."""
    previous_secret_file: Text | None = None
    """While rotating: file with the secret before; both sign."""
    expire_after: Duration = timedelta(days=7)
    """Give up on an event after this long; it is then listed as dead."""
    timeout: Duration = timedelta(seconds=10)
    """Give up on one attempt after this long."""
    events: tuple[EventPattern, ...] = ("*",)
    """Only alerts of these types, or that match these patterns."""


class AppriseSection(Section):
    """A chat, mailbox or pager, told in plain text through Apprise (the extra notify)."""

    name: Label
    """Name, used in metrics and messages."""
    url_file: Text | None = None
    """File with the Apprise URL, which is a secret as a whole."""
    url: SecretUrl | None = None
    """The Apprise URL as ${NAME}, instead of a file."""
    events: tuple[EventPattern, ...] = ("*",)
    """Only alerts of these types, or that match these patterns."""
    expire_after: Duration = timedelta(days=7)
    """Give up on an event after this long; it is then listed as dead."""
    timeout: Duration = timedelta(seconds=10)
    """Give up on one attempt after this long."""


class AlertmanagerSection(Section):
    """An Alertmanager member; what stands is told to each of them, again and again."""

    url: BaseUrl
    """Base URL of the member."""
    resend_every: Duration = timedelta(seconds=30)
    """Time between tellings, at most 5m; after four of them without one, alerts run out there."""
    timeout: Duration = timedelta(seconds=10)
    """Give up on one request after this long."""
    silences: bool = False
    """Silence the endpoints of each declared window while it lasts; incidents stay heard."""
    created_by: Text = "monitor"
    """The name our silences carry; of several daemons at one Alertmanager each needs its own."""
    ca_file: Text | None = None
    """PEM file of those who may vouch for the member (default: the system's)."""
    username: Text | None = None
    """User name for basic authentication."""
    password_file: Text | None = None
    """File with its password."""
    bearer_token_file: Text | None = None
    """File with a bearer token, instead of a user name."""


class DeadManSection(Section):
    """A ping that is missed when this daemon dies."""

    url: AlertUrl | None = None
    """URL to ask while all is well."""
    url_file: Text | None = None
    """File with the URL, if it is a secret."""
    every: Duration = timedelta(seconds=60)
    """Time between pings."""
    timeout: Duration = timedelta(seconds=10)
    """Give up on one ping after this long."""


class AlertsSection(Section):
    """Who is told, and when."""

    webhooks: tuple[WebhookSection, ...] = ()
    """Receivers of Standard Webhooks."""
    apprise: tuple[AppriseSection, ...] = ()
    """Chats, mailboxes and pagers."""
    alertmanager: tuple[AlertmanagerSection, ...] = ()
    """Alertmanager members."""
    dead_man: DeadManSection | None = None
    """A ping that is missed when this daemon dies."""
    identity_expiry_days: tuple[Number, ...] = (60, 30, 14, 7, 1)
    """Days before a client certificate expires at which to say so."""
    certificate_expiry_days: tuple[Number, ...] = (21, 7, 3, 1)
    """Days before a server certificate expires at which to say so."""
    upcoming: Duration = timedelta(hours=24)
    """How long before a declared window to announce it."""


class HypercareSection(Section):
    """The first days after connection, in which PDP watches an endpoint's stability."""

    days: Count = 14
    """Days from the connection date that are hypercare; 0: none."""
    interval: Duration | None = None
    """Time between probes meanwhile, if shorter than the endpoint's own (default: its own)."""


class ProbingSection(Section):
    """Limits on probing as a whole."""

    max_concurrent: Number = 200
    """Probes in flight at once."""
    per_host: Number = 20
    """Of these, to one host."""
    user_agent: Text | None = None
    """User-Agent of probes (default: this program and its version)."""
    max_body: Size = 64 * 1024
    """Read at most this much of an answer; it is thrown away."""


class WitnessSection(Section):
    """A host trusted to be up, by which an own fault is told from theirs (accounting 8)."""

    identity: Label
    """The identity whose probes it settles."""
    host: WitnessHost
    """host or host:port (default port 443)."""


class Document(Section):
    """Configuration of monitor. Durations are written 30s, 5m, 2h, 10d."""

    include: tuple[Text, ...] = ()
    """More files, as patterns beside this one, with endpoints, holdernames or identities."""
    organisation: OrganisationSection | None = None
    """Who runs the endpoints."""
    slo: SloSection = Field(default_factory=SloSection)  # as late as its zone, which is a file
    """The objective, and the choices of the accounting rules."""
    identities: dict[Label, IdentitySection] = Field(default_factory=dict)
    """Client identities by name."""
    defaults: DefaultsSection = DefaultsSection()
    """What holds for every endpoint that does not say otherwise."""
    endpoints: tuple[EndpointSection, ...]
    """The registered endpoints."""
    holdernames: tuple[HoldernameSection, ...] = ()
    """The holdername GUIDs and what serves them."""
    store: StoreSection = StoreSection()
    """Where facts are kept."""
    http: HttpSection = HttpSection()
    """The listener for metrics, health and the API."""
    alerts: AlertsSection = AlertsSection()
    """Who is told, and when."""
    probing: ProbingSection = ProbingSection()
    """Limits on probing as a whole."""
    planning: PlanningSection = PlanningSection()
    """When changes are welcome and when they are not."""
    hypercare: HypercareSection = HypercareSection()
    """The first days after connection."""
    witness: tuple[WitnessSection, ...] = ()
    """Hosts trusted to be up."""


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the configuration file, for editors."""
    schema = Document.model_json_schema(mode="validation")
    sections = {model.__name__: model for model in _sections(Section)}
    _write_defaults(schema, Document)
    for name, definition in schema["$defs"].items():
        if name in sections:
            _write_defaults(definition, sections[name])
    schema["properties"]["identities"]["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _sections(base: type[Section]) -> Iterator[type[Section]]:
    for model in base.__subclasses__():
        yield model
        yield from _sections(model)


def _write_defaults(schema: dict[str, Any], model: type[Section]) -> None:
    """Give the defaults as a person writes them: 30s, not PT30S."""
    shown = model.model_construct().model_dump(mode="json", by_alias=True, exclude_none=True)
    for name, option in schema["properties"].items():
        option.pop("title", None)
        option.pop("default", None)
        if name in shown:
            option["default"] = shown[name]
