"""One probe in the names of the blackbox exporter."""

import doctest
from dataclasses import replace

from monitor.core.verdict import Evidence, HttpFacts, Reason, TlsFacts, judge
from monitor.web import blackbox
from monitor.web.blackbox import address_hash, exposition
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


def test_a_refusal_in_the_text_of_an_answer_is_a_failed_expression() -> None:
    """A proxy that refuses our certificate with a page: what the exporter would find by its regex."""
    gone = EXPECTATION.__class__("GET", frozenset({400}), EXPECTATION.impaired_above, ("no cert",))
    refused = replace(evidence("a"), status=400, head="<p>no cert</p>")
    text, _ = exposition(refused, judge(refused, gone), "")
    seen = Samples(families(text.decode()))
    assert seen("probe_failed_due_to_regex") == 1
    assert seen("probe_success") == 0


def test_an_answer_of_unknown_length_is_minus_one() -> None:
    """As the exporter has it; and an IPv6 address has its protocol and its hash."""
    seen = shown(replace(evidence("a"), http=HttpFacts("1.1", None, 12), address="fe80::1%eth0"))
    assert seen("probe_http_content_length") == -1
    assert seen("probe_http_uncompressed_body_length") == 12
    assert seen("probe_http_version") == 1.1
    assert seen("probe_ip_protocol") == 6
    assert seen("probe_ip_addr_hash") == address_hash("fe80::1") != 0
