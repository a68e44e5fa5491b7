"""A file in, frozen Settings out, or one ConfigError naming every fault.

Loading reads the configuration and what it includes, nothing else: no identity, no secret file, no
store. `config_yaml.py` reads YAML with positions, `config_schema.py` holds the shapes,
`config_read.py` fills them, `config_check.py` compares values; here they become Settings.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from monitor import config_schema as schema
from monitor.config_check import cross_check, resolve
from monitor.config_place import beside, store_path
from monitor.config_read import Draft, read
from monitor.config_schema import Connection, json_schema
from monitor.config_yaml import Faults, Reader
from monitor.core.endpoint import Cadence, Endpoint, Environment, Expectation, Service
from monitor.core.holdername import Holdername, Serving
from monitor.core.identity import IdentitySpec
from monitor.core.planning import Freeze, Planning
from monitor.core.rules import RULES_VERSION, LateRecords, NoticeCalendar, NoticeMethod, Rules
from monitor.core.verdict import DEFAULTS

__all__ = [
    "AlertSettings",
    "Alertmanager",
    "Apprise",
    "Connection",
    "DeadMan",
    "Differences",
    "HttpSettings",
    "Organisation",
    "ProbingSettings",
    "Settings",
    "StoreSettings",
    "Webhook",
    "Witness",
    "accounting_document",
    "accounting_from_document",
    "bank_holidays_digest",
    "differences",
    "fingerprint",
    "json_schema",
    "load",
]

_BANK_HOLIDAY_HORIZON = timedelta(days=90)
_US = timedelta(microseconds=1)


# --- what comes out ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who runs the endpoints; `name` is empty if not configured."""

    name: str
    connection: Connection | None


@dataclass(frozen=True, slots=True)
class StoreSettings:
    path: Path
    retain_observations: timedelta


@dataclass(frozen=True, slots=True)
class HttpTls:
    """The listener's certificate with its key; `client_ca` is None: no client certificates are asked.

    `required`: without a client certificate that it verifies, no connection is made.
    """

    certificate: Path
    private_key_file: Path
    client_ca: Path | None
    required: bool


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """`host` is a name or an address without brackets; `public_url` has no slash at its end.

    `discovery` says whether the public feed is there. Without `tls` it is plain HTTP.
    """

    host: str
    port: int
    tokens_file: Path | None
    public_url: str | None = None
    discovery: bool = True
    tls: HttpTls | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of Standard Webhooks. The URL may contain a secret: never log its path."""

    name: str
    url: str
    secret_file: Path | None
    previous_secret_file: Path | None
    expire_after: timedelta
    timeout: timedelta
    events: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class Apprise:
    """A chat, mailbox or pager. Either `url`, which is a secret as a whole, or `url_file` is set."""

    name: str
    url: str | None
    url_file: Path | None
    events: tuple[str, ...]
    expire_after: timedelta
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """An Alertmanager member. `url` is its base, without a slash at the end."""

    url: str
    resend_every: timedelta
    timeout: timedelta
    silences: bool
    created_by: str
    ca_file: Path | None
    username: str | None
    password_file: Path | None
    bearer_token_file: Path | None


@dataclass(frozen=True, slots=True)
class DeadMan:
    """A ping every so often. Either `url`, which may contain a secret, or `url_file` is set."""

    url: str | None
    url_file: Path | None
    every: timedelta
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Who is told, and when."""

    webhooks: tuple[Webhook, ...]
    alertmanager: tuple[Alertmanager, ...]
    dead_man: DeadMan | None
    identity_expiry_days: tuple[int, ...]
    certificate_expiry_days: tuple[int, ...]
    upcoming: timedelta
    apprise: tuple[Apprise, ...] = ()

    @property
    def receivers(self) -> tuple[Webhook | Apprise, ...]:
        """Those that events are queued for."""
        return (*self.webhooks, *self.apprise)


@dataclass(frozen=True, slots=True)
class ProbingSettings:
    """`max_body` is in bytes; `user_agent` None means the program's own."""

    max_concurrent: int
    per_host: int
    user_agent: str | None
    max_body: int


