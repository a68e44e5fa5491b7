"""Whole days on a clock that is stepped by hand: what an operator would have been told, and owes."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from monitor.core.endpoint import Endpoint, Service
from monitor.core.interval import Interval
from monitor.core.verdict import Evidence, Reason
from monitor.cycle import Cycle, Policy
from monitor.pacer import Pacer
from monitor.recovery import load_book
from monitor.snapshot import Document, replay_document
from tests.core.builders import (
    DAY,
    GUID,
    HOUR,
    MINUTE,
    OTHER,
    SECOND,
    assertion,
    at,
    cadence,
    declaration,
    endpoint,
    fact,
    holdername,
)
from tests.fakes import (
    START,
    FakeClock,
    LoopClock,
    MemoryStore,
    NullTelemetry,
    ScriptedProber,
    in_no_time,
)
from tests.rig import Rig, settings_of

CALM = cadence(interval=MINUTE, gap_after=150 * SECOND)


def house() -> list[Endpoint]:
    """Find, View and PAT refresh of one organisation, on one host."""
    return [
        endpoint("find", Service.FIND, cadence=CALM, url="https://dash.example/find"),
        endpoint("view", Service.VIEW, cadence=CALM, url="https://dash.example/view"),
        endpoint("pat", Service.PAT_REFRESH, cadence=CALM, url="https://dash.example/pat"),
    ]


async def day_of(start: datetime) -> Rig:
    conf = settings_of(house(), [holdername(GUID, "find", "view", "pat")])
    return await Rig(conf, clock=FakeClock(start)).start()


async def until(rig: Rig, when: str, *failing: str, letter: str = "d") -> None:
    """Every endpoint is probed once a minute until an instant; those named fail."""
    end = at(when)
    while rig.clock.now() < end:
        answers = {name: letter if name in failing else "u" for name in ("find", "view", "pat")}
        await rig.watch(step=MINUTE, **answers)


def month_of(rig: Rig, name: str) -> Document:
    """The running month of an endpoint."""
    rows: list[Document] = rig.document()["months"]
    return next(row for row in rows[::-1] if row["series"] == {"endpoint": name})


def by_class(rig: Rig, name: str) -> dict[str, float]:
    row = month_of(rig, name)
    found = {cls: lost for cls, lost in row["by_class"].items() if lost}
    assert sum(found.values()) == row["unavailable_s"]
    states = ("up_s", "impaired_s", "down_s", "unconfirmed_s", "unknown_s")
    assert sum(row[state] for state in states) == row["eligible_s"]
    return found


async def test_a_quiet_day_says_nothing() -> None:
    """All answer all day: no event, and all that was watched is up."""
    rig = await day_of(at("2026-06-10T00:00"))
    await until(rig, "2026-06-11T00:00")
    assert rig.told() == []
    row = rig.document()["months"][-1]
    assert row["up_s"] == 86400
    assert rig.changes == 1  # the configuration


async def test_a_night_of_planned_work_that_overruns() -> None:
    """Told in time, it is declared to the window's end and an incident from there, with its duties."""
    rig = await day_of(at("2026-06-15T20:00"))
    window = Interval(at("2026-06-15T23:00"), at("2026-06-16T01:00"))
    told = at("2026-06-01T09:00")
    await rig.learn(declaration(told, window, endpoints=["view"]))
    await until(rig, "2026-06-15T23:10")
    await until(rig, "2026-06-16T01:45", "view")
    await until(rig, "2026-06-16T04:00")
    assert by_class(rig, "view") == {"declared": 110 * 60, "overrun": 45 * 60}
    (record,) = rig.book.records.values()
    assert record.view.started_at == at("2026-06-16T01:00")
    assert record.view.restored_at == at("2026-06-16T01:45")
    assert rig.steps() == ["incident.opened", "incident.restored"]
    assert [kind for kind in rig.told() if kind.startswith("downtime")] == [
        "downtime.upcoming",
        "downtime.started",
        "downtime.ended",
        "downtime.overrun",
        "downtime.completion_due",
    ]


