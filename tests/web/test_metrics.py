"""`/metrics`: the Book's figures, as every face prints them."""

import asyncio
import re
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from monitor.core import seal
from monitor.core.endpoint import Environment
from monitor.core.month import Month
from monitor.core.rules import LateRecords, Rules
from monitor.errors import StoreError
from monitor.snapshot import month_rows
from monitor.web.metrics import CATALOGUE, Flights
from tests.tools import find, need
from tests.web.samples import Key, Samples, body, families, scraped
from tests.web.world import EVERY, ISSUER, LEAF, START, World, endpoint, evidence, make_world

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs/reference/metrics.md"


def seconds(seen: Samples, name: str, **more: str) -> dict[tuple[str, str], float]:
    found = seen.of("monitor_time_seconds_total", endpoint=name, **more)
    return {
        (dict(labels)["state"], dict(labels).get("class", "")): value
        for labels, value in found.items()
    }


# -- states and time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("view-main", "up"),
        ("find-main", "down"),
        ("pat-main", "unknown"),
        ("view-test", "down"),
    ],
)
async def test_each_endpoint_is_in_one_state(world: World, name: str, state: str) -> None:
    """One state is 1 and three are 0; failures that wait for confirmation are unknown."""
    seen = await scraped(world.metrics())
    found = seen.of("monitor_endpoint_state", endpoint=name)
    assert len(found) == 4
    assert [dict(labels)["state"] for labels, value in found.items() if value] == [state]


async def test_settled_time_is_told_by_state_and_class(world: World) -> None:
    """Time that can no longer be judged otherwise is summed; what is pending is left out."""
    seen = await scraped(world.metrics())
    assert seconds(seen, "view-main") == {
        ("up", ""): 5 * 30 + 4 * 30,
        ("down", "undeclared"): 120,
        ("impaired", "undeclared"): 60,
    }
    assert seconds(seen, "pat-main") == {("up", ""): 14 * 30}
    assert seconds(seen, "view-test") == {("down", ""): 15 * 30}


async def test_settled_time_never_falls_and_agrees_with_a_fresh_start() -> None:
    """Scraped after every observation no counter falls; a daemon that starts anew says the same."""
    world = make_world([endpoint("a")])
    metrics = world.metrics()
    world.learn("declaration", START - timedelta(days=30), id="D-1", kind="planned",
                notified_at="2026-10-05T09:00:00Z", start="2026-11-02T00:10:00Z",
                end="2026-11-02T00:14:00Z", endpoints=["a"], reason="r", author="ops")  # fmt: skip
    before: dict[tuple[str, str], float] = {}
    for letter in "uuduudddiuiuudldduuuuddddddddddlluddddduuuuuuuiuuuu":
        world.observe("a", letter)
        after = seconds(await scraped(metrics), "a")
        assert all(after.get(key, 0) >= value for key, value in before.items())
        before = after
    assert before == seconds(await scraped(world.metrics()), "a")
    assert {cls for _, cls in before} == {"", "declared", "overrun", "undeclared"}


async def test_a_gap_is_unknown_time(world: World) -> None:
    """Silence beyond the limit is counted as unknown once the next observation came."""
    metrics = world.metrics()
    await scraped(metrics)
    world.observe("view-main", "u", world.clock.at + timedelta(hours=1))
    seen = await scraped(metrics)
    assert seconds(seen, "view-main", state="unknown") == {("unknown", ""): 3600}


async def test_time_that_a_late_record_may_excuse_waits_for_the_seal() -> None:
    """With late records accepted, unavailable time is not counted before its month is sealed."""
    world = make_world([endpoint("a")], Rules(late_records=LateRecords.ACCEPT))
    metrics = world.metrics()
    world.observe("a", "uudddduuu")
    assert ("down", "undeclared") not in seconds(await scraped(metrics), "a")
    november = Month(2026, 11, world.book.rules.zone)
    world.observe("a", "u", november.interval.end + timedelta(days=10))
    series = world.book.endpoint_series("a")
    rows = [row for row in month_rows(world.book, [series], world.clock.at)
            if row["month"] == "2026-11"]  # fmt: skip
    fact = seal.sealed(november, rows, "digest", world.clock.at)
    world.learn(fact.type, fact.at, **fact.body)
    assert seconds(await scraped(metrics), "a")["down", "undeclared"] == 120


