"""What must not change unexplained, and what must be refused: findings, never availability.

Kept is what facts say: the URL and the server certificates last seen of each endpoint, the outcome of
each check, and the findings that stand. Source: CoCo 1.1.1, 1.1.2 and 2.2.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from monitor.core.alert import Event
from monitor.core.fact import Body, Fact
from monitor.core.month import show_instant
from monitor.core.verdict import CertificateFacts


class Check(StrEnum):
    """What is looked at; the first two by watching, the others by asking."""

    URL_CHANGE = "url_change"
    CERTIFICATE_CHANGE = "certificate_change"
    CLIENT_CERTIFICATE = "client_certificate"
    TLS_1_1 = "tls_1_1"
    TLS_FALLBACK = "tls_fallback"


CHANGES = (Check.URL_CHANGE, Check.CERTIFICATE_CHANGE)


class Outcome(StrEnum):
    """`unknown`: the check could not tell; what stood before stands."""

    GOOD = "good"
    FOUND = "found"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of an endpoint showed; `evidence` holds JSON values only."""

    check: Check
    outcome: Outcome
    text: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding that stands, since it was first seen."""

    endpoint: str
    check: Check
    since: datetime
    text: str
    evidence: Mapping[str, Any]


Key = tuple[str, Check]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of all endpoints, by their ids. Replaced, never changed.

    `leaves` are the fingerprints of every server certificate ever seen of an endpoint, so that hosts
    which share a name but no certificate are not taken for changes.
    """

    urls: Mapping[str, str] = field(default_factory=dict)
    certificates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    leaves: Mapping[str, frozenset[str]] = field(default_factory=dict)
    checked: Mapping[Key, Checked] = field(default_factory=dict)
    findings: Mapping[Key, Finding] = field(default_factory=dict)

    def with_urls(self, urls: Mapping[str, str]) -> Known:
        """Take in the URLs of endpoints that had none; another one is a change, to be recorded."""
        return replace(self, urls={**urls, **self.urls})

    def learned(self, fact: Fact) -> Known:
        """Take in a fact of one of the types in `TYPES`. Raises BadFact."""
        return _LEARN[fact.type](self, fact)

    def standing(self, endpoint: str) -> list[Finding]:
        """The findings of an endpoint that stand, in order of the checks."""
        keys = ((endpoint, check) for check in Check)
        return [self.findings[key] for key in keys if key in self.findings]


def _configured(known: Known, fact: Fact) -> Known:
    urls = fact.body.get("urls")
    return known.with_urls(urls) if isinstance(urls, Mapping) else known


def _changed(known: Known, fact: Fact) -> Known:
    body = Body(fact)
    return replace(known, urls={**known.urls, body.text("endpoint"): body.text("after")})


def _seen(known: Known, fact: Fact) -> Known:
    body = Body(fact)
    name, leaf = body.text("endpoint"), body.text("sha256")
    return replace(
        known,
        certificates={**known.certificates, name: fact.body},
        leaves={**known.leaves, name: known.leaves.get(name, frozenset()) | {leaf}},
    )


def _key(fact: Fact) -> Key:
    body = Body(fact)
    return body.text("endpoint"), body.choice("check", Check)


def _found(known: Known, fact: Fact) -> Known:
    key, text = _key(fact), Body(fact).text("finding")
    evidence = fact.body.get("evidence") or {}
    before = known.findings.get(key)
    since = fact.at if before is None else before.since
    return replace(
        known,
        checked={**known.checked, key: Checked(key[1], Outcome.FOUND, text, evidence)},
        findings={**known.findings, key: Finding(*key, since, text, evidence)},
    )


def _checked(known: Known, fact: Fact) -> Known:
    key, body = _key(fact), Body(fact)
    outcome, text = body.choice("outcome", Outcome), body.text("text")
    evidence = fact.body.get("evidence") or {}
    findings = dict(known.findings)
    if outcome is Outcome.GOOD:
        findings.pop(key, None)
    result = Checked(key[1], outcome, text, evidence)
    return replace(known, checked={**known.checked, key: result}, findings=findings)


def _acknowledged(known: Known, fact: Fact) -> Known:
    name = Body(fact).text("endpoint")
    cleared = {(name, check) for check in CHANGES}
    return replace(
        known,
        findings={key: found for key, found in known.findings.items() if key not in cleared},
    )


_LEARN = {
    "configuration": _configured,
    "endpoint.changed": _changed,
    "certificate.seen": _seen,
    "security.finding": _found,
    "security.checked": _checked,
    "change.acknowledged": _acknowledged,
}
TYPES = frozenset(_LEARN)
"""The types of fact from which this is known."""


# -- changes ---------------------------------------------------------------------------------------

Told = tuple[list[Fact], list[Event]]


def url_changed(
    known: Known, endpoint: str, url: str, now: datetime, *, live: bool, reference: str | None
) -> Told:
    """What to record if the configured URL is not the one last recorded.

    Without a technical-change `reference` it is a finding, of a `live` endpoint (CoCo 2.2.2).
    """
    before = known.urls.get(endpoint, url)
    if before == url:
        return [], []
    body = {"endpoint": endpoint, "before": before, "after": url, "reference": reference}
    told: Told = ([Fact(now, "endpoint.changed", body)], [])
    if live and reference is None:
        text = "the configured URL was changed without a technical-change reference (CoCo 2.2.2)"
        evidence = {"before": before, "after": url}
        _add(told, found(endpoint, Checked(Check.URL_CHANGE, Outcome.FOUND, text, evidence), now))
    return told


