"""What concerns several values of the configuration at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar
from urllib.parse import urlsplit

from monitor import config_schema as schema
from monitor.config_read import Draft, twice
from monitor.config_schema import format_duration, is_loopback
from monitor.config_yaml import Tree, nearest
from monitor.core.alert import takes
from monitor.core.endpoint import Environment, Service
from monitor.core.verdict import DEFAULTS, IMPAIRED_ABOVE

_LONGEST_LEASE = timedelta(minutes=5)
_ADVISED_INTERVAL = timedelta(seconds=60)  # domain.md 7.13
_SECRET_HEADERS = ("api-key", "authorization", "cookie", "proxy-authorization", "x-api-key")
_CADENCE = ("confirm_down", "confirm_up", "gap_after", "recheck_interval")
_LISTED = 10  # live endpoints without a holdername that are named one by one
_TIMES = ("gap_after", "impaired_above", "interval", "recheck_interval", "timeout")

V = TypeVar("V")


def cross_check(draft: Draft) -> None:
    """Add to the draft every fault and warning that lies between values."""
    _organisation(draft)
    _slo(draft)
    _defaults(draft)
    _identities(draft)
    _endpoints(draft)
    _holdernames(draft)
    _http(draft)
    _alerts(draft)
    _probing(draft)
    _witness(draft)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What holds for one endpoint: its own word, else that of defaults, of slo, or ours."""

    interval: timedelta
    timeout: timedelta
    impaired_above: timedelta
    recheck_interval: timedelta
    confirm_down: int
    confirm_up: int
    gap_after: timedelta


def _first(default: V, *choices: V | None) -> V:
    return next((choice for choice in choices if choice is not None), default)


def resolve(draft: Draft, endpoint: schema.EndpointSection | None) -> Resolved:
    """The times and counts of an endpoint, or with None those of an endpoint that names none."""
    defaults: schema.DefaultsSection = draft.sections["defaults"]
    slo: schema.SloSection = draft.sections["slo"]
    own = endpoint or defaults
    expected = endpoint.expect.impaired_above if endpoint else None
    service = DEFAULTS[endpoint.service].impaired_above if endpoint else IMPAIRED_ABOVE
    interval = own.interval or defaults.interval
    timeout = own.timeout or defaults.timeout
    # A short timeout shortens our own limit with it, so that slow and dead stay distinct.
    service = service if service < timeout else timeout * 2 / 3
    return Resolved(
        interval,
        timeout,
        _first(service, expected, own.impaired_above, defaults.impaired_above),
        _first(
            timedelta(seconds=5),
            own.recheck_interval,
            defaults.recheck_interval,
            slo.recheck_interval,
        ),
        _first(3, own.confirm_down, defaults.confirm_down, slo.confirm_down),
        _first(2, own.confirm_up, defaults.confirm_up, slo.confirm_up),
        _first(2 * interval + timeout, own.gap_after, defaults.gap_after, slo.gap_after),
    )


def _organisation(draft: Draft) -> None:
    if "organisation" not in draft.root.parts:
        draft.warn(
            draft.root,
            "no organisation is named",
            "add `organisation: {name: ..., connection: ...}`",
        )


def _slo(draft: Draft) -> None:
    slo: schema.SloSection | None = draft.sections["slo"]
    tree = draft.root.part("slo")
    if slo is None:
        return
    if slo.slo_zone is not None and "zone" in tree.keys and slo.slo_zone.key != slo.zone.key:
        draft.faults.at(tree.part("slo_zone"), "is not the same as zone", "keep one of them")
    warned = slo.at_risk_after
    if any(earlier >= later for earlier, later in pairwise(warned)):
        draft.faults.at(tree.part("at_risk_after"), "does not rise", "put the times in order, once")
    if any(at >= slo.restoration for at in warned):
        draft.faults.at(
            tree.part("at_risk_after"),
            f"warns when {format_duration(slo.restoration)} of restoration are over",
            "name times below restoration",
        )
    for day in sorted(set(slo.bank_holidays.add) & set(slo.bank_holidays.remove)):
        draft.faults.at(
            tree.part("bank_holidays"), f"both adds and removes {day}", "keep one of them"
        )