async def test_unavailable_time_before_the_connection_has_no_class() -> None:
    """What is not accounted yet is watched all the same: its time has a state and no class."""
    world = make_world([endpoint("a", connected_from=date(2026, 11, 2))])
    world.observe("a", "udddd" + "d" * 2 + "uuu", START - 5 * EVERY)
    assert seconds(await scraped(world.metrics()), "a") == {
        ("up", ""): 60 + 30,
        ("down", ""): 4 * 30,
        ("down", "undeclared"): 2 * 30,
    }


async def test_an_endpoint_taken_out_of_the_configuration_leaves_no_series() -> None:
    """After a reload only the endpoints there are now have figures."""
    world = make_world([endpoint("a"), endpoint("b")])
    world.observe("a", "uuu")
    metrics = world.metrics()
    await scraped(metrics)
    later = make_world([endpoint("b")]).book
    later.inherit(world.book, world.clock.at)
    world.cycle.book = later
    seen = await scraped(metrics)
    assert not [key for key in seen.values if ("endpoint", "a") in key[1]]
    assert seen.of("monitor_endpoint_state", endpoint="b")


async def test_time_of_test_endpoints_waits_for_no_seal() -> None:
    """Endpoints that are never accounted have no class to wait for."""
    world = make_world(
        [endpoint("t", environment=Environment.TEST, connected_from=None)],
        Rules(late_records=LateRecords.ACCEPT),
    )
    world.observe("t", "uudddduuu")
    assert seconds(await scraped(world.metrics()), "t") == {("up", ""): 120, ("down", ""): 120}


# -- months --------------------------------------------------------------------------------------


def expected(document: dict[str, object], name: str) -> Samples:
    """The samples of one endpoint's month, from the document that other faces print."""
    known = {("endpoint", name), ("month", str(document["month"]))}
    seen = Samples([])
    by_class = document["by_class"]
    assert isinstance(by_class, dict)

    def put(metric: str, value: object, *labels: tuple[str, str]) -> None:
        if value is not None:
            seen.values[metric, frozenset({*known, *labels})] = float(str(value))

    put("monitor_slo_eligible_seconds", document["eligible_s"])
    put("monitor_slo_unknown_seconds", document["unknown_s"])
    put("monitor_slo_error_budget_seconds", document["budget_s"])
    put("monitor_slo_error_budget_remaining_seconds", document["remaining_s"])
    for basis in ("measured", "best", "worst", "excluding_declared"):
        put("monitor_slo_availability_ratio", document[basis], ("basis", basis))
    for cls, value in by_class.items():
        put("monitor_slo_unavailable_seconds", value, ("class", cls))
    for verdict in ("met", "missed", "indeterminate", "running", "no_data"):
        put("monitor_slo_verdict", int(document["verdict"] == verdict), ("verdict", verdict))
    return seen


async def test_months_say_what_every_face_says(world: World) -> None:
    """Each figure of each month equals the one in the documents, to the last digit."""
    seen = await scraped(world.metrics())
    live = world.book.accounted_endpoints()
    wanted: dict[Key, float] = {("monitor_slo_objective_ratio", frozenset()): 0.995}
    for row in month_rows(world.book, live, world.clock.at):
        wanted.update(expected(row, row["series"]["endpoint"]).values)
    found = {
        key: value
        for key, value in seen.values.items()
        if key[0].startswith("monitor_slo_") and key[0] != "monitor_slo_burn_rate"
    }
    assert found == wanted


async def test_months_have_the_bounds_of_london(world: World) -> None:
    """A month starts and ends at midnight in the SLO's zone: October 2026 has 745 hours."""
    seen = await scraped(world.metrics())
    start = seen("monitor_month_start_timestamp_seconds", month="2026-10")
    end = seen("monitor_month_end_timestamp_seconds", month="2026-10")
    assert start == datetime(2026, 9, 30, 23, tzinfo=UTC).timestamp()
    assert end == start + 745 * 3600
    ends = seen.of("monitor_month_end_timestamp_seconds")
    to_come = [labels for labels, at in ends.items() if at > world.clock.at.timestamp()]
    assert (len(ends), to_come) == (13, [frozenset({("month", "2026-11")})])