@dataclass(frozen=True, slots=True)
class Witness:
    """A host trusted to be up, for the probes of one identity (accounting 8)."""

    identity: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration. Equal content gives an equal `digest`, whatever its spelling.

    `digest` (SHA-256, hex) covers everything but secrets: header values and the paths of alert URLs
    are left out, so compare Settings, not digests, to learn whether anything changed.
    `rules_digest` covers the rules alone, bank holidays included. `warnings` are advice.
    `includes` are the patterns of included files, absolute.
    """

    path: Path
    digest: str
    rules_digest: str
    organisation: Organisation
    rules: Rules
    identities: Mapping[str, IdentitySpec]
    endpoints: tuple[Endpoint, ...]
    holdernames: tuple[Holdername, ...]
    store: StoreSettings
    http: HttpSettings
    alerts: AlertSettings
    probing: ProbingSettings
    planning: Planning
    witness: tuple[Witness, ...]
    warnings: tuple[str, ...]
    includes: tuple[str, ...] = ()


def load(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str],
    bank_holidays: Callable[[NoticeCalendar], frozenset[date]],
    today: date | None = None,
    accounting_only: bool = False,
) -> Settings:
    """Read a configuration file and what it includes.

    `environ` answers `${NAME}` and `$CREDENTIALS_DIRECTORY`. `bank_holidays` gives the days of a
    calendar; with `today` their running out is warned of. With `accounting_only` nothing is to be
    probed, so identities may be missing. Raises ConfigError with every fault.
    """
    faults = Faults()
    draft = read(Path(path), Reader(environ, faults), faults)
    draft.accounting_only = accounting_only
    cross_check(draft)
    faults.raise_any()
    return _Assembly(Path(path), draft, environ).settings(bank_holidays, today)


# --- assembly ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Assembly:
    """Turns a draft without faults into Settings."""

    path: Path
    draft: Draft
    environ: Mapping[str, str]

    def settings(
        self, bank_holidays: Callable[[NoticeCalendar], frozenset[date]], today: date | None
    ) -> Settings:
        sections = self.draft.sections
        rules = self._rules(bank_holidays, today)
        organisation = sections["organisation"]
        return Settings(
            path=self.path,
            digest=_digest(self._public()),
            rules_digest=_digest(_rules_document(rules)),
            organisation=Organisation(
                organisation.name if organisation else "",
                organisation.connection if organisation else None,
            ),
            rules=rules,
            identities=MappingProxyType(
                {name: self._identity(name, given) for name, (given, _) in self._identities()}
            ),
            endpoints=tuple(self._endpoint(given) for given, _ in self.draft.endpoints),
            holdernames=tuple(_holdername(given) for given, _ in self.draft.holdernames),
            store=StoreSettings(
                self._file(store_path(sections["store"].url) or ""),
                sections["store"].retain_observations,
            ),
            http=self._http(sections["http"]),
            alerts=self._alerts(sections["alerts"]),
            probing=_probing(sections["probing"]),
            planning=self._planning(sections["planning"], bank_holidays),
            witness=tuple(Witness(given.identity, *given.host) for given, _ in sections["witness"]),
            warnings=tuple(self.draft.warnings),
            includes=tuple(self.draft.includes),
        )

    def _identities(self) -> list[tuple[str, tuple[schema.IdentitySection, Any]]]:
        return sorted(self.draft.identities.items(), key=lambda item: item[0])

    def _file(self, name: str) -> Path:
        """A path as seen from the folder of the configuration file."""
        return beside(self.path, name)

    def _credential(self, name: str | None) -> Path | None:
        """A `*_file`: a systemd credential if there is one of that name, else like any file."""
        if name is None:
            return None
        credentials = self.environ.get("CREDENTIALS_DIRECTORY")
        if credentials and (Path(credentials) / name).is_file():
            return Path(os.path.normpath(Path(credentials) / name))
        return self._file(name)

    def _rules(
        self, bank_holidays: Callable[[NoticeCalendar], frozenset[date]], today: date | None
    ) -> Rules:
        slo: schema.SloSection = self.draft.sections["slo"]
        given = bank_holidays(slo.notice_calendar)
        days = _corrected(given, slo.bank_holidays)
        tree = self.draft.root.part("slo", "bank_holidays")
        for day in sorted(set(slo.bank_holidays.remove) - given):
            self.draft.warn(tree, f"{day} is no bank holiday", "do not remove it, or correct it")
        if today is not None and max(days, default=date.min) < today + _BANK_HOLIDAY_HORIZON:
            self.draft.warn(tree, "no bank holiday is known to come", "update, or add the days")
        return Rules(
            objective=slo.objective,
            zone=slo.slo_zone or slo.zone,
            notice_days=slo.notice_days,
            notice_method=slo.notice_method,
            notice_cutoff=slo.notice_cutoff,
            notice_calendar=slo.notice_calendar,
            bank_holidays=days,
            late_records=slo.late_records,
            quiet_period=slo.quiet_period,
            restoration_target=slo.restoration,
            at_risk_after=slo.at_risk_after,
            seal_after=slo.seal_after,
        )

    def _planning(
        self,
        given: schema.PlanningSection,
        bank_holidays: Callable[[NoticeCalendar], frozenset[date]],
    ) -> Planning:
        windows, corrections = given.change_windows, self.draft.sections["slo"].bank_holidays
        compared = (NoticeCalendar.ANY_UK, NoticeCalendar.ENGLAND_AND_WALES)
        return Planning(
            reading=windows.reading,
            opens=windows.time[0],
            closes=windows.time[1],
            dates=frozenset(windows.dates),
            freezes=tuple(Freeze(each.first, each.last) for each in given.freeze),
            holidays=MappingProxyType(
                {each: _corrected(bank_holidays(each), corrections) for each in compared}
            ),
        )

    def _trust(self, trust: str) -> str:
        return trust if trust in ("system", "pack") else str(self._file(trust))

    def _identity(self, name: str, given: schema.IdentitySection) -> IdentitySpec:
        def plain(path: str | None) -> str | None:
            return None if path is None else str(self._file(path))

        def credential(path: str | None) -> str | None:
            found = self._credential(path)
            return None if found is None else str(found)

        return IdentitySpec(
            name=name,
            pack=plain(given.pack),
            certificate=plain(given.certificate),
            chain=plain(given.chain),
            private_key_file=credential(given.private_key_file),
            pkcs12=plain(given.pkcs12),
            password_file=credential(given.password_file),
            trust=self._trust(given.trust),
            strict=given.strict,
            partial_chain=given.partial_chain,
        )

    def _endpoint(self, given: schema.EndpointSection) -> Endpoint:
        times = resolve(self.draft, given)
        hypercare: schema.HypercareSection = self.draft.sections["hypercare"]
        return Endpoint(
            id=given.id,
            service=given.service,
            url=given.url,
            environment=given.environment,
            identity=given.presents,
            group=given.group or urlsplit(given.url).hostname or "",
            cadence=Cadence(
                interval=times.interval,
                timeout=times.timeout,
                recheck_interval=times.recheck_interval,
                confirm_down=times.confirm_down,
                confirm_up=times.confirm_up,
                gap_after=times.gap_after,
            ),
            expectation=_expectation(given, times.impaired_above),
            connected_from=given.connected_from,
            disconnected_on=given.disconnected_on,
            trust=None if given.trust is None else self._trust(given.trust),
            hypercare=timedelta(days=hypercare.days),
            hypercare_interval=hypercare.interval,
            security_every=None if given.security_probes is None else given.security_probes.every,
        )

    def _http(self, given: schema.HttpSection) -> HttpSettings:
        host, port = given.listen
        tokens_file = self._credential(given.tokens_file)
        public = given.discovery == "public"
        return HttpSettings(host, port, tokens_file, given.public_url, public, self._tls(given.tls))

    def _tls(self, given: schema.HttpTlsSection | None) -> HttpTls | None:
        if given is None:
            return None
        key = self._credential(given.private_key_file)
        assert key is not None
        return HttpTls(
            certificate=self._file(given.certificate),
            private_key_file=key,
            client_ca=None if given.client_ca is None else self._file(given.client_ca),
            required=given.client_certificates == "required",
        )

    def _alerts(self, given: schema.AlertsSection) -> AlertSettings:
        return AlertSettings(
            webhooks=tuple(
                Webhook(
                    name=hook.name,
                    url=hook.url,
                    secret_file=self._credential(hook.secret_file),
                    previous_secret_file=self._credential(hook.previous_secret_file),
                    expire_after=hook.expire_after,
                    timeout=hook.timeout,
                    events=hook.events,
                )
                for hook in given.webhooks
            ),
            apprise=tuple(
                Apprise(
                    name=one.name,
                    url=one.url,
                    url_file=self._credential(one.url_file),
                    events=one.events,
                    expire_after=one.expire_after,
                    timeout=one.timeout,
                )
                for one in given.apprise
            ),
            alertmanager=tuple(self._alertmanager(member) for member in given.alertmanager),
            dead_man=None if given.dead_man is None else self._dead_man(given.dead_man),
            identity_expiry_days=_falling(given.identity_expiry_days),
            certificate_expiry_days=_falling(given.certificate_expiry_days),
            upcoming=given.upcoming,
        )

    def _dead_man(self, given: schema.DeadManSection) -> DeadMan:
        url_file = self._credential(given.url_file)
        return DeadMan(given.url, url_file, given.every, given.timeout)

    def _alertmanager(self, given: schema.AlertmanagerSection) -> Alertmanager:
        return Alertmanager(
            url=given.url,
            resend_every=given.resend_every,
            timeout=given.timeout,
            silences=given.silences,
            created_by=given.created_by,
            ca_file=self._credential(given.ca_file),
            username=given.username,
            password_file=self._credential(given.password_file),
            bearer_token_file=self._credential(given.bearer_token_file),
        )

    def _public(self) -> dict[str, Any]:
        """The configuration as validated, without secrets: header values, paths of alert URLs."""

        def dump(model: BaseModel | None) -> Any:
            return None if model is None else model.model_dump(mode="json", by_alias=True)

        draft = self.draft
        return {
            **{
                name: dump(section) for name, section in draft.sections.items() if name != "witness"
            },
            "witness": [dump(given) for given, _ in draft.sections["witness"]],
            "identities": {name: dump(given) for name, (given, _) in draft.identities.items()},
            "endpoints": [dump(given) for given, _ in draft.endpoints],
            "holdernames": [dump(given) for given, _ in draft.holdernames],
        }


def _corrected(days: frozenset[date], corrections: schema.BankHolidaysSection) -> frozenset[date]:
    return (days | set(corrections.add)) - set(corrections.remove)


def _falling(days: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(days, reverse=True))


def _probing(given: schema.ProbingSection) -> ProbingSettings:
    return ProbingSettings(
        given.max_concurrent,
        min(given.per_host, given.max_concurrent),
        given.user_agent,
        given.max_body,
    )


def _expectation(given: schema.EndpointSection, impaired_above: timedelta) -> Expectation:
    """The service's safe default with what the endpoint says put in its place."""
    default, expect = DEFAULTS[given.service], given.expect
    return Expectation(
        method=expect.method or default.method,
        statuses=frozenset(expect.status) if expect.status else default.statuses,
        impaired_above=impaired_above,
        refusals=default.refusals if expect.refusals is None else expect.refusals,
        headers=default.headers if expect.headers is None else expect.headers,
        body=default.body if expect.body is None else expect.body.encode(),
        asset=expect.asset or default.asset,
    )