def _defaults(draft: Draft) -> None:
    slo, defaults = draft.sections["slo"], draft.sections["defaults"]
    if slo is None or defaults is None:
        return
    tree = draft.root.part("defaults")
    for name in _CADENCE:
        ours, theirs = getattr(defaults, name), getattr(slo, name)
        if ours is not None and theirs is not None and ours != theirs:
            draft.faults.at(tree.part(name), f"is not the same as slo.{name}", "keep one of them")
    if tree is draft.root:
        tree = draft.root.part("slo")
    if tree is not draft.root:
        _times(draft, resolve(draft, None), tree)


def _times(draft: Draft, times: Resolved, tree: Tree) -> None:
    """Times that do not fit one another, reported at the value that stands in `tree`."""

    def nearest_part(*names: str) -> Tree:
        return next((tree.parts[name] for name in names if name in tree.parts), tree)

    if times.timeout <= times.impaired_above:
        draft.faults.at(
            nearest_part("timeout", "impaired_above", "expect"),
            f"timeout {format_duration(times.timeout)} is not longer than impaired_above "
            f"{format_duration(times.impaired_above)}, so that slow and dead cannot be told apart",
            "lengthen timeout or shorten impaired_above",
        )
    if times.gap_after < times.interval:
        draft.faults.at(
            nearest_part("gap_after", "interval"),
            f"gap_after {format_duration(times.gap_after)} is shorter than interval "
            f"{format_duration(times.interval)}, so that all time would be unknown",
            "make it at least twice the interval plus the timeout, or leave it out",
        )
    if times.interval > _ADVISED_INTERVAL:
        draft.warn(
            nearest_part("interval"),
            f"interval {format_duration(times.interval)} is over 60s, which blurs every outage",
            "probe at least once a minute",
        )
    if times.timeout > times.interval:
        draft.warn(
            nearest_part("timeout", "interval"),
            f"timeout {format_duration(times.timeout)} is longer than interval "
            f"{format_duration(times.interval)}, so that a hanging endpoint misses slots",
            "shorten timeout or lengthen interval",
        )
    if times.recheck_interval > times.interval:
        draft.warn(
            nearest_part("recheck_interval", "interval"),
            "recheck_interval is longer than interval, so that confirmation takes longer",
            "shorten it",
        )


def _identities(draft: Draft) -> None:
    for identity, tree in draft.identities.values():
        forms = [name for name in ("pack", "certificate", "pkcs12") if getattr(identity, name)]
        if len(forms) != 1:
            what = f"gives both {forms[0]} and {forms[1]}" if forms else "names no material"
            draft.faults.at(
                tree, what, "give one of pack, certificate (with private_key_file) or pkcs12"
            )
            continue
        if forms == ["certificate"] and identity.private_key_file is None:
            draft.faults.at(tree, "has a certificate without a key", "add `private_key_file: PATH`")
        if forms != ["certificate"]:
            for name in ("chain", "private_key_file"):
                if getattr(identity, name):
                    draft.faults.at(
                        tree.part(name), f"does not go with {forms[0]}", "remove one of the two"
                    )
        if identity.trust == "pack" and not _has_chain(identity):
            draft.faults.at(
                tree.part("trust"), "is pack, but there is no chain", "add `chain: PATH`"
            )


def _has_chain(identity: schema.IdentitySection) -> bool:
    return bool(identity.pack or identity.pkcs12 or identity.chain)


def _endpoints(draft: Draft) -> None:
    seen: dict[str, tuple[Any, Tree]] = {}
    urls: dict[tuple[str, str, str], str] = {}
    for endpoint, tree in draft.endpoints:
        part = tree.part("id")
        if endpoint.id in seen:
            twice(draft.faults, part.place, part.path, f'"{endpoint.id}"', seen[endpoint.id])
        first = urls.setdefault((endpoint.url, endpoint.service, endpoint.presents), endpoint.id)
        if first != endpoint.id:
            draft.warn(tree.part("url"), f'is probed as "{first}" already', "keep one of them")
        seen.setdefault(endpoint.id, (endpoint, part))
        _endpoint_dates(draft, endpoint, tree)
        _endpoint_identity(draft, endpoint, tree)
        _expectation(draft, endpoint, tree)
        _security_probes(draft, endpoint, tree)
        if draft.sections["slo"] is not None and draft.sections["defaults"] is not None:
            asked = "impaired_above" in tree.part("expect").parts
            if asked or any(name in tree.parts for name in _TIMES):
                _times(draft, resolve(draft, endpoint), tree)
    if not draft.endpoints and "endpoints" in draft.root.parts:
        draft.warn(draft.root.part("endpoints"), "there is nothing to probe", "add endpoints")