async def test_a_day_with_a_storm_a_restart_and_the_paperwork() -> None:
    """The whole host fails for three hours, the daemon is begun again in between, people close it."""
    rig = await day_of(at("2026-06-10T06:00"))
    await until(rig, "2026-06-10T08:00")
    await until(rig, "2026-06-10T09:30", "find", "view", "pat")
    rig = await rig.restart()
    await until(rig, "2026-06-10T11:00", "find", "view", "pat")
    await until(rig, "2026-06-10T11:30")
    now = rig.clock.now()
    author = {"id": "I-1", "author": "ops"}
    await rig.learn(fact("incident.acknowledged", now, **author))
    await rig.learn(fact("incident.reported", now, ticket="T-1", reported_at=now, **author))
    await rig.learn(fact("incident.updated", now, text="disk", cause="disk full", **author))
    await rig.learn(fact("incident.attested", now, **author))
    await rig.learn(fact("incident.closed", now, **author))
    await until(rig, "2026-06-10T15:00")
    assert rig.steps() == [
        "incident.opened",
        "incident.restoration_at_risk",
        "incident.restoration_at_risk",
        "incident.restoration_breached",
        "incident.restored",
        "incident.updated",
        "incident.closed",
    ]
    (record,) = rig.book.records.values()
    assert record.view.endpoints == ("find", "pat", "view")
    assert record.view.holdernames == (GUID,)
    assert (record.view.started_at, record.view.restored_at) == (
        at("2026-06-10T08:00"),
        at("2026-06-10T11:00"),
    )
    assert len(rig.told("incident.report_due")) == 4
    assert by_class(rig, "find") == {"undeclared": 3 * 3600}


async def test_the_night_the_clocks_go_back() -> None:
    """An outage through the hour that comes twice lasts as long as it lasted."""
    rig = await day_of(at("2026-10-24T22:00"))
    await until(rig, "2026-10-25T00:30")
    await until(rig, "2026-10-25T02:30", "view")
    await until(rig, "2026-10-25T04:00")
    assert by_class(rig, "view") == {"undeclared": 7200}
    row = next(r for r in rig.document()["months"] if r["month"] == "2026-10")
    assert row["budget_s"] == 745 * 18


async def test_an_outage_across_the_end_of_a_month_is_split_at_uk_midnight() -> None:
    """The end of June is 23:00 UTC: each month has its part, and the outage is one."""
    rig = await day_of(at("2026-06-30T20:00"))
    await until(rig, "2026-06-30T22:00")
    await until(rig, "2026-07-01T00:00", "view")
    await until(rig, "2026-07-01T00:30")
    rows = {
        row["month"]: row["unavailable_s"]
        for row in rig.document()["months"]
        if row["series"] == {"endpoint": "view"}
    }
    assert (rows["2026-06"], rows["2026-07"]) == (3600, 3600)
    assert len([row for row in rig.outages() if "endpoint" in row["series"]]) == 1
    assert rig.steps().count("incident.opened") == 1


async def test_an_hour_in_which_the_store_could_not_be_written() -> None:
    """The disk was full while View failed: afterwards all is dated as it was seen."""
    rig = await day_of(at("2026-06-10T08:00"))
    await until(rig, "2026-06-10T09:00")
    rig.memory.broken = True
    await until(rig, "2026-06-10T09:20")
    await until(rig, "2026-06-10T09:40", "view")
    await until(rig, "2026-06-10T10:00")
    assert rig.told() == []
    rig.memory.broken = False
    await until(rig, "2026-06-10T11:00")
    assert by_class(rig, "view") == {"undeclared": 1200}
    assert month_of(rig, "view")["up_s"] == 3 * 3600 - 1200
    assert month_of(rig, "find")["up_s"] == 3 * 3600
    assert rig.steps() == ["incident.opened", "incident.restored"]
    assert len(rig.told("monitor.local_fault")) == 1


async def test_a_back_end_asserted_down_for_some() -> None:
    """What no probe sees counts for the holdernames named, and its incident ends with it."""
    conf = settings_of(
        [endpoint("view", cadence=CALM)], [holdername(GUID, "view"), holdername(OTHER, "view")]
    )
    rig = await Rig(conf).start()
    await rig.watch(step=MINUTE, view="u" * 60)
    now = rig.clock.now()
    await rig.learn(assertion(now, now - 30 * MINUTE, None, holdernames=[OTHER]))
    await rig.watch(step=MINUTE, view="u" * 60)
    end = rig.clock.now()
    await rig.learn(assertion(end, now - 30 * MINUTE, end, holdernames=[OTHER]))
    await rig.watch(step=MINUTE, view="u" * 60)
    rows = {
        row["series"].get("holdername", "endpoint"): row["unavailable_s"]
        for row in rig.document()["months"]
        if row["month"] == "2026-03"
    }
    assert rows == {"endpoint": 0, GUID: 0, OTHER: 90 * 60}
    assert rig.steps() == ["incident.opened", "incident.restoration_at_risk", "incident.restored"]