async def test_only_this_month_and_the_twelve_before_are_told() -> None:
    """Older months are left out; months that touch no eligible time too."""
    world = make_world([
        endpoint("old", connected_from=date(2024, 1, 1)),
        endpoint("new", connected_from=date(2026, 10, 15)),
        endpoint("pending", connected_from=date(2027, 5, 1)),
        endpoint("never", connected_from=None),
    ])  # fmt: skip
    seen = await scraped(world.metrics())

    def months(name: str) -> list[str]:
        found = seen.of("monitor_slo_eligible_seconds", endpoint=name)
        return sorted(dict(labels)["month"] for labels in found)

    assert months("old") == [f"2025-{n}" for n in (11, 12)] + [f"2026-{n:02}" for n in range(1, 12)]
    assert months("new") == ["2026-10", "2026-11"]
    for name in ("pending", "never"):
        assert months(name) == ["2026-11"]
        known = {"endpoint": name, "month": "2026-11"}
        assert seen("monitor_slo_verdict", **known, verdict="no_data") == 1
        assert not seen.of("monitor_slo_availability_ratio", endpoint=name)


async def test_a_closed_month_follows_what_is_learned_later() -> None:
    """A remembered month is worked out anew when a late record changes it, or a seal fixes it."""
    world = make_world([endpoint("a")], Rules(late_records=LateRecords.ACCEPT))
    metrics = world.metrics()
    world.observe("a", "uudddduuu", datetime(2026, 10, 20, tzinfo=UTC))
    world.observe("a", "uuu", datetime(2026, 11, 2, tzinfo=UTC))

    async def lost(cls: str) -> float | None:
        seen = await scraped(metrics)
        return seen(
            "monitor_slo_unavailable_seconds",
            **{"endpoint": "a", "month": "2026-10", "class": cls},
        )

    assert (await lost("undeclared"), await lost("declared")) == (120, 0)
    world.learn("declaration", world.clock.at, id="D-1", kind="planned", ticket="T-1",
                notified_at="2026-10-01T09:00:00Z", start="2026-10-20T00:00:00Z",
                end="2026-10-20T01:00:00Z", reason="r", author="ops")  # fmt: skip
    assert (await lost("undeclared"), await lost("declared")) == (0, 120)
    october = Month(2026, 10, world.book.rules.zone)
    rows = [row for row in month_rows(world.book, [world.book.endpoint_series("a")], world.clock.at)
            if row["month"] == "2026-10"]  # fmt: skip
    rows[0]["by_class"] = {**rows[0]["by_class"], "declared": 119.5}
    fact = seal.sealed(october, rows, "digest", world.clock.at)
    world.learn(fact.type, fact.at, **fact.body)
    assert await lost("declared") == 119.5


async def test_a_month_whose_end_is_still_pending_is_not_remembered() -> None:
    """Observations that arrive after the month's end still change what it says."""
    world = make_world([endpoint("a")])
    metrics = world.metrics()
    end = Month(2026, 10, world.book.rules.zone).interval.end
    world.observe("a", "uuudd", end - timedelta(seconds=150))
    world.clock.at = end + timedelta(seconds=1)
    known = {"endpoint": "a", "month": "2026-10", "class": "undeclared"}
    assert (await scraped(metrics))("monitor_slo_unavailable_seconds", **known) == 0
    world.observe("a", "ddd", end)
    assert (await scraped(metrics))("monitor_slo_unavailable_seconds", **known) == 60