def _endpoint_dates(draft: Draft, endpoint: schema.EndpointSection, tree: Tree) -> None:
    if endpoint.environment is Environment.LIVE and endpoint.connected_from is None:
        draft.faults.at(
            tree,
            f'live endpoint "{endpoint.id}" has no connection date',
            "add `connected_from: YYYY-MM-DD`, or `environment: test`",
        )
    start, end = endpoint.connected_from, endpoint.disconnected_on
    if start is not None and end is not None and end <= start:
        draft.faults.at(
            tree.part("disconnected_on"), f"is not after connected_from {start}", "correct one"
        )


def _security_probes(draft: Draft, endpoint: schema.EndpointSection, tree: Tree) -> None:
    asked = endpoint.security_probes
    if asked is not None and asked.every < timedelta(hours=1):
        draft.faults.at(
            tree.part("security_probes", "every"),
            "is more often than once an hour",
            "write 1h or longer, such as 1d",
        )


def _endpoint_identity(draft: Draft, endpoint: schema.EndpointSection, tree: Tree) -> None:
    _known_identity(draft, endpoint.presents, tree.part("identity"))
    known = draft.identities.get(endpoint.presents)
    if endpoint.trust == "pack" and known is not None and not _has_chain(known[0]):
        draft.faults.at(
            tree.part("trust"),
            f'is pack, but identity "{endpoint.presents}" has no chain',
            "add `chain: PATH` there, or name a PEM file here",
        )


def _known_identity(draft: Draft, name: str, part: Tree) -> None:
    if draft.accounting_only:
        return  # nothing is probed, so nothing need be presented
    if name not in draft.identity_names and "identities" not in draft.unreadable:
        close = nearest(name, draft.identity_names)
        cure = f"did you mean {close}?" if close else "add it under identities"
        draft.faults.at(part, f'identity "{name}" is not configured', cure)


def _expectation(draft: Draft, endpoint: schema.EndpointSection, tree: Tree) -> None:
    expect, part = endpoint.expect, tree.part("expect")
    inner, outer = expect.impaired_above, endpoint.impaired_above
    if inner is not None and outer is not None and inner != outer:
        draft.faults.at(
            part.part("impaired_above"),
            "is not the same as impaired_above of the endpoint",
            "keep one of them",
        )
    if expect.asset is not None and endpoint.service is not Service.VIEW:
        draft.faults.at(part.part("asset"), "is only for view endpoints", "remove it")
    if expect.body is not None and _method(endpoint) in ("GET", "HEAD"):
        draft.faults.at(
            part.part("body"), f"does not go with method {_method(endpoint)}", "remove one of them"
        )
    for name, _ in expect.headers or ():
        value = part.part("headers", name)
        if name.lower() in _SECRET_HEADERS and not value.expanded:
            draft.faults.at(value, "would be a secret in the file", "write it as ${NAME}")


def _method(endpoint: schema.EndpointSection) -> str:
    return endpoint.expect.method or DEFAULTS[endpoint.service].method


def _holdernames(draft: Draft) -> None:
    seen: dict[str, tuple[Any, Tree]] = {}
    by_id = {endpoint.id: endpoint for endpoint, _ in draft.endpoints}
    mapped: set[str] = set()
    for holdername, tree in draft.holdernames:
        part = tree.part("guid")
        if holdername.guid in seen:
            twice(
                draft.faults, part.place, part.path, f'"{holdername.guid}"', seen[holdername.guid]
            )
        seen.setdefault(holdername.guid, (holdername, part))
        for number, row in enumerate(holdername.serves):
            mapped.update(row.endpoints)
            _serves(draft, row, tree.part("serves", number), by_id)
        _served_services(draft, holdername, tree, by_id)
    _unmapped(draft, mapped)


