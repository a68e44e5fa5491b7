"""What a probe saw, judged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitor.core.endpoint import Expectation, Service
from monitor.core.verdict import (
    DEFAULTS,
    CertificateFacts,
    Evidence,
    Phases,
    Reason,
    Result,
    TlsFacts,
    Verdict,
    evidence_document,
    judge,
)

AT = datetime(2026, 3, 1, 0, 0, 30, tzinfo=UTC)
VIEW = DEFAULTS[Service.VIEW]
FIND = DEFAULTS[Service.FIND]
NGINX = "<head><title>400 No required SSL certificate was sent</title></head>"


def answered(status: int, *, head: str = "", duration: float = 0.2) -> Evidence:
    return Evidence("view-main", AT, duration, status=status, head=head)


def failed(reason: Reason) -> Evidence:
    return Evidence("view-main", AT, 0.2, failure=reason)


@pytest.mark.parametrize("reason", [reason for reason in Reason if not reason.local])
def test_a_transport_failure_is_down_with_its_reason(reason: Reason) -> None:
    """Whatever kept the endpoint from answering is the reason it is down."""
    assert judge(failed(reason), VIEW) == Verdict(Result.DOWN, reason)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.local])
def test_our_own_failure_is_local(reason: Reason) -> None:
    """A fault of ours never reads as an endpoint that is down."""
    assert judge(failed(reason), VIEW) == Verdict(Result.LOCAL, reason)


@pytest.mark.parametrize(
    ("status", "result", "reason"),
    [
        (400, Result.UP, Reason.OK),
        (401, Result.UP, Reason.OK),
        (403, Result.UP, Reason.OK),
        (404, Result.UP, Reason.OK),
        (405, Result.IMPAIRED, Reason.STATUS_UNEXPECTED),
        (418, Result.IMPAIRED, Reason.STATUS_UNEXPECTED),
        (101, Result.IMPAIRED, Reason.STATUS_UNEXPECTED),
        (429, Result.IMPAIRED, Reason.RATE_LIMITED),
        (301, Result.DOWN, Reason.REDIRECT),
        (304, Result.DOWN, Reason.REDIRECT),
        (500, Result.DOWN, Reason.STATUS_5XX),
        (503, Result.DOWN, Reason.STATUS_5XX),
        (599, Result.DOWN, Reason.STATUS_5XX),
        (600, Result.DOWN, Reason.RESPONSE_INVALID),
        (99, Result.DOWN, Reason.RESPONSE_INVALID),
        (495, Result.DOWN, Reason.TLS_REFUSED),
        (496, Result.DOWN, Reason.TLS_REFUSED),
    ],
)
def test_a_status_of_view_is_judged(status: int, result: Result, reason: Reason) -> None:
    """Each class of answer to the safe View request has one meaning."""
    assert judge(answered(status), VIEW) == Verdict(result, reason)


@pytest.mark.parametrize("service", [Service.FIND, Service.PAT_REFRESH])
def test_a_404_to_a_post_is_a_lost_route(service: Service) -> None:
    """Find and PAT refresh have no asset that could be unknown: 404 is impaired."""
    assert judge(answered(404), DEFAULTS[service]).result is Result.IMPAIRED
    assert judge(answered(405), DEFAULTS[service]).result is Result.UP


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_in_the_body_is_never_up(status: int) -> None:
    """A gateway that refuses our certificate with an accepted status is down, tls_refused."""
    verdict = judge(answered(status, head=NGINX.upper()), VIEW)
    assert verdict == Verdict(Result.DOWN, Reason.TLS_REFUSED)


def test_a_refusal_text_with_another_status_is_not_a_refusal() -> None:
    """Only statuses with which gateways refuse certificates have their body looked at."""
    assert judge(answered(404, head=NGINX), VIEW).reason is Reason.OK


def test_a_refusal_wins_over_a_slow_answer() -> None:
    """A refusal that took long is still a refusal."""
    assert judge(answered(400, head=NGINX, duration=11), VIEW).reason is Reason.TLS_REFUSED


@pytest.mark.parametrize(("service", "status"), [(Service.VIEW, 200), (Service.FIND, 202)])
def test_data_without_a_token_is_up_and_a_finding(service: Service, status: int) -> None:
    """A tokenless request answered with success is up, and an operator must know."""
    verdict = judge(answered(status), DEFAULTS[service])
    assert (verdict.result, verdict.reason) == (Result.UP, Reason.AUTHORISATION_MISSING)
    assert verdict.finding is not None
    assert str(status) in verdict.finding


def test_an_expected_success_is_no_finding() -> None:
    """Where the operator agreed on 202, 202 is plainly up."""
    agreed = replace(FIND, statuses=frozenset({202}))
    assert judge(answered(202), agreed) == Verdict(Result.UP, Reason.OK)


def test_success_with_a_token_is_not_missing_authorisation() -> None:
    """A request that carried a token proves nothing about requests without one."""
    tokened = replace(FIND, headers=(("authorization", "Bearer agreed"),))
    assert judge(answered(200), tokened) == Verdict(Result.IMPAIRED, Reason.STATUS_UNEXPECTED)


def test_another_header_leaves_the_request_tokenless() -> None:
    """Only an Authorization header makes a request authorised."""
    headed = replace(FIND, headers=(("X-Team", "ops"),))
    assert judge(answered(200), headed).reason is Reason.AUTHORISATION_MISSING


def test_slower_than_the_limit_is_impaired() -> None:
    """The limit itself still passes; anything above it is slow."""
    quick = replace(VIEW, impaired_above=timedelta(seconds=2))
    assert judge(answered(401, duration=2.0), quick).result is Result.UP
    assert judge(answered(401, duration=2.001), quick) == Verdict(Result.IMPAIRED, Reason.SLOW)


def test_a_slow_answer_with_data_is_impaired_and_still_a_finding() -> None:
    """Being slow does not hide that authorisation is missing."""
    verdict = judge(answered(200, duration=11), VIEW)
    assert verdict.reason is Reason.SLOW
    assert verdict.finding is not None


def test_evidence_of_nothing_is_refused() -> None:
    """Evidence with neither status nor failure is a mistake of the caller."""
    with pytest.raises(ValueError, match="neither"):
        judge(Evidence("view-main", AT, 0.1), VIEW)


def test_every_service_has_a_safe_request() -> None:
    """No default request of any service may be answered with success and read as ok."""
    assert set(DEFAULTS) == set(Service)
    for expectation in DEFAULTS.values():
        assert isinstance(expectation, Expectation)
        assert not any(200 <= status < 300 for status in expectation.statuses)
        assert expectation.body is None
        assert expectation.impaired_above == timedelta(seconds=10)
    assert {s: e.method for s, e in DEFAULTS.items()} == {
        Service.FIND: "POST",
        Service.VIEW: "GET",
        Service.PAT_REFRESH: "POST",
    }


def test_the_document_carries_all_that_was_seen() -> None:
    """`probe --json` prints verdict, phases, TLS facts and chain as plain JSON."""
    leaf = CertificateFacts("CN=a", "CN=ca", "0a", AT, AT, ("a.example",), "ff")
    evidence = Evidence(
        "view-main",
        AT,
        0.25,
        status=401,
        request_id="r",
        phases=Phases(connect=0.1, tls=0.05),
        tls=TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", (leaf,)),
    )
    document = json.loads(json.dumps(evidence_document(evidence, judge(evidence, VIEW))))
    assert document["endpoint"] == "view-main"
    assert (document["result"], document["reason"], document["status"]) == ("up", "ok", 401)
    assert document["at"] == "2026-03-01T00:00:30Z"
    assert document["phases"] == {
        "dns": None,
        "connect": 0.1,
        "tls": 0.05,
        "ttfb": None,
        "transfer": None,
    }
    assert document["tls"]["chain"][0]["names"] == ["a.example"]


def test_impaired_and_down_both_fail() -> None:
    """Impaired time is unavailable (CoCo 2.2.1); a fault of ours says nothing."""
    assert {result for result in Result if result.failing} == {Result.IMPAIRED, Result.DOWN}