@pytest.mark.parametrize("later", [0, 90, 1200, 2000, 3500])
@pytest.mark.parametrize("name", ["view-main", "find-main", "pat-main"])
async def test_burn_rates_agree_with_the_accounts(world: World, name: str, later: int) -> None:
    """Over each window, also where no outage lies, the rate is the one accounted."""
    world.clock.at += timedelta(seconds=later)
    seen = await scraped(world.metrics())
    series = world.book.endpoint_series(name)
    for window, minutes in (("5m", 5), ("30m", 30), ("1h", 60), ("2h", 120), ("6h", 360),
                            ("1d", 1440), ("3d", 4320)):  # fmt: skip
        exact = world.book.burn_rate(series, timedelta(minutes=minutes), world.clock.at)
        found = seen("monitor_slo_burn_rate", endpoint=name, window=window)
        assert found == pytest.approx(float(exact), abs=1e-9)
        assert found is not None
        assert found <= exact
    assert not seen.of("monitor_slo_burn_rate", endpoint="view-test")


# -- the rest ------------------------------------------------------------------------------------


async def test_incidents_and_their_deadlines(world: World) -> None:
    """Incidents are counted by state; the open one has a deadline two hours from its start."""
    seen = await scraped(world.metrics())
    assert seen("monitor_incidents", state="open") == 1
    assert seen("monitor_incidents", state="restored") == 1
    assert seen("monitor_incidents", state="closed") == 0
    (deadline,) = seen.of("monitor_incident_restoration_deadline_timestamp_seconds").items()
    labels, value = deadline
    assert ("group", "find-main.example") in labels
    assert value == (START + 10 * EVERY + timedelta(hours=2)).timestamp()
    assert seen.of("monitor_incident_start_timestamp_seconds") == {labels: value - 7200}


async def test_an_incident_that_is_void_is_not_counted(world: World) -> None:
    """What proved to be none, or went into another, is neither open nor due."""
    (name,) = (one.id for one in world.book.records.values() if one.view.restored_at is None)
    world.learn("incident.voided", world.clock.at, id=name, reason="no outage after all")
    seen = await scraped(world.metrics())
    assert seen("monitor_incidents", state="open") == 0
    assert not seen.of("monitor_incident_restoration_deadline_timestamp_seconds")
    assert not seen.of("monitor_incident_start_timestamp_seconds")


async def test_downtime_in_force_and_to_come(world: World) -> None:
    """A window in force is active; the next start is that of the first window to come."""
    for name, start, end in (("D-1", "T00:05", "T00:30"), ("D-2", "T03:00", "T04:00"),
                             ("D-3", "T02:00", "T04:00"), ("D-4", "T01:00", "T02:00")):  # fmt: skip
        world.learn("declaration", START, id=name, kind="maps" if name == "D-1" else "planned",
                    notified_at=None if name == "D-4" else "2026-11-01T09:00:00Z",
                    start=f"2026-11-02{start}:00Z", end=f"2026-11-02{end}:00Z",
                    reason="r", author="ops")  # fmt: skip
    seen = await scraped(world.metrics())
    assert seen.of("monitor_downtime_active") == {
        frozenset({("declaration", "D-1"), ("kind", "maps")}): 1
    }
    assert seen.of("monitor_downtime_end_timestamp_seconds") == {
        frozenset({("declaration", "D-1"), ("kind", "maps")}): (START + 60 * EVERY).timestamp()
    }
    first = datetime(2026, 11, 2, 2, tzinfo=UTC).timestamp()
    assert seen("monitor_downtime_next_start_timestamp_seconds") == first


async def test_unavailable_endpoints_say_of_which_class(world: World) -> None:
    """Only while they are, by the class of now; endpoints that are not accounted never."""
    seen = await scraped(world.metrics())
    ((labels, value),) = seen.of("monitor_endpoint_unavailable").items()
    assert value == 1
    assert {("endpoint", "find-main"), ("class", "undeclared")} <= labels
    known = make_world([endpoint("a")])
    known.learn("declaration", START - timedelta(days=30), id="D-1", kind="planned",
                notified_at="2026-10-05T09:00:00Z", start="2026-11-02T00:00:00Z",
                end="2026-11-02T00:05:00Z", endpoints=["a"], reason="r", author="ops")  # fmt: skip
    told = []
    for letter in "uuddddlddddddddduuu":
        known.observe("a", letter)
        found = (await scraped(known.metrics())).of("monitor_endpoint_unavailable")
        told.append([dict(labels)["class"] for labels in found])
    declared, overrun = ["declared"], ["overrun"]
    assert told == [[]] * 4 + [declared] * 2 + [[]] + [declared] * 3 + [overrun] * 7 + [[]] * 2


