"""Beside the real blackbox exporter, asking the same nginx: the same names, labels and figures."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.request import urlopen

import pytest

from monitor.adapters.clock import SystemClock
from monitor.adapters.probe import AiohttpProber
from monitor.adapters.tls import Contexts
from monitor.core.endpoint import Service
from monitor.core.identity import IdentitySpec
from monitor.core.verdict import judge
from monitor.web.blackbox import exposition
from tests.nginx import Nginx, nginx_server
from tests.servers import HOST, an_endpoint
from tests.tools import find, free_port, need
from tests.web.samples import Samples, families

MODULE = {
    "prober": "http",
    "timeout": "5s",
    "http": {"valid_status_codes": [401, 404], "follow_redirects": False},
}
SAME = {
    "probe_success",
    "probe_ip_protocol",
    "probe_ip_addr_hash",
    "probe_http_status_code",
    "probe_http_version",
    "probe_http_content_length",
    "probe_http_uncompressed_body_length",
    "probe_http_redirects",
    "probe_http_ssl",
    "probe_failed_due_to_regex",
    "probe_tls_version_info",
    "probe_ssl_last_chain_info",
    "probe_ssl_earliest_cert_expiry",
}
"""Whose values are equal too; times differ, and the exporter counts the anchor into the last chain."""
DASHBOARDS = """
probe_success{instance=~"$target"}
probe_duration_seconds{instance=~"$target"}
avg(probe_duration_seconds{instance=~"$target"})
probe_http_duration_seconds{phase="resolve"} + on (instance) probe_http_duration_seconds{phase="tls"}
avg by (phase) (probe_http_duration_seconds{phase=~"connect|processing|transfer"})
avg(probe_dns_lookup_time_seconds{instance=~"$target"})
probe_http_status_code{instance=~"$target"}
probe_http_version{instance=~"$target"}
probe_http_ssl{instance=~"$target"}
probe_http_redirects{instance=~"$target"}
probe_http_content_length{instance=~"$target"}
probe_http_uncompressed_body_length{instance=~"$target"}
probe_ip_protocol{instance=~"$target"}
probe_ssl_earliest_cert_expiry{instance=~"$target"} - time()
probe_ssl_last_chain_expiry_timestamp_seconds{instance=~"$target"} - time()
probe_ssl_last_chain_info{subject=~".+",issuer=~".+",fingerprint_sha256=~".+"}
probe_tls_version_info{version=~".+"}
probe_tls_cipher_info{cipher=~".+"}
probe_failed_due_to_regex{instance=~"$target"}
"""
"""What the widely used dashboards for its http prober ask (such as Grafana's 7587 and 13659)."""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx_server(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[str]:
    """The base URL of a real exporter that presents the same pack."""
    need("prometheus-blackbox-exporter")
    folder = tmp_path_factory.mktemp("exporter")
    chained = folder / "chained.pem"
    issued = nginx.folder / "live"
    parts = (issued / "certificate", issued / "certificateChain")
    chained.write_text("".join(part.read_text() for part in parts))
    http = {
        **MODULE["http"],  # type: ignore[dict-item]
        "headers": {"User-Agent": "test", "Accept-Encoding": "identity"},
        "preferred_ip_protocol": "ip4",
        "tls_config": {
            "ca_file": str(nginx.folder / "root.pem"),
            "cert_file": str(chained),
            "key_file": str(issued / "certPrivateKey"),
        },
    }
    configuration = folder / "blackbox.yml"
    configuration.write_text(json.dumps({"modules": {"pack": {**MODULE, "http": http}}}))
    port = free_port()
    process = subprocess.Popen(
        [
            str(find("prometheus-blackbox-exporter")),
            f"--config.file={configuration}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/-/healthy")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


def theirs(exporter: str, url: str) -> Samples:
    with urlopen(f"{exporter}/probe?module=pack&target={url}", timeout=10) as answer:
        return Samples(families(answer.read().decode()))


async def ours(nginx: Nginx, url: str) -> Samples:
    contexts = Contexts()
    pack = IdentitySpec(
        "live", pack=str(nginx.folder / "live"), trust=str(nginx.folder / "root.pem")
    )
    await contexts.replace([pack], [], now=datetime.now(UTC))
    prober = AiohttpProber(contexts, SystemClock(), user_agent="test")
    await prober.start()
    try:
        # Find and refresh ask exactly the URL; view would ask for an asset below it.
        endpoint = replace(an_endpoint(url), service=Service.FIND)
        evidence = await prober.probe(endpoint)
    finally:
        await prober.close()
    text, _ = exposition(evidence, judge(evidence, endpoint.expectation), "")
    return Samples(families(text.decode()))


def shapes(seen: Samples) -> set[tuple[str, frozenset[str]]]:
    """Each metric of the exporter with the names of its labels."""
    return {
        (name, frozenset(key for key, _ in labels))
        for name, labels in seen.values
        if name.startswith("probe_")
    }


@pytest.mark.parametrize("path", ["/view", "/lost", "/broken", "/moved"])
async def test_an_answer_is_told_as_the_exporter_tells_it(
    nginx: Nginx, exporter: str, path: str
) -> None:
    """Every metric of theirs is there with its labels, and what does not depend on time is equal."""
    url = nginx.url(path)
    they, we = theirs(exporter, url), await ours(nginx, url)
    assert shapes(they) <= shapes(we)
    assert shapes(we) - shapes(they) == {("probe_tls_cipher_info", frozenset({"cipher"}))}
    # Of a redirect that it does not follow the exporter reads no body.
    skipped = {"probe_http_uncompressed_body_length"} if path == "/moved" else set()
    for name in SAME - skipped:
        assert we.of(name) == they.of(name), name
    phases = set(they.of("probe_http_duration_seconds"))
    assert set(we.of("probe_http_duration_seconds")) == phases
    assert we("probe_ip_protocol") == 4


@pytest.mark.parametrize("server", ["expired", "wrong", "untrusted"])
async def test_a_bad_certificate_is_told_as_the_exporter_tells_it(
    nginx: Nginx, exporter: str, server: str
) -> None:
    """No answer, no success, no verified chain. We tell what was shown all the same."""
    url = nginx.url("/view", server)
    they, we = theirs(exporter, url), await ours(nginx, url)
    assert shapes(they) <= shapes(we)
    extra = {name for name, _ in shapes(we) - shapes(they)}
    assert extra <= {
        "probe_ssl_earliest_cert_expiry",
        "probe_tls_version_info",
        "probe_tls_cipher_info",
    }
    for name in ("probe_success", "probe_http_status_code", "probe_http_ssl", "probe_http_version"):
        assert we(name) == they(name) == 0


async def test_nobody_there_is_told_as_the_exporter_tells_it(nginx: Nginx, exporter: str) -> None:
    """A refused connection has every figure at 0, but for what was learned before it."""
    url = f"https://{HOST}:{free_port()}/view"
    they, we = theirs(exporter, url), await ours(nginx, url)
    assert shapes(they) == shapes(we)


async def test_dashboards_for_the_exporter_find_what_they_ask(nginx: Nginx) -> None:
    """Each metric and label of their queries is there; Prometheus adds `instance` and `job`."""
    known = dict(shapes(await ours(nginx, nginx.url("/lost"))))
    queries = DASHBOARDS.strip().splitlines()
    for query in queries:
        found = re.findall(r"(probe_\w+)(?:\{([^}]*)\})?", query)
        assert found
        for name, matchers in found:
            asked = set(re.findall(r"(\w+)=", matchers or ""))
            assert asked <= known[name] | {"instance", "job"}, query