async def test_a_flapping_endpoint_is_one_incident() -> None:
    """Down for five minutes in every ten, it re-opens its incident and opens no other."""
    rig = await Rig(settings_of([endpoint("view", cadence=CALM)])).start()
    await rig.watch(step=MINUTE, view=("ddddduuuuu" * 12) + "u" * 30)
    assert rig.steps().count("incident.opened") == 1
    assert rig.steps().count("incident.reopened") == 11
    assert rig.steps().count("incident.restored") == 12
    assert len(rig.incidents()) == 1


async def test_a_budget_is_spent_and_the_month_is_missed() -> None:
    """Four hours in June spend 3 h 36 min: told when it happens, and the month says missed."""
    rig = await day_of(at("2026-06-10T00:00"))
    await until(rig, "2026-06-10T04:00", "view", letter="i")
    await until(rig, "2026-06-10T05:00")
    (event,) = rig.events("slo.budget_exhausted")
    assert at("2026-06-10T03:36") < event.at < at("2026-06-10T03:38")
    row = month_of(rig, "view")
    assert (row["impaired_s"], row["remaining_s"], row["verdict"]) == (14400, -1440, "missed")


# The pacer, the cycle and their clock together


@pytest.mark.parametrize("restarts", [0, 3])
def test_a_day_of_the_pacer_and_the_cycle(restarts: int) -> None:
    """Paced, hurried and judged: the outage is found in seconds, and dated from its first failure."""

    async def work() -> None:
        store, clock = MemoryStore(), LoopClock()
        for _ in range(restarts + 1):
            await _part_of_a_day(store, clock, 2 * HOUR / (restarts + 1))
        conf = settings_of(house())
        now = clock.now()
        found = replay_document(load_book(conf, store).book, now)
        (outage,) = found["outages"]
        assert outage["series"] == {"endpoint": "view"}
        opened = [one for _, one in store.facts() if one.type == "incident.opened"]
        detected = datetime.fromisoformat(opened[0].body["detected_at"])
        start = datetime.fromisoformat(outage["start"])
        assert start >= START + HOUR
        assert start - (START + HOUR) < MINUTE
        assert detected - start == pytest.approx(10 * SECOND, abs=SECOND)
        end = datetime.fromisoformat(outage["end"])
        assert timedelta() < end - (START + HOUR + 30 * MINUTE) < MINUTE + SECOND
        assert len(opened) == 1

    in_no_time(work())


async def _part_of_a_day(store: MemoryStore, clock: LoopClock, length: timedelta) -> None:
    """One run of the daemon's middle; View fails from 10:00 to 10:30."""
    telemetry, prober = NullTelemetry(), ScriptedProber(clock)
    conf = settings_of(house())
    book = load_book(conf, store).book
    cycle = Cycle(book, store, clock, telemetry, Policy())

    async def deliver(known: Endpoint, evidence: Evidence) -> None:
        down = START + HOUR <= evidence.at < START + HOUR + 30 * MINUTE
        if known.id == "view" and down:
            evidence = Evidence("view", evidence.at, 0.1, failure=Reason.CONNECT_RESET)
        await cycle.take([(known, evidence)])

    pacer = Pacer(prober, clock, telemetry, deliver, most=10, most_per_host=10)
    cycle.hurry = pacer.hurry
    pacer.set_endpoints(conf.endpoints)
    task = asyncio.create_task(pacer.run())
    end = clock.monotonic() + length.total_seconds()
    while clock.monotonic() < end:
        await asyncio.sleep(1)
        await cycle.sweep()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await cycle.flush()
    assert telemetry.outcomes("missed") == 0


async def test_observations_dated_before_what_is_known_are_not_kept() -> None:
    """On a clock set back a day nothing is taken back, and the store derives what is known."""
    rig = await day_of(at("2026-06-10T08:00"))
    await until(rig, "2026-06-10T09:00", "view")
    now, before = rig.clock.now(), rig.document()
    kept = list(rig.memory.iter_observations())
    rig.clock.set(now - DAY)
    await rig.watch(step=MINUTE, view="uuuu", find="uuuu", pat="uuuu")
    assert list(rig.memory.iter_observations()) == kept
    assert rig.document(now) == before
    again = await rig.restart()
    assert again.document(now) == before