def _unmapped(draft: Draft, mapped: set[str]) -> None:
    idle = [
        (endpoint.id, tree)
        for endpoint, tree in draft.endpoints
        if endpoint.environment is Environment.LIVE and endpoint.id not in mapped
    ]
    for name, tree in idle[:_LISTED]:
        draft.warn(tree, f'"{name}" serves no holdername', "name it in `serves` of a holdername")
    if len(idle) > _LISTED:
        draft.warn(
            idle[_LISTED][1],
            f"{len(idle) - _LISTED} more live endpoints serve no holdername, this one the first",
            "name them in `serves` of a holdername",
        )


def _serves(
    draft: Draft, row: schema.ServesSection, tree: Tree, by_id: dict[str, schema.EndpointSection]
) -> None:
    for number, name in enumerate(row.endpoints):
        part = tree.part("endpoints", number)
        if name not in draft.endpoint_ids and "endpoints" not in draft.unreadable:
            close = nearest(name, draft.endpoint_ids)
            cure = f"did you mean {close}?" if close else "add it under endpoints"
            draft.faults.at(part, f'endpoint "{name}" is not configured', cure)
        elif name in row.endpoints[:number]:
            draft.faults.at(part, f'"{name}" is named twice', "remove one")
        elif name in by_id and by_id[name].environment is Environment.TEST:
            draft.faults.at(
                part, f'"{name}" is a test endpoint, which serves nobody', "name a live endpoint"
            )
    if row.until is not None and row.until <= row.start:
        draft.faults.at(tree.part("until"), f"is not after from {row.start}", "correct one")


def _served_services(
    draft: Draft,
    holdername: schema.HoldernameSection,
    tree: Tree,
    by_id: dict[str, schema.EndpointSection],
) -> None:
    names = {name for row in holdername.serves for name in row.endpoints}
    if not names <= by_id.keys():
        return  # what could not be read may be what is missing
    services = {by_id[name].service for name in names}
    for service in (Service.FIND, Service.VIEW):
        if service not in services:
            draft.warn(
                tree,
                f'holdername "{holdername.guid}" has no {service} endpoint',
                f"name one in `serves`, or it has no {service} account",
            )


def _http(draft: Draft) -> None:
    http: schema.HttpSection | None = draft.sections["http"]
    if http is not None and http.tokens_file is None and not is_loopback(http.listen[0]):
        draft.faults.at(
            draft.root.part("http", "listen"),
            "is open to other machines without tokens",
            "add `tokens_file: PATH`, or listen on 127.0.0.1",
        )
    tls = None if http is None else http.tls
    if http is None or tls is None:
        return
    if tls.client_certificates is not None and tls.client_ca is None:
        draft.faults.at(
            draft.root.part("http", "tls", "client_certificates"),
            "asks for client certificates that nothing verifies",
            "add `client_ca: PATH`",
        )
    if tls.client_ca is not None and http.tokens_file is None:
        draft.faults.at(
            draft.root.part("http", "tls", "client_ca"),
            "says whose client certificates are good, but nothing says what they allow",
            "add `tokens_file: PATH` with an entry for each, by certificate_sha256",
        )


def _alerts(draft: Draft) -> None:
    alerts: schema.AlertsSection | None = draft.sections["alerts"]
    if alerts is None:
        return
    tree = draft.root.part("alerts")
    seen: dict[str, tuple[Any, Tree]] = {}
    for number, hook in enumerate(alerts.webhooks):
        part = tree.part("webhooks", number)
        name = part.part("name")
        if hook.name in seen:
            twice(draft.faults, name.place, name.path, f'"{hook.name}"', seen[hook.name])
        seen.setdefault(hook.name, (hook, name))
        if hook.previous_secret_file is not None and hook.secret_file is None:
            draft.faults.at(part, "has a previous secret but no secret", "add `secret_file: PATH`")
        elif hook.secret_file is None:
            draft.warn(part, "is sent unsigned", "add `secret_file: PATH`")
    _apprise(draft, alerts, tree, seen)
    for section in ("webhooks", "apprise"):
        for number, one in enumerate(getattr(alerts, section)):
            if not one.events:
                cure = "write at least one entry, or remove the key"
                draft.faults.at(tree.part(section, number, "events"), "is empty", cure)
    _alertmanager(draft, alerts, tree.part("alertmanager"))
    if alerts.dead_man is not None:
        _one_url(draft, alerts.dead_man, tree.part("dead_man"))
    for place in _repeated(alerts, tree):
        draft.faults.at(place, "names a number twice", "remove one")


