"""What the daemon counts about itself and its probes."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

from prometheus_client import REGISTRY

from monitor import ports
from monitor.core.endpoint import Service
from monitor.core.verdict import Reason, TlsFacts
from monitor.web.telemetry import REGISTERED, PrometheusTelemetry
from tests.web.samples import Samples, scraped
from tests.web.world import ISSUER, LEAF, World, endpoint, evidence, make_world


def registered(telemetry: PrometheusTelemetry) -> Samples:
    return Samples(telemetry.registry.collect())


def test_it_is_the_telemetry_that_the_daemon_asks_for() -> None:
    """The class satisfies the port, and uses a registry of its own."""
    telemetry: ports.Telemetry = PrometheusTelemetry()
    assert isinstance(telemetry, PrometheusTelemetry)
    assert all(not metric.name.startswith("monitor_") for metric in REGISTRY.collect())


async def test_probes_are_counted_by_result_and_reason(world: World) -> None:
    """Each judged probe counts once, under its result and its reason."""
    world.probed("view-main", evidence("view-main", status=503))
    world.probed("view-main", evidence("view-main", status=503))
    seen = await scraped(world.metrics())
    name = "monitor_probe_results_total"
    known = {"endpoint": "view-main", "service": "view"}
    assert seen(name, **known, result="down", reason="status_5xx") == 2
    assert seen(name, **known, result="up", reason="ok") == 1
    counts = "monitor_probe_duration_seconds_count"
    assert seen(counts, service="view") == 3
    assert seen(counts, service="pat-refresh") == 1


async def test_only_phases_that_were_reached_are_shown(world: World) -> None:
    """The phases are those of the last probe; what it did not reach is absent."""
    seen = await scraped(world.metrics())
    name = "monitor_probe_phase_seconds"
    assert seen(name, endpoint="view-main", phase="ttfb") == 0.024
    assert seen(name, endpoint="pat-main", phase="connect") == 0.018
    assert seen(name, endpoint="pat-main", phase="tls") is None


async def test_a_probe_that_saw_no_handshake_keeps_what_the_last_one_saw(world: World) -> None:
    """TLS facts and the server's certificate stay until another handshake shows new ones."""
    world.probed("view-main", evidence("view-main", failure=Reason.CONNECT_REFUSED))
    seen = await scraped(world.metrics())
    agreed = {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"}
    assert seen("monitor_tls_info", endpoint="view-main", **agreed) == 1
    expiry = "monitor_certificate_expiry_timestamp_seconds"
    assert seen(expiry, role="server", name="view-main") == LEAF.not_after.timestamp()
    assert seen(expiry, role="server", name="pat-main") is None


async def test_a_refused_certificate_is_told_all_the_same(world: World) -> None:
    """A handshake that failed shows the certificate that made it fail."""
    seen = replace(
        evidence("pat-main", failure=Reason.TLS_CERTIFICATE), tls=TlsFacts(chain=(ISSUER,))
    )
    world.probed("pat-main", seen)
    told = await scraped(world.metrics())
    expiry = "monitor_certificate_expiry_timestamp_seconds"
    assert told(expiry, role="server", name="pat-main") == ISSUER.not_after.timestamp()
    assert not told.of("monitor_tls_info", endpoint="pat-main")


async def test_a_forgotten_endpoint_leaves_no_series(world: World) -> None:
    """What was counted of an endpoint taken out of the configuration is gone."""
    world.telemetry.forget(["view-main", "never-there"])
    seen = await scraped(world.metrics())
    assert not seen.of("monitor_probe_results_total", endpoint="view-main")
    assert not seen.of("monitor_probe_phase_seconds", endpoint="view-main")
    assert not seen.of("monitor_tls_info", endpoint="view-main")
    assert seen.of("monitor_probe_results_total", endpoint="find-main")


async def test_a_changed_service_is_counted_under_the_new_one() -> None:
    """An endpoint that becomes one of another service does not count under the old one."""
    world = make_world([endpoint("a")])
    world.probed("a", evidence("a"))
    world.book.register.endpoints["a"] = endpoint("a", Service.FIND)
    world.probed("a", evidence("a"))
    seen = await scraped(world.metrics())
    (labels,) = seen.of("monitor_probe_results_total", endpoint="a")
    assert ("service", "find") in labels


def test_slots_lags_steps_and_store_troubles_are_counted() -> None:
    """Each hook moves its own metric, a backward step as much as a forward one."""
    telemetry = PrometheusTelemetry()
    telemetry.slot("started", 0.02)
    telemetry.slot("missed", 0.0)
    telemetry.loop_lag(0.3)
    telemetry.clock_stepped(-5.0)
    telemetry.clock_stepped(2.0)
    telemetry.store_failing(True, 12, 3)
    telemetry.delivered("ops", "accepted")
    telemetry.job_trouble("seal-months", "error")
    telemetry.reloaded(False)
    telemetry.heartbeat(datetime(2026, 11, 2, tzinfo=UTC))
    seen = registered(telemetry)
    assert seen("monitor_probe_slots_total", outcome="started") == 1
    assert seen("monitor_probe_slots_total", outcome="missed") == 1
    assert seen("monitor_probe_lateness_seconds_count") == 1
    assert seen("monitor_event_loop_lag_seconds_sum") == 0.3
    assert seen("monitor_clock_step_seconds_total") == 7.0
    assert seen("monitor_store_failing") == 1
    assert seen("monitor_store_spooled_observations") == 12
    assert seen("monitor_store_lost_observations") == 3
    assert seen("monitor_alert_deliveries_total", receiver="ops", outcome="accepted") == 1
    assert seen("monitor_job_troubles_total", job="seal-months", what="error") == 1
    assert seen("monitor_config_last_reload_successful") == 0
    assert seen("monitor_heartbeat_timestamp_seconds") == 1793577600


def test_commits_are_told_from_the_writers_thread() -> None:
    """Telling of a commit in another thread loses nothing."""
    telemetry = PrometheusTelemetry()
    threads = [threading.Thread(target=telemetry.wrote, args=(0.001, 5)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = registered(telemetry)
    assert seen("monitor_store_write_seconds_count") == 8
    assert seen("monitor_store_changes_total") == 40


def test_the_registry_holds_what_is_listed_and_the_libraries_own() -> None:
    """No metric goes unlisted, none has a `_created` twin, and process and platform are there."""
    names = {metric.name for metric in PrometheusTelemetry().registry.collect()}
    listed = {family.name.removesuffix("_total") for family in REGISTERED}
    assert {name for name in names if name.startswith("monitor_")} == listed
    assert "process_resident_memory_bytes" in names
    assert "python_info" in names