async def test_what_is_owed_to_maps_is_told_until_it_is_given(world: World) -> None:
    """An incident not reported, open or restored, and a completion, each with its time."""
    seen = await scraped(world.metrics())
    name = "monitor_incident_unreported_timestamp_seconds"
    records = {one.id: one for one in world.book.records.values()}
    assert {dict(labels)["incident"] for labels in seen.of(name)} == set(records)
    first = min(records)
    told = seen(name, incident=first, group=records[first].view.group)
    assert told == records[first].opened_at.timestamp()
    world.learn("incident.reported", world.clock.at, id=first, ticket="T-1", author="ops",
                reported_at=world.clock.at.isoformat())  # fmt: skip
    for name_, kind, told_at in (("D-1", "planned", "2026-10-01T09:00:00Z"),
                                 ("D-2", "maps", "2026-10-01T09:00:00Z"),
                                 ("D-3", "planned", None), ("D-4", "planned", "2026-10-01T09:00:00Z"),
                                 ("D-5", "planned", "2026-10-01T09:00:00Z")):  # fmt: skip
        world.learn("declaration", START, id=name_, kind=kind, notified_at=told_at,
                    start="2026-11-02T00:00:00Z", end="2026-11-02T01:00:00Z", reason="r",
                    author="ops")  # fmt: skip
    world.learn("completion", START, id="D-4", author="ops")
    world.learn("cancellation", START, id="D-5", author="ops")
    seen = await scraped(world.metrics())
    assert first not in {dict(labels)["incident"] for labels in seen.of(name)}
    assert seen.of("monitor_downtime_completion_due_timestamp_seconds") == {
        frozenset({("declaration", "D-1")}): datetime(2026, 11, 2, 3, tzinfo=UTC).timestamp()
    }


async def test_certificates_of_ours_are_told(world: World) -> None:
    """Each identity has its own certificate's end, and that of the first issuer to run out."""
    seen = await scraped(world.metrics())
    name = "monitor_certificate_expiry_timestamp_seconds"
    assert seen(name, role="client", name="live") == LEAF.not_after.timestamp()
    assert seen(name, role="client_ca", name="live") == ISSUER.not_after.timestamp()


async def test_the_queue_of_alerts_is_told_or_absent(world: World) -> None:
    """What waits is summed over the receivers; a store that cannot be read says nothing."""
    seen = await scraped(world.metrics())
    assert seen("monitor_alert_queue_length") == 3
    assert seen("monitor_alert_oldest_seconds") == 90
    assert seen("monitor_alert_dead_letters") == 1
    world.store.stats = {"ops": (1, world.clock.at + timedelta(seconds=5), 0)}
    assert (await scraped(world.metrics()))("monitor_alert_oldest_seconds") == 0
    world.store.trouble = StoreError("gone")
    seen = await scraped(world.metrics())
    assert seen("monitor_alert_queue_length") is None
    assert seen("monitor_incidents", state="open") == 1


async def test_an_endpoint_with_an_odd_name_breaks_nothing() -> None:
    """A name with quotes is escaped wherever it stands."""
    world = make_world([endpoint('a"b\\c')])
    world.observe('a"b\\c', "uudddd")
    world.probed('a"b\\c', evidence('a"b\\c'))
    seen = await scraped(world.metrics())
    assert seen.of("monitor_endpoint_state", endpoint='a"b\\c')


# -- formats -------------------------------------------------------------------------------------


async def test_both_formats_say_the_same(world: World) -> None:
    """OpenMetrics and the older text hold equal samples; the library's strict parser reads both."""
    metrics = world.metrics()
    text = body(await metrics.render("", "gzip"))
    rendered = await metrics.render(OPENMETRICS)
    assert rendered.headers["Content-Type"].startswith("application/openmetrics-text")
    modern = body(rendered)
    assert modern.endswith("# EOF\n")
    assert modern.count("# EOF") == 1

    def ours(seen: Samples) -> dict[object, float]:
        return {key: value for key, value in seen.values.items() if key[0].startswith("monitor_")}

    old, new = Samples(families(text)), Samples(families(modern, openmetrics=True))
    assert ours(old) == ours(new)


