"""One probe in the names of the blackbox exporter."""

import doctest
from dataclasses import replace

from monitor.core.verdict import Evidence, Reason, TlsFacts, judge
from monitor.web import blackbox
from monitor.web.blackbox import exposition
from tests.web.samples import Samples, families
from tests.web.world import EXPECTATION, ISSUER, evidence


def shown(seen: Evidence) -> Samples:
    text, kind = exposition(seen, judge(seen, EXPECTATION), "")
    assert kind.startswith("text/plain")
    return Samples(families(text.decode()))


def test_the_examples_in_the_documentation_hold() -> None:
    """Every example in the module's docstrings gives what it says."""
    assert doctest.testmod(blackbox).failed == 0


def test_a_good_probe_is_told_as_the_exporter_tells_it() -> None:
    """Success, status, the five phases, TLS version, and the first certificate to run out."""
    seen = shown(evidence("a"))
    assert seen("probe_success") == 1
    assert seen("probe_duration_seconds") == 0.05
    assert seen("probe_http_status_code") == 404
    assert seen("probe_dns_lookup_time_seconds") == 0.002
    phases = seen.of("probe_http_duration_seconds")
    assert {dict(labels)["phase"]: value for labels, value in phases.items()} == {
        "resolve": 0.002,
        "connect": 0.003,
        "tls": 0.02,
        "processing": 0.024,
        "transfer": 0.001,
    }
    assert seen("probe_http_ssl") == 1
    assert seen("probe_tls_version_info", version="TLS 1.3") == 1
    assert seen("probe_ssl_earliest_cert_expiry") == ISSUER.not_after.timestamp()
    assert seen("monitor_probe_result_info", result="up", reason="ok") == 1


def test_a_failed_probe_has_no_status_and_no_certificate() -> None:
    """Phases that were not reached are 0; what nobody saw is absent."""
    seen = shown(evidence("a", failure=Reason.CONNECT_REFUSED))
    assert seen("probe_success") == 0
    assert seen("probe_http_status_code") == 0
    assert seen("probe_http_duration_seconds", phase="tls") == 0
    assert seen("probe_http_ssl") == 0
    assert seen("probe_ssl_earliest_cert_expiry") is None
    assert not seen.of("probe_tls_version_info")


def test_a_slow_answer_is_no_success() -> None:
    """Impaired time is unavailable, so an impaired probe fails."""
    seen = shown(replace(evidence("a"), duration=11.0))
    assert seen("probe_success") == 0
    assert seen("monitor_probe_result_info", result="impaired", reason="slow") == 1


def test_an_unheard_of_tls_version_is_shown_as_it_is() -> None:
    """What is not of the usual form is passed on unchanged."""
    odd = replace(evidence("a"), tls=TlsFacts(version="QUIC"))
    assert shown(odd)("probe_tls_version_info", version="QUIC") == 1