def _holdername(given: schema.HoldernameSection) -> Holdername:
    return Holdername(
        guid=given.guid,
        name=given.name,
        serves=tuple(Serving(row.endpoints, row.start, row.until) for row in given.serves),
        scheme_year_end=given.scheme_year_end,
    )


def fingerprint(settings: Settings) -> str:
    """Changes when the configuration file or anything it includes does; reads no content."""
    names = {name for pattern in settings.includes for name in glob.glob(pattern, recursive=True)}
    stamps = []
    for name in [str(settings.path), *sorted(names)]:
        try:
            found = os.stat(name)
            stamps.append(f"{name} {found.st_ino} {found.st_size} {found.st_mtime_ns}")
        except OSError:
            stamps.append(f"{name} gone")
    return "\n".join(stamps)


# --- reload -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Differences:
    """What a reload changes: endpoint ids in order, and the sections that need a restart."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    restart: tuple[str, ...]


def differences(old: Settings, new: Settings) -> Differences:
    """Which endpoints differ, and whether the store's path or the listener's address do."""
    before = {endpoint.id: endpoint for endpoint in old.endpoints}
    after = {endpoint.id: endpoint for endpoint in new.endpoints}
    restart = {
        "store.url": old.store.path != new.store.path,
        "http.tls": old.http.tls != new.http.tls,
        "http.listen": (old.http.host, old.http.port) != (new.http.host, new.http.port),
    }
    return Differences(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(sorted(id for id in before.keys() & after.keys() if before[id] != after[id])),
        restart=tuple(name for name, differs in restart.items() if differs),
    )


# --- the configuration as a fact --------------------------------------------------------------


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def bank_holidays_digest(days: frozenset[date]) -> str:
    """SHA-256 (hex) of a set of dates."""
    return hashlib.sha256("\n".join(sorted(day.isoformat() for day in days)).encode()).hexdigest()


def accounting_document(settings: Settings) -> dict[str, Any]:
    """What the accounting depends on, as JSON values: the body of a `configuration` fact.

    Durations are whole microseconds, the objective a ratio such as `199/200`. Bank holidays are
    named by their digest. Equal documents give equal accounts of the same facts.
    """
    return {
        "rules": _rules_document(settings.rules),
        "endpoints": [_endpoint_document(endpoint) for endpoint in settings.endpoints],
        "holdernames": [_holdername_document(holdername) for holdername in settings.holdernames],
    }


def accounting_from_document(
    document: Mapping[str, Any], bank_holidays: frozenset[date]
) -> tuple[Rules, tuple[Endpoint, ...], tuple[Holdername, ...]]:
    """The accounting under a configuration that was in force: undoes `accounting_document`.

    The endpoints have no URL, identity or trust, and their service's default expectation. Compare
    `bank_holidays_digest` with the document's to learn whether the days are those of then.
    """
    return (
        _rules_of(document["rules"], bank_holidays),
        tuple(_endpoint_of(each) for each in document["endpoints"]),
        tuple(_holdername_of(each) for each in document["holdernames"]),
    )


def _rules_document(rules: Rules) -> dict[str, Any]:
    return {
        "version": RULES_VERSION,
        "objective": str(rules.objective),
        "zone": rules.zone.key,
        "notice_days": rules.notice_days,
        "notice_method": rules.notice_method.value,
        "notice_cutoff": rules.notice_cutoff.isoformat(timespec="minutes"),
        "notice_calendar": rules.notice_calendar.value,
        "bank_holidays_digest": bank_holidays_digest(rules.bank_holidays),
        "late_records": rules.late_records.value,
        "quiet_period_us": rules.quiet_period // _US,
        "restoration_us": rules.restoration_target // _US,
        "at_risk_after_us": [each // _US for each in rules.at_risk_after],
        "seal_after": rules.seal_after,
    }


def _rules_of(document: Mapping[str, Any], bank_holidays: frozenset[date]) -> Rules:
    return Rules(
        objective=Fraction(document["objective"]),
        zone=ZoneInfo(document["zone"]),
        notice_days=document["notice_days"],
        notice_method=NoticeMethod(document["notice_method"]),
        notice_cutoff=time.fromisoformat(document["notice_cutoff"]),
        notice_calendar=NoticeCalendar(document["notice_calendar"]),
        bank_holidays=bank_holidays,
        late_records=LateRecords(document["late_records"]),
        quiet_period=document["quiet_period_us"] * _US,
        restoration_target=document["restoration_us"] * _US,
        at_risk_after=tuple(each * _US for each in document["at_risk_after_us"]),
        seal_after=document["seal_after"],
    )


def _endpoint_document(endpoint: Endpoint) -> dict[str, Any]:
    cadence = endpoint.cadence
    return {
        "id": endpoint.id,
        "service": endpoint.service.value,
        "environment": endpoint.environment.value,
        "group": endpoint.group,
        "connected_from": _iso(endpoint.connected_from),
        "disconnected_on": _iso(endpoint.disconnected_on),
        "interval_us": cadence.interval // _US,
        "timeout_us": cadence.timeout // _US,
        "recheck_interval_us": cadence.recheck_interval // _US,
        "confirm_down": cadence.confirm_down,
        "confirm_up": cadence.confirm_up,
        "gap_after_us": cadence.gap_after // _US,
    }


def _endpoint_of(document: Mapping[str, Any]) -> Endpoint:
    service = Service(document["service"])
    return Endpoint(
        id=document["id"],
        service=service,
        url="",
        environment=Environment(document["environment"]),
        identity="",
        group=document["group"],
        cadence=Cadence(
            interval=document["interval_us"] * _US,
            timeout=document["timeout_us"] * _US,
            recheck_interval=document["recheck_interval_us"] * _US,
            confirm_down=document["confirm_down"],
            confirm_up=document["confirm_up"],
            gap_after=document["gap_after_us"] * _US,
        ),
        expectation=DEFAULTS[service],
        connected_from=_day(document["connected_from"]),
        disconnected_on=_day(document["disconnected_on"]),
    )


def _holdername_document(holdername: Holdername) -> dict[str, Any]:
    return {
        "guid": holdername.guid,
        "name": holdername.name,
        "scheme_year_end": list(holdername.scheme_year_end),
        "serves": [
            {"endpoints": list(row.endpoints), "from": _iso(row.start), "until": _iso(row.until)}
            for row in holdername.serves
        ],
    }


def _holdername_of(document: Mapping[str, Any]) -> Holdername:
    month, day = document["scheme_year_end"]
    return Holdername(
        guid=document["guid"],
        name=document["name"],
        serves=tuple(
            Serving(tuple(row["endpoints"]), date.fromisoformat(row["from"]), _day(row["until"]))
            for row in document["serves"]
        ),
        scheme_year_end=(month, day),
    )


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
