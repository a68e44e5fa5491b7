"""Changes that nobody explained, and the outcomes of checks: facts in, findings out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from monitor.core.fact import BadFact, Fact
from monitor.core.security import (
    Check,
    Checked,
    Known,
    Outcome,
    Told,
    certificate_changed,
    fallback,
    finding_document,
    shown,
    taken_in,
    url_changed,
)
from monitor.core.verdict import CertificateFacts
from tests.core.builders import DAY, HOUR, START, book, endpoint, fact

OLD, NEW = "https://old.example/view", "https://new.example/view"
LEAF = CertificateFacts(
    subject="CN=view.example",
    issuer="CN=R10,O=Let's Encrypt\\, Inc,C=US",
    serial="01",
    not_before=START,
    not_after=START + 90 * DAY,
    names=("view.example",),
    sha256="a" * 64,
    key_sha256="1" * 64,
)


def learned(known: Known, told: Told) -> Known:
    for one in told[0]:
        known = known.learned(one)
    return known


def types(told: Told) -> list[str]:
    return [one.type for one in told[0]]


def findings(known: Known, name: str = "view") -> list[str]:
    return [found.check.value for found in known.standing(name)]


# URLs


def configured(**urls: str) -> Known:
    return Known().learned(fact("configuration", START, digest="d", urls=urls))


def url(known: Known, now: str, **more: Any) -> Told:
    return url_changed(known, "view", now, START, **{"live": True, "reference": None, **more})


def test_a_url_never_recorded_or_the_same_is_no_change() -> None:
    """Only another URL than the one last recorded is worth a fact."""
    assert url(Known(), NEW) == ([], [])
    assert url(configured(view=OLD), OLD) == ([], [])


def test_a_changed_url_of_a_live_endpoint_is_a_finding_once() -> None:
    """The change and the finding are recorded, and told; afterwards the new URL is the known one."""
    told = url(configured(view=OLD), NEW)
    assert types(told) == ["endpoint.changed", "security.finding"]
    (event,) = told[1]
    assert (event.type, event.key, event.data["check"]) == (
        "security.finding",
        "view",
        "url_change",
    )
    assert event.data["evidence"] == {"before": OLD, "after": NEW}
    known = learned(configured(view=OLD), told)
    assert findings(known) == ["url_change"]
    assert url(known, NEW) == ([], [])


@pytest.mark.parametrize("more", [{"reference": "TC-1"}, {"live": False}])
def test_a_change_with_a_reference_or_before_connection_is_recorded_only(
    more: dict[str, Any],
) -> None:
    """The technical change process covers live endpoints, and asks for a reference."""
    told = url(configured(view=OLD), NEW, **more)
    assert types(told) == ["endpoint.changed"]
    assert told[1] == []
    assert told[0][0].body["reference"] == more.get("reference")


def test_another_configuration_does_not_pass_for_the_record_of_a_change() -> None:
    """Of an endpoint known already the URL stays as recorded; also if it was taken out meanwhile."""
    known = configured(view=OLD).learned(fact("configuration", START, urls={"find": NEW}))
    known = known.learned(fact("configuration", START, urls={"view": NEW}))
    assert known.urls == {"view": OLD, "find": NEW}


def test_a_configuration_without_urls_tells_of_none() -> None:
    """Facts recorded before URLs were."""
    assert Known().learned(fact("configuration", START, digest="d")).urls == {}


# Certificates


def certificate(known: Known, leaf: CertificateFacts, **more: Any) -> Told:
    options = {"live": True, "reference": None, **more}
    return certificate_changed(known, "view", leaf, START, **options)


KNOWN = learned(Known(), certificate(Known(), LEAF))


def test_the_first_certificate_is_recorded() -> None:
    """There is nothing to compare it with."""
    told = certificate(Known(), LEAF)
    assert types(told) == ["certificate.seen"]
    assert told[0][0].body["change"] == "first"
    assert certificate(KNOWN, LEAF) == ([], [])


def test_a_renewal_by_the_same_issuer_for_the_same_names_is_recorded_only() -> None:
    """Whatever its key and whichever intermediate of the CA signed."""
    renewed = replace(
        LEAF, sha256="b" * 64, key_sha256="2" * 64, issuer="CN=R11,O=Let's Encrypt\\, Inc,C=US"
    )
    told = certificate(KNOWN, renewed)
    assert types(told) == ["certificate.seen"]
    assert told[0][0].body["change"] == "renewal"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": "CN=X1,O=Another CA"}, "another issuer,"),
        ({"issuer": "CN=Own Root"}, "another issuer,"),
        ({"names": ("other.example",)}, "another names,"),
        (
            {"issuer": "CN=Own Root", "names": (), "key_sha256": "2" * 64},
            "another issuer and other names and other public key,",
        ),
    ],
)
def test_another_identity_is_a_finding(change: dict[str, Any], said: str) -> None:
    """Another issuer or other names; the evidence has both certificates."""
    told = certificate(KNOWN, replace(LEAF, sha256="c" * 64, **change))
    assert types(told) == ["certificate.seen", "security.finding"]
    (event,) = told[1]
    assert said in event.data["finding"]
    assert event.data["evidence"]["before"]["sha256"] == "a" * 64
    assert event.data["evidence"]["after"]["sha256"] == "c" * 64
    assert findings(learned(KNOWN, told)) == ["certificate_change"]


@pytest.mark.parametrize("more", [{"reference": "TC-1"}, {"live": False}])
def test_another_identity_that_is_explained_or_not_live_is_recorded_only(
    more: dict[str, Any],
) -> None:
    """With a reference the record names it."""
    told = certificate(KNOWN, replace(LEAF, sha256="c" * 64, issuer="CN=Own Root"), **more)
    assert types(told) == ["certificate.seen"]
    assert told[0][0].body["reference"] == more.get("reference")


def test_hosts_that_take_turns_are_no_change() -> None:
    """A certificate seen before is not news, whichever was seen last."""
    other = replace(LEAF, sha256="d" * 64)
    known = learned(KNOWN, certificate(KNOWN, other))
    assert certificate(known, LEAF) == ([], [])


# Acknowledgement


def test_an_acknowledgement_clears_the_changes_of_its_endpoint_and_nothing_else() -> None:
    """Findings of checks stay, and so do those of other endpoints."""
    known = learned(configured(view=OLD, find=OLD), url(configured(view=OLD), NEW))
    for name, check in (("view", "tls_1_1"), ("find", "url_change")):
        known = known.learned(
            fact("security.finding", START, endpoint=name, check=check, finding="f", evidence=None)
        )
    known = known.learned(
        fact("change.acknowledged", START, endpoint="view", reference="TC-1", author="ops")
    )
    assert findings(known) == ["tls_1_1"]
    assert findings(known, "find") == ["url_change"]


# Checks

GOOD = Checked(Check.TLS_1_1, Outcome.GOOD, "refused")
FOUND = Checked(Check.TLS_1_1, Outcome.FOUND, "accepted", {"version": "TLSv1.1"})
UNSURE = Checked(Check.TLS_1_1, Outcome.UNKNOWN, "no answer")


def test_only_another_outcome_is_recorded_and_only_a_fresh_finding_told() -> None:
    """What could not tell neither clears a finding nor makes it told twice."""
    known, told = Known(), []
    for place, result in enumerate([GOOD, GOOD, FOUND, FOUND, UNSURE, FOUND, GOOD, FOUND]):
        now = START + place * HOUR
        news = taken_in(known, "view", [result], now)
        told += [(place, one.type) for one in news[0]]
        assert len(news[1]) == types(news).count("security.finding")
        known = learned(known, news)
        assert findings(known) == ([] if place in (0, 1, 6) else ["tls_1_1"])
    assert told == [
        (0, "security.checked"),
        (2, "security.finding"),
        (4, "security.checked"),
        (6, "security.checked"),
        (7, "security.finding"),
    ]


def test_a_finding_that_reads_otherwise_keeps_its_beginning() -> None:
    """It is told again, and stands since it was first found."""
    known = learned(Known(), taken_in(Known(), "view", [FOUND], START))
    again = replace(FOUND, text="accepted again")
    known = learned(known, taken_in(known, "view", [again], START + HOUR))
    (found,) = known.standing("view")
    assert finding_document(found) == {
        "endpoint": "view",
        "check": "tls_1_1",
        "since": "2026-03-02T09:00:00Z",
        "finding": "accepted again",
        "evidence": {"version": "TLSv1.1"},
    }


def test_a_server_that_has_done_1_3_must_not_do_less() -> None:
    """The best version is remembered, also over checks that could not tell."""
    known, outcomes = Known(), []
    for version in ("TLSv1.2", "TLSv1.3", None, "TLSv1.2", None, "TLSv1.2", "TLSv1.3"):
        result = fallback(known, "view", version)
        outcomes.append(result.outcome.value)
        known = learned(known, taken_in(known, "view", [result], START))
    assert outcomes == ["good", "good", "unknown", "found", "unknown", "found", "good"]
    assert findings(known) == []


def test_what_there_is_to_show_depends_on_what_was_checked() -> None:
    """Changes of every live endpoint; of checks those that told."""
    assert list(shown(Known(), "view", live=False)) == []
    assert list(shown(Known(), "view", live=True)) == [
        (Check.URL_CHANGE, 0),
        (Check.CERTIFICATE_CHANGE, 0),
    ]
    lax = Checked(Check.CLIENT_CERTIFICATE, Outcome.FOUND, "answered")
    unsure = replace(UNSURE, check=Check.TLS_FALLBACK)
    known = learned(Known(), taken_in(Known(), "view", [GOOD, lax, unsure], START))
    assert list(shown(known, "view", live=False)) == [
        (Check.CLIENT_CERTIFICATE, 1),
        (Check.TLS_1_1, 0),
    ]


# In the Book


def test_a_book_learns_them_on_a_branch_and_hands_them_on() -> None:
    """Nothing shows before it is adopted; another configuration keeps it and adds its URLs."""
    known = book()
    upper = known.branch()
    for one in url(configured(view=OLD), NEW)[0]:
        upper.learn(one)
    assert known.security == Known()
    known.adopt(upper)
    assert findings(known.security) == ["url_change"]
    later = book(endpoint("view", url=OLD), endpoint("find", url=OLD))
    later.inherit(known, START + timedelta(days=1))
    assert later.security.urls == {"view": NEW, "find": OLD}
    assert findings(later.security) == ["url_change"]


def test_a_fact_that_cannot_be_read_teaches_nothing() -> None:
    """The key is named."""
    known = book()
    with pytest.raises(BadFact, match=r"security\.finding: check: must be one of url_change"):
        known.learn(Fact(START, "security.finding", {"endpoint": "view", "check": "?"}))
    assert known.security == Known()