def certificate_changed(
    known: Known,
    endpoint: str,
    leaf: CertificateFacts,
    now: datetime,
    *,
    live: bool,
    reference: str | None,
) -> Told:
    """What to record of a server certificate: nothing, if it was ever seen of this endpoint.

    A renewal by the same issuer for the same names is recorded only, whatever its key: certificates
    of public CAs are renewed often, and mostly with a fresh key (domain.md section 4).
    """
    if leaf.sha256 in known.leaves.get(endpoint, ()):
        return [], []
    before = known.certificates.get(endpoint)
    differs = [] if before is None else _differences(before, leaf)
    body = {
        "endpoint": endpoint,
        "sha256": leaf.sha256,
        "issuer": leaf.issuer,
        "subject": leaf.subject,
        "names": list(leaf.names),
        "key_sha256": leaf.key_sha256,
        "not_after": show_instant(leaf.not_after),
        "change": "first" if before is None else "identity" if differs else "renewal",
        "reference": reference if differs else None,
    }
    told: Told = ([Fact(now, "certificate.seen", body)], [])
    if before is not None and differs and live and reference is None:
        text = (
            f"the server certificate has another {' and other '.join(differs)}, without a"
            " technical-change reference (CoCo 2.2.2)"
        )
        kept = ("sha256", "issuer", "names", "key_sha256")
        evidence = {
            "before": {key: before.get(key) for key in kept},
            "after": {key: body[key] for key in kept},
        }
        checked = Checked(Check.CERTIFICATE_CHANGE, Outcome.FOUND, text, evidence)
        _add(told, found(endpoint, checked, now))
    return told


_ORGANISATION = re.compile(r"(?:^|,)O=((?:\\.|[^,\\])+)")


def _issuer(name: str) -> str:
    """Who issues: the organisation, as a CA signs with several intermediates; else the whole name."""
    match = _ORGANISATION.search(name)
    return name if match is None else match[1]


def _differences(before: Mapping[str, Any], leaf: CertificateFacts) -> list[str]:
    """What makes it another identity; the key is named if it is another one too."""
    found = []
    if _issuer(before.get("issuer", "")) != _issuer(leaf.issuer):
        found.append("issuer")
    if sorted(before.get("names", ())) != sorted(leaf.names):
        found.append("names")
    if found and before.get("key_sha256") != leaf.key_sha256:
        found.append("public key")
    return found


# -- checks ----------------------------------------------------------------------------------------


def found(endpoint: str, checked: Checked, now: datetime) -> tuple[Fact, Event]:
    """The fact and the event of a finding."""
    evidence = dict(checked.evidence)
    body = {
        "endpoint": endpoint,
        "check": checked.check.value,
        "finding": checked.text,
        "evidence": evidence,
    }
    event = Event(now, "security.finding", endpoint, {**body, "observed_at": show_instant(now)})
    return Fact(now, "security.finding", body), event


def _add(told: Told, one: tuple[Fact, Event]) -> None:
    told[0].append(one[0])
    told[1].append(one[1])


def taken_in(known: Known, endpoint: str, results: Iterable[Checked], now: datetime) -> Told:
    """What to record of checks made now: only what is another outcome than the last one.

    A check that could not tell says nothing about a finding that stands.
    """
    told: Told = ([], [])
    for result in results:
        last = known.checked.get((endpoint, result.check))
        if last is not None and (last.outcome, last.text) == (result.outcome, result.text):
            continue
        standing = known.findings.get((endpoint, result.check))
        if result.outcome is Outcome.FOUND:
            if standing is not None and standing.text == result.text:
                continue  # told before; since then a check could not tell
            _add(told, found(endpoint, result, now))
        else:
            body = {
                "endpoint": endpoint,
                "check": result.check.value,
                "outcome": result.outcome.value,
                "text": result.text,
                "evidence": dict(result.evidence),
            }
            told[0].append(Fact(now, "security.checked", body))
    return told


_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


def fallback(known: Known, endpoint: str, version: str | None) -> Checked:
    """Whether a server that has done TLS 1.3 now does less, though we offer it (CoCo 1.1.1).

    `version` is what a handshake settled on; None: there was none.
    """
    last = known.checked.get((endpoint, Check.TLS_FALLBACK))
    best = None if last is None else last.evidence.get("best")
    if version not in _VERSIONS:
        text, evidence = "no handshake to judge by", {"best": best}
        return Checked(Check.TLS_FALLBACK, Outcome.UNKNOWN, text, evidence)
    if best in _VERSIONS and _VERSIONS.index(version) < _VERSIONS.index(best):
        text = f"the server fell back to {version}; it has done {best}"
        evidence = {"version": version, "best": best}
        return Checked(Check.TLS_FALLBACK, Outcome.FOUND, text, evidence)
    evidence = {"version": version, "best": version}
    return Checked(Check.TLS_FALLBACK, Outcome.GOOD, f"{version} was agreed on", evidence)


# -- what faces print ------------------------------------------------------------------------------


def finding_document(finding: Finding) -> dict[str, Any]:
    """One finding that stands, as plain data."""
    return {
        "endpoint": finding.endpoint,
        "check": finding.check.value,
        "since": show_instant(finding.since),
        "finding": finding.text,
        "evidence": dict(finding.evidence),
    }


def shown(known: Known, endpoint: str, *, live: bool) -> Iterator[tuple[Check, int]]:
    """(check, 0 or 1) of what there is to say: changes of a live endpoint, and checks that told."""
    for check in Check:
        last = known.checked.get((endpoint, check))
        told = last is not None and last.outcome is Outcome.GOOD
        if (endpoint, check) in known.findings:
            yield check, 1
        elif told or (live and check in CHANGES):
            yield check, 0