def _apprise(
    draft: Draft, alerts: schema.AlertsSection, tree: Tree, seen: dict[str, tuple[Any, Tree]]
) -> None:
    for number, one in enumerate(alerts.apprise):
        part = tree.part("apprise", number)
        name, url = part.part("name"), part.part("url")
        if one.name in seen:
            twice(draft.faults, name.place, name.path, f'"{one.name}"', seen[one.name])
        seen.setdefault(one.name, (one, name))
        _one_url(draft, one, part)
        if one.url is not None and not url.expanded:
            cure = "write `url_file: PATH`, or url as ${NAME}"
            draft.faults.at(url, "would be a secret in the file", cure)
    if not alerts.alertmanager and not _told(alerts.webhooks) and _told(alerts.apprise):
        what = "is an incident's only path, and Apprise cannot say why a message was not taken"
        draft.warn(tree.part("apprise"), what, "add a webhook or an Alertmanager")


def _told(receivers: Iterable[schema.WebhookSection | schema.AppriseSection]) -> bool:
    """Whether any of them is told of an incident."""
    return any(takes(one.events, "incident.opened") for one in receivers)


def _one_url(
    draft: Draft, given: schema.AppriseSection | schema.DeadManSection, part: Tree
) -> None:
    if (given.url is None) == (given.url_file is None):
        what = "has no URL" if given.url is None else "has two URLs"
        draft.faults.at(part, what, "give either url_file or url")


def _alertmanager(draft: Draft, alerts: schema.AlertsSection, tree: Tree) -> None:
    seen: dict[str, tuple[Any, Tree]] = {}
    for number, member in enumerate(alerts.alertmanager):
        part = tree.part(number)
        url = part.part("url")
        if member.url in seen:
            twice(draft.faults, url.place, url.path, f'"{member.url}"', seen[member.url])
        seen.setdefault(member.url, (member, url))
        if member.resend_every > _LONGEST_LEASE:
            draft.faults.at(
                part.part("resend_every"),
                "is more than 5m, so that what ended would stand there for long",
                "write 30s, or at most 5m",
            )
        _credentials(draft, member, part)


def _credentials(draft: Draft, member: schema.AlertmanagerSection, part: Tree) -> None:
    """How we show a member who we are, and it us."""
    basic, bearer = member.username is not None, member.bearer_token_file is not None
    if basic and bearer:
        cure = "keep one of username and bearer_token_file"
        draft.faults.at(part, "gives two ways to authenticate", cure)
    if basic != (member.password_file is not None):
        draft.faults.at(part, "gives half a login", "give both username and password_file")
    if member.username is not None and ":" in member.username:
        draft.faults.at(part.part("username"), "contains a colon", "write the name alone")
    if member.url.startswith("https:"):
        return
    if member.ca_file is not None:
        draft.faults.at(part.part("ca_file"), "does not go with http", "write url with https://")
    if not is_loopback(urlsplit(member.url).hostname or ""):
        if basic or bearer:
            what = "would send a secret in the clear"
            draft.faults.at(part.part("url"), what, "write it with https://")
        else:
            draft.warn(part.part("url"), "is told in the clear", "write it with https://")


def _repeated(alerts: schema.AlertsSection, tree: Tree) -> Iterator[Tree]:
    for name in ("identity_expiry_days", "certificate_expiry_days"):
        days = getattr(alerts, name)
        if len(set(days)) < len(days):
            yield tree.part(name)


def _probing(draft: Draft) -> None:
    probing: schema.ProbingSection | None = draft.sections["probing"]
    tree = draft.root.part("probing")
    if (
        probing is not None
        and "per_host" in tree.parts
        and probing.per_host > probing.max_concurrent
    ):
        draft.faults.at(
            tree.part("per_host"),
            f"per_host {probing.per_host} is more than max_concurrent {probing.max_concurrent}",
            "lower per_host or raise max_concurrent",
        )


def _witness(draft: Draft) -> None:
    for witness, tree in draft.sections["witness"]:
        _known_identity(draft, witness.identity, tree.part("identity"))