async def test_requests_at_the_same_time_share_one_rendering(world: World) -> None:
    """Those who ask while an answer is prepared get that answer; who comes later a new one."""
    metrics = world.metrics()
    one, other, zipped = await asyncio.gather(
        metrics.render(), metrics.render(), metrics.render("", "gzip")
    )
    assert one is other
    assert body(zipped).count("\n") == body(one).count("\n")
    assert await metrics.render() is not one
    await metrics.close()


async def test_one_who_gives_up_takes_nothing_from_the_others() -> None:
    """A cancelled wait leaves the shared work going; a failure reaches all, and is not kept."""
    flights: Flights[str, int] = Flights()
    gate = asyncio.Event()

    async def work() -> int:
        await gate.wait()
        raise ValueError("no")

    first = asyncio.create_task(flights.join("k", work))
    second = asyncio.create_task(flights.join("k", work))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(ValueError, match="no"):
        await second

    async def answer() -> int:
        return 7

    assert await flights.join("k", answer) == 7


async def test_closing_gives_up_what_is_under_way(world: World) -> None:
    """Who still waits for an answer when the server stops is not kept waiting."""
    metrics = world.metrics()
    waiting = asyncio.create_task(metrics.render())
    await asyncio.sleep(0)
    await metrics.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_promtool_finds_nothing_wrong(world: World) -> None:
    """`promtool check metrics` passes on the real text."""
    need("promtool")
    text = body(await world.metrics().render())
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs here
        [str(find("promtool")), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# -- the list ------------------------------------------------------------------------------------


async def test_what_is_told_is_what_is_listed(world: World) -> None:
    """Every metric of ours that is told is in the catalogue with its kind, labels and help."""
    listed = {family.name.removesuffix("_total"): family for family in CATALOGUE}
    assert len(listed) == len(CATALOGUE)
    world.learn("declaration", START, id="D-1", kind="maps", notified_at="2026-11-01T09:00:00Z",
                start="2026-11-02T00:05:00Z", end="2026-11-02T09:00:00Z", reason="r",
                author="o")  # fmt: skip
    world.learn("declaration", START, id="D-2", kind="planned", notified_at="2026-11-01T09:00:00Z",
                start="2026-11-02T00:05:00Z", end="2026-11-02T09:00:00Z", reason="r",
                author="o")  # fmt: skip
    told = {
        metric.name: metric
        for metric in families(body(await world.metrics().render()))
        if metric.name.startswith("monitor_")
    }
    assert told.keys() == listed.keys()
    for name, metric in told.items():
        family = listed[name]
        assert (metric.type, metric.documentation) == (family.kind, family.help)
        for sample in metric.samples:
            assert set(sample.labels) - {"le"} <= set(family.labels)


def test_the_reference_lists_every_metric() -> None:
    """The table in docs/reference/metrics.md equals the program's own list."""
    rows = re.findall(
        r"^\| `(monitor_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", DOCUMENT.read_text(), re.M
    )
    assert rows == [
        (
            family.name,
            family.kind,
            ", ".join(f"`{name}`" for name in family.labels) or "none",
            family.help,
        )
        for family in sorted(CATALOGUE, key=lambda family: family.name)
    ]


# -- many ----------------------------------------------------------------------------------------


async def test_ten_thousand_endpoints_are_told_whole_and_in_slices() -> None:
    """Every endpoint has its series, and the event loop had its turn hundreds of times."""
    world = make_world([endpoint(f"e{n}", connected_from=date(2026, 11, 1)) for n in range(10_000)])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    seen = await world.metrics().render("", "gzip")
    task.cancel()
    lines = body(seen).splitlines()
    assert sum(line.startswith("monitor_endpoint_state{") for line in lines) == 40_000
    assert sum(line.startswith("monitor_slo_verdict{") for line in lines) == 50_000
    assert turns > 100
