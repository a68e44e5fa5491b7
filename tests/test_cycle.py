"""The cycle: judged, recorded and correlated in one change, told once, and never half done."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from monitor.core.endpoint import Endpoint
from monitor.core.fact import Fact
from monitor.core.incident import IncidentState
from monitor.core.interval import Interval
from monitor.core.rules import LateRecords
from monitor.core.timeline import Phase
from monitor.core.verdict import Evidence, Observation, Reason, Result
from monitor.errors import StoreUnwritable, UnknownName
from monitor.ports import Change
from tests.core.builders import (
    DAY,
    GUID,
    HOUR,
    MINUTE,
    SECOND,
    assertion,
    cadence,
    declaration,
    endpoint,
    fact,
    holdername,
    rules,
)
from tests.fakes import START, MemoryStore
from tests.rig import STEP, Rig, settings_of

NOTIFIED = START - 30 * DAY


@pytest.fixture
async def rig() -> Rig:
    return await Rig().start()


class HeldStore(MemoryStore):
    """Commits when it is let to, whoever still waits for it; refuses after so many commits."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.left: int | None = None

    async def commit(self, change: Change) -> None:
        await asyncio.shield(asyncio.ensure_future(self._keep(change)))

    async def _keep(self, change: Change) -> None:
        await self.gate.wait()
        if self.left is not None:
            self.broken = self.left <= 0
            self.left -= 1
        await super().commit(change)


def planned(start: timedelta, end: timedelta, **body: object) -> Fact:
    """A window told to MaPS a month before, from so long after START on."""
    return declaration(NOTIFIED, Interval(START + start, START + end), **body)


def local_faults(rig: Rig) -> list[str]:
    return [str(event.data["reason"]) for event in rig.events("monitor.local_fault")]


# Durable first


async def test_an_observation_is_visible_only_once_durable() -> None:
    """While the store has not answered, the Book knows nothing of what was seen."""
    store = HeldStore()
    rig = await Rig(store=store).start()
    store.gate.clear()
    task = asyncio.create_task(rig.see(view="u"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert rig.book.track("view").last is None
    store.gate.set()
    await task
    assert rig.book.track("view").last == Observation("view", START, Result.UP, Reason.OK)


async def test_a_fact_is_visible_only_once_durable() -> None:
    """A declaration on its way to the disk covers nothing yet."""
    store = HeldStore()
    rig = await Rig(store=store).start()
    store.gate.clear()
    task = asyncio.create_task(rig.learn(planned(HOUR, 2 * HOUR)))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not rig.book.calendar.declarations
    store.gate.set()
    await task
    assert set(rig.book.calendar.declarations) == {"D-1"}


async def test_a_fact_that_cannot_be_stored_is_refused(rig: Rig) -> None:
    """Whoever records it is told, and nothing has changed."""
    rig.memory.broken = True
    with pytest.raises(StoreUnwritable):
        await rig.learn(planned(HOUR, 2 * HOUR))
    assert not rig.book.calendar.declarations
    rig.memory.broken = False
    await rig.learn(planned(HOUR, 2 * HOUR))
    assert set(rig.book.calendar.declarations) == {"D-1"}


async def test_a_wrong_request_changes_nothing(rig: Rig) -> None:
    """Of two facts of which the second is wrong, neither is learned or stored."""
    before, changes = len(rig.memory.changes), rig.changes
    with pytest.raises(UnknownName, match="D-9"):
        await rig.learn(planned(HOUR, 2 * HOUR), fact("cancellation", START, id="D-9"))
    assert not rig.book.calendar.declarations
    assert (len(rig.memory.changes), rig.changes) == (before, changes)


async def test_a_cancelled_write_is_waited_out() -> None:
    """Cancelled while the store works, the cycle still knows what the store then kept."""
    store = HeldStore()
    rig = await Rig(store=store).start()
    await rig.watch(view="u")
    store.gate.clear()
    task = asyncio.create_task(rig.see(view="u"))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0.01)
    store.gate.set()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    await rig.cycle.flush()
    assert len(list(store.spans())) == 1
    assert [change for change in store.changes if change.samples][-1].samples[0].status == 400


# A store that refuses


async def test_what_was_seen_while_the_store_refused_is_written_later_in_order(rig: Rig) -> None:
    """Observations wait, the Book stands still, and all is as if the store had never failed."""
    await rig.watch(view="uu")
    rig.memory.broken = True
    await rig.watch(view="uddddd")
    assert rig.book.track("view").phase is Phase.STEADY
    assert rig.cycle.store_failing_since is not None
    rig.memory.broken = False
    await rig.cycle.sweep()
    assert rig.book.track("view").phase is Phase.OUTAGE
    kept = [sample.observation.at for sample in rig.memory.iter_observations()]
    assert kept == [START + n * STEP for n in range(8)]
    assert rig.outages()[0]["start"] == "2026-03-02T09:01:30Z"
    assert rig.cycle.store_failing_since is None


async def test_a_store_that_refused_is_told_once(rig: Rig) -> None:
    """One `monitor.local_fault` says since when; telemetry knows how many observations wait."""
    rig.memory.broken = True
    await rig.watch(view="uuu")
    assert rig.telemetry.store[-1] == (True, 3, 0)
    assert not rig.told()
    rig.memory.broken = False
    await rig.cycle.sweep()
    assert rig.telemetry.store[-1] == (False, 0, 0)
    await rig.watch(view="uuu")
    (event,) = rig.events("monitor.local_fault")
    assert event.data == {
        "reason": "local_store",
        "since": "2026-03-02T09:00:00.200000Z",
        "lost": 0,
    }
    assert rig.book.track("view").phase is Phase.STEADY


async def test_a_full_spool_loses_the_oldest_and_counts_them(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond its bound the spool forgets what is oldest, and the number lost is told."""
    monkeypatch.setattr("monitor.cycle.SPOOL", 4)
    rig.memory.broken = True
    await rig.watch(view="uuuuuuu")
    assert rig.telemetry.store[-1] == (True, 4, 3)
    rig.memory.broken = False
    await rig.cycle.sweep()
    kept = [sample.observation.at for sample in rig.memory.iter_observations()]
    assert kept == [START + n * STEP for n in (3, 4, 5, 6)]
    (event,) = rig.events("monitor.local_fault")
    assert event.data["lost"] == 3


async def test_a_spool_is_written_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that refuses again half-way keeps what it took; the rest follows, and is told once."""
    monkeypatch.setattr("monitor.cycle.BATCH", 3)
    store = HeldStore()
    rig = await Rig(store=store).start()
    store.broken = True
    await rig.watch(view="uuudddduuu")
    store.left = 2
    await rig.cycle.sweep()
    assert [len(change.samples) for change in store.changes][-2:] == [3, 3]
    assert rig.telemetry.store[-1] == (True, 4, 0)
    assert rig.book.track("view").phase is Phase.OUTAGE
    assert not local_faults(rig)
    store.left, store.broken = None, False
    await rig.cycle.sweep()
    assert local_faults(rig) == ["local_store"]
    assert [row["end"] for row in rig.outages()] == ["2026-03-02T09:03:30Z"]


async def test_a_finding_made_while_the_store_refused_is_told_later(rig: Rig) -> None:
    """A security finding outlives a store that fails."""
    rig.memory.broken = True
    await rig.watch(view="auu")
    rig.memory.broken = False
    await rig.cycle.sweep()
    assert rig.told("security.finding") == ["security.finding"]


async def test_time_that_passed_while_the_store_refused_is_caught_up_with(rig: Rig) -> None:
    """A window that began meanwhile is told once the store can be written."""
    await rig.learn(planned(10 * MINUTE, 2 * HOUR))
    await rig.cycle.sweep()
    rig.memory.broken = True
    await rig.idle(30 * MINUTE)
    assert rig.cycle.store_failing_since is not None
    rig.memory.broken = False
    await rig.idle(MINUTE)
    assert rig.told("downtime.started") == ["downtime.started"]
    assert rig.cycle.store_failing_since is None


# Incidents


async def test_an_incident_opens_and_ends_in_the_change_that_showed_it(rig: Rig) -> None:
    """Observation, outage, incident and event are one transaction, at every step."""
    await rig.watch(view="uudddduud" + "dd")
    by_type: dict[str, Change] = {}
    for change in rig.memory.changes:
        for event in change.events:
            by_type.setdefault(event.type, change)
    opened, restored = by_type["incident.opened"], by_type["incident.restored"]
    reopened = by_type["incident.reopened"]
    assert [sample.observation.at for sample in opened.samples] == [START + 4 * STEP]
    assert [row.start for row in opened.outages] == [START + 2 * STEP]
    assert [one.type for one in opened.facts] == ["incident.opened"]
    assert [sample.observation.at for sample in restored.samples] == [START + 7 * STEP]
    assert [row.end for row in restored.outages] == [START + 6 * STEP]
    assert [sample.observation.at for sample in reopened.samples] == [START + 10 * STEP]
    assert opened.receivers == ("ops",)
    assert len(rig.incidents()) == 1


async def test_a_blip_is_nobodys_incident(rig: Rig) -> None:
    """Two failures and a good answer open nothing."""
    await rig.watch(view="uudduudduu")
    assert not rig.told("incident")


async def test_a_host_that_fails_is_one_incident_and_few_messages() -> None:
    """500 endpoints of one host: one opening, one restoration, and few changes in between."""
    names = [f"e{number:03d}" for number in range(500)]
    rig = await Rig(settings_of([endpoint(name, group="dc") for name in names])).start()
    for letter in "uddduu":
        begun = rig.clock.now()
        for first in range(0, 500, 25):  # they are probed one after another
            await rig.see(**dict.fromkeys(names[first : first + 25], letter))
            await rig.cycle.sweep()
        rig.clock.forward(begun + STEP - rig.clock.now())
    await rig.idle(3 * MINUTE)
    told = rig.steps()
    assert told.count("incident.opened") == told.count("incident.restored") == 1
    assert told.count("incident.updated") <= 3
    (record,) = rig.book.records.values()
    assert len(record.view.endpoints) == 500
    assert record.announced is IncidentState.RESTORED
    assert [fact.body["id"] for fact in rig.facts("incident.opened")] == ["I-1"]


async def test_a_change_withheld_before_a_restart_is_told_after_it() -> None:
    """What merely grew an incident, and waited, is not lost when the daemon ends."""
    settings = settings_of([endpoint("a"), endpoint("b")])
    rig = await Rig(settings).start()
    await rig.watch(a="uudd", b="uuud")
    await rig.see(a="d", b="d")
    await rig.see(b="d")
    assert rig.book.records["I-1"].view.endpoints == ("a",)
    again = await rig.restart()
    await again.idle(2 * MINUTE, every=10 * SECOND)
    assert again.book.records["I-1"].view.endpoints == ("a", "b")
    assert again.told("incident.updated") == ["incident.updated"]


async def test_restoration_at_risk_and_breached_are_told_once(rig: Rig) -> None:
    """At 60 and 90 minutes it is at risk, after two hours breached; a restart repeats nothing."""
    await rig.watch(view="uudd" + "d" * 130)
    rig = await rig.restart()
    await rig.watch(view="d" * 130)
    rig = await rig.restart()
    await rig.watch(view="d" * 30)
    marks = [event.data["step"]["after_s"] for event in rig.events("incident.restoration_at_risk")]
    assert marks == [3600, 5400]
    assert rig.told("incident.restoration_breached") == ["incident.restoration_breached"]
    (breached,) = rig.facts("incident.breached")
    assert breached.body["deadline"] == "2026-03-02T11:01:00Z"


async def test_a_report_is_asked_for_until_it_is_made(rig: Rig) -> None:
    """Due within a minute of opening and then every hour, until a ticket is recorded."""
    await rig.watch(view="uuddd" + "d" * 4)
    assert rig.told("incident.report_due") == ["incident.report_due"]
    await rig.watch(view="d" * 240)
    rig = await rig.restart()
    await rig.watch(view="d" * 10)
    assert len(rig.told("incident.report_due")) == 3
    body = {"id": "I-1", "ticket": "T-1", "author": "ops", "reported_at": rig.clock.now()}
    await rig.learn(fact("incident.reported", rig.clock.now(), **body))
    await rig.watch(view="d" * 240)
    assert len(rig.told("incident.report_due")) == 3


async def test_an_update_that_was_promised_is_asked_for(rig: Rig) -> None:
    """Due once its time has passed and then every hour, also after a restart, until more is told."""
    await rig.watch(view="uuddd" + "d" * 4)
    now = rig.clock.now()
    promise = {"id": "I-1", "author": "ops", "next_update_at": now + timedelta(minutes=30)}
    await rig.learn(fact("incident.updated", now, **promise))
    await rig.watch(view="d" * 50)
    assert rig.told("incident.update_due") == []
    await rig.watch(view="d" * 140)
    rig = await rig.restart()
    await rig.watch(view="d" * 10)
    assert len(rig.told("incident.update_due")) == 2
    note = {"id": "I-1", "author": "ops", "text": "a new disk is on its way"}
    await rig.learn(fact("incident.updated", rig.clock.now(), **note))
    await rig.watch(view="d" * 140)
    assert len(rig.told("incident.update_due")) == 2


async def test_an_asserted_outage_is_an_incident_of_its_own() -> None:
    """What no probe can see opens an incident when it is asserted and ends it when it ends."""
    rig = await Rig(settings_of([endpoint()], [holdername(GUID, "view")])).start()
    await rig.watch(view="uuuu")
    now = rig.clock.now()
    await rig.learn(assertion(now, now - MINUTE, None))
    assert rig.steps() == ["incident.opened"]
    assert rig.book.records["I-1"].view.holdernames == (GUID,)
    await rig.watch(view="uuuu")
    await rig.learn(assertion(rig.clock.now(), now - MINUTE, rig.clock.now() - SECOND))
    assert rig.steps() == ["incident.opened", "incident.restored"]


# Declared downtime


async def test_an_overrun_opens_an_incident_by_time_alone(rig: Rig) -> None:
    """At the window's end the sweep opens the incident, without any new observation."""
    await rig.learn(planned(2 * MINUTE, 12 * MINUTE))
    await rig.watch(view="uuuu" + "d" * 20)
    assert not rig.told("incident")
    assert rig.clock.now() == START + 12 * MINUTE
    await rig.cycle.sweep()
    assert not rig.told("incident")
    rig.clock.forward(SECOND)
    await rig.cycle.sweep()
    assert rig.steps() == ["incident.opened"]
    (record,) = rig.book.records.values()
    assert record.view.started_at == START + 12 * MINUTE
    assert record.view.declaration == "D-1"
    assert rig.told("downtime.overrun") == ["downtime.overrun"]
    assert not rig.memory.changes[-1].samples


async def test_a_late_declaration_excuses_nothing_past(rig: Rig) -> None:
    """Entered during an outage, it covers what comes after it and leaves the incident open."""
    await rig.watch(view="uu" + "d" * 10)
    now = rig.clock.now()
    window = Interval(START, START + HOUR)
    await rig.learn(declaration(now, window, notified_at=NOTIFIED, ticket="T-1"))
    await rig.watch(view="d" * 10)
    (outage,) = rig.outages()
    assert [part["class"] for part in outage["parts"]] == ["undeclared", "declared"]
    assert outage["parts"][1]["start"] == "2026-03-02T09:06:00Z"
    (record,) = rig.book.records.values()
    assert record.standing
    assert record.state is IncidentState.OPEN


async def test_a_late_record_that_is_accepted_takes_the_incident_back() -> None:
    """With `late_records: accept` and a ticket, what it excuses needs no incident any more."""
    rig = await Rig(settings_of(rules=rules(late_records=LateRecords.ACCEPT))).start()
    await rig.watch(view="uu" + "d" * 10)
    assert rig.steps() == ["incident.opened"]
    window = Interval(START, START + HOUR)
    await rig.learn(declaration(rig.clock.now(), window, notified_at=NOTIFIED, ticket="T-1"))
    (record,) = rig.book.records.values()
    assert record.voided is not None
    assert rig.incidents() == []


async def test_a_cancellation_during_an_outage_opens_an_incident(rig: Rig) -> None:
    """From the cancellation on nothing is covered, and the next sweep knows."""
    await rig.learn(planned(MINUTE, HOUR))
    await rig.watch(view="uuu" + "d" * 10)
    assert not rig.told("incident")
    await rig.learn(fact("cancellation", rig.clock.now(), id="D-1", author="ops"))
    rig.clock.forward(SECOND)
    await rig.cycle.sweep()
    assert rig.steps() == ["incident.opened"]


async def test_each_step_of_downtime_is_told_once(rig: Rig) -> None:
    """Upcoming, started, ended, overrun and completion due: once each, also across restarts."""
    await rig.learn(planned(2 * DAY, 2 * DAY + HOUR))
    kinds = ("upcoming", "started", "ended", "overrun", "completion_due")

    async def until(when: timedelta) -> list[str]:
        nonlocal rig
        await rig.idle(START + when - rig.clock.now(), every=5 * MINUTE)
        rig = await rig.restart()
        await rig.idle(2 * MINUTE)
        return [kind for kind in kinds if rig.told(f"downtime.{kind}")]

    assert await until(23 * HOUR) == []
    assert await until(25 * HOUR) == ["upcoming"]
    assert await until(2 * DAY + 5 * MINUTE) == ["upcoming", "started"]
    await rig.watch(view="d" * 120)
    assert await until(2 * DAY + 70 * MINUTE) == ["upcoming", "started", "ended", "overrun"]
    assert await until(2 * DAY + 4 * HOUR) == list(kinds)
    assert len(rig.told("downtime.")) == 5


# The budget


async def test_a_spent_budget_is_told_once_a_month(rig: Rig) -> None:
    """Past 3 h 42 min 54 s of March it is told once, whatever fails afterwards, also after a restart."""
    await rig.watch(view="uu" + "d" * 460, step=30 * SECOND)
    assert rig.told("slo.budget_exhausted") == ["slo.budget_exhausted"]
    (event,) = rig.events("slo.budget_exhausted")
    assert event.data["month"] == "2026-03"
    rig = await rig.restart()
    await rig.watch(view="uuddddddd")
    assert len(rig.told("slo.budget_exhausted")) == 1


async def test_a_budget_spent_just_before_the_end_of_an_outage_is_told(rig: Rig) -> None:
    """Between two looks the budget ran out and the outage ended: it is told all the same."""
    budget = timedelta(hours=743) * 5 / 1000
    count = int(budget / STEP)
    await rig.watch(view="uuu" + "d" * (count + 1) + "uu")
    await rig.idle(5 * MINUTE)
    assert rig.told("slo.budget_exhausted") == ["slo.budget_exhausted"]


async def test_a_fast_burn_is_told_once_an_outage(rig: Rig) -> None:
    """An hour's budget burning 14 times too fast calls for one notice for each rule."""
    await rig.watch(view="uu" + "d" * 120)
    assert [event.data["window_s"] for event in rig.events("slo.burn")] == [3600]


# Own faults


def on_hosts(*names: str) -> list[Endpoint]:
    return [endpoint(name) for name in names]


async def test_no_names_at_all_is_our_own_fault() -> None:
    """All endpoints on two hosts fail to resolve within an interval: unknown, told, no incident."""
    rig = await Rig(settings_of(on_hosts("a", "b"))).start()
    await rig.watch(a="uunnnnnuu", b="uunnnnnuu")
    assert not rig.told("incident")
    assert local_faults(rig) == ["local_dns"]
    assert rig.outages() == []
    row = rig.document()["months"][0]
    assert row["down_s"] == row["unconfirmed_s"] == 0
    assert {s.observation.result for s in rig.memory.iter_observations()} == {
        Result.UP,
        Result.LOCAL,
    }


async def test_one_name_that_does_not_resolve_is_theirs() -> None:
    """The others answer, so the fault is that endpoint's and an incident opens."""
    rig = await Rig(settings_of(on_hosts("a", "b"))).start()
    await rig.watch(a="uunnnnn", b="uuuuuuu")
    assert rig.steps() == ["incident.opened"]
    assert not rig.told("monitor.local_fault")
    (outage,) = rig.outages()
    assert outage["start"] == "2026-03-02T09:01:00Z"


async def test_some_names_that_fail_are_theirs_once_patience_ends() -> None:
    """Two of three fail and the third is not asked for long: as theirs, dated when they were seen."""
    slow = endpoint("c", cadence=cadence(interval=10 * MINUTE))
    rig = await Rig(settings_of([*on_hosts("a", "b"), slow])).start()
    await rig.watch(a="unnnnnnnn", b="unnnnnnnn", c="u")
    assert not rig.told("incident")
    await rig.watch(a="n" * 20, b="n" * 20)
    assert rig.steps()[0] == "incident.opened"
    assert rig.outages()[0]["start"] == "2026-03-02T09:00:30Z"


@pytest.mark.parametrize("alike", [True, False])
async def test_with_one_host_a_witness_settles_it(alike: bool) -> None:
    """The witness fails alike: ours. It does not: theirs."""
    rig = await Rig(witnesses=["live"]).start()
    await rig.watch(view="uun")
    assert rig.cycle.witness_wanted() == [("live", Reason.DNS)]
    await rig.cycle.testify("live", alike=alike)
    await rig.see(view="n")
    await rig.cycle.testify("live", alike=alike)
    found = {s.observation.result for s in rig.memory.iter_observations()}
    assert found == {Result.UP, Result.LOCAL if alike else Result.DOWN}
    assert local_faults(rig) == (["local_dns"] if alike else [])


async def test_with_one_host_and_no_witness_it_is_theirs() -> None:
    """Nothing to compare with: the failure counts as seen, at once."""
    rig = await Rig(settings_of([endpoint("a"), endpoint("b", url="https://a.example/y")])).start()
    await rig.watch(a="uunnn", b="uunnn")
    assert rig.cycle.witness_wanted() == []
    assert rig.steps() == ["incident.opened"]


async def test_a_local_fault_never_overtakes_what_is_compared() -> None:
    """What is stored in order of time is what the Book knows, though one observation waited."""
    rig = await Rig(settings_of(on_hosts("a", "b"))).start()
    await rig.watch(a="unlnnd", b="uu  uu")
    recovered = Rig(rig.settings, store=rig.store, clock=rig.clock)
    assert recovered.book.track("a") == rig.book.track("a")
    assert recovered.document() == rig.document()


async def test_testimony_about_an_identity_no_longer_used_is_nothing(rig: Rig) -> None:
    """A witness may answer after the configuration changed."""
    await rig.cycle.testify("former", alike=True)


async def test_local_faults_are_told_once_an_hour(rig: Rig) -> None:
    """An overload that lasts is told by the hour, not by the probe."""
    await rig.watch(view="l" * 150)
    assert local_faults(rig) == ["local_overload", "local_overload"]


async def test_an_answer_without_authorisation_is_a_finding_once_a_day(rig: Rig) -> None:
    """Data without a token is told once a day for each endpoint, and is no outage."""
    await rig.watch(view="a" * 10)
    rig = await rig.restart()
    await rig.watch(view="a" * 10)
    assert rig.told() == ["security.finding"]
    await rig.idle(DAY, every=HOUR)
    await rig.watch(view="a")
    assert len(rig.told("security.finding")) == 2
    assert rig.outages() == []


# Hurry


async def test_suspect_and_recovering_endpoints_are_hurried(rig: Rig) -> None:
    """An endpoint is asked again soon while a confirmation is pending, and only then."""
    for letter, hurried in zip("uddduuu", (0, 1, 1, 0, 1, 0, 0), strict=True):
        rig.hurried.clear()
        await rig.watch(view=letter)
        assert rig.hurried == ["view"] * hurried, letter


# Another configuration


async def test_another_configuration_keeps_everything(rig: Rig) -> None:
    """Outage, incident, declaration and notices go on under the new configuration."""
    await rig.learn(planned(5 * HOUR, 6 * HOUR))
    await rig.watch(view="uuddddd")
    before = rig.document()
    await rig.reconfigure(settings_of([endpoint(), endpoint("more")]))
    after = rig.document(datetime.fromisoformat(before["until"]))
    assert after["outages"] == before["outages"]
    assert after["incidents"] == before["incidents"]
    assert set(rig.book.calendar.declarations) == {"D-1"}
    told = rig.told()
    await rig.watch(view="ddd", more="uuu")
    assert rig.told() == told


async def test_another_cadence_holds_from_then_on(rig: Rig) -> None:
    """A gap is judged by the cadence in force when it began, also after a restart."""
    await rig.watch(view="uu")
    await rig.reconfigure(settings_of([endpoint(cadence=cadence(gap_after=10 * MINUTE))]))
    rig.clock.forward(5 * MINUTE)
    await rig.watch(view="uu", step=5 * MINUTE)
    row = rig.document()["months"][-1]
    assert row["up_s"] == 30 + 30 + 600
    again = Rig(rig.settings, store=rig.store, clock=rig.clock)
    assert again.document() == rig.document()


async def test_a_cadence_changed_between_two_runs_holds_from_the_second(rig: Rig) -> None:
    """The daemon was ended, the configuration edited: the new cadence counts from its start."""
    await rig.watch(view="uu")
    other = settings_of([endpoint(cadence=cadence(gap_after=10 * MINUTE))])
    rig = await rig.restart(other)
    rig.clock.forward(4 * MINUTE)
    await rig.watch(view="uu", step=5 * MINUTE)
    assert rig.document()["months"][-1]["up_s"] == 30 + 30 + 600
    again = await rig.restart()
    assert again.document() == rig.document()


async def test_an_endpoint_taken_out_takes_nothing_back() -> None:
    """Its incident stands, and the other endpoint's goes on as the same one."""
    both, one = settings_of([endpoint("a"), endpoint("b")]), settings_of([endpoint("a")])
    rig = await Rig(both).start()
    await rig.watch(a="uuddddd", b="uuddddd")
    await rig.reconfigure(one)
    await rig.watch(a="dddduuuu")
    assert rig.told("incident.opened") == ["incident.opened"]
    assert rig.told("incident.restored") == ["incident.restored"]
    (record,) = rig.book.records.values()
    assert record.standing
    assert record.view.endpoints == ("a", "b")
    assert not rig.told("incident.closed")


async def test_an_endpoint_that_returns_is_known_again() -> None:
    """Its past is there, its open outage goes on, and a restart agrees."""
    both, one = settings_of([endpoint("a"), endpoint("b")]), settings_of([endpoint("a")])
    rig = await Rig(both).start()
    await rig.watch(a="uuuuuu", b="uudddd")
    await rig.reconfigure(one)
    with pytest.raises(UnknownName):
        rig.book.track("b")
    await rig.watch(a="uuuu")
    rig = await rig.restart()
    await rig.reconfigure(both)
    await rig.watch(a="uuuu", b="dduu")
    (outage,) = rig.outages()
    assert (outage["start"], outage["end"]) == ("2026-03-02T09:01:00Z", "2026-03-02T09:06:00Z")
    again = await rig.restart()
    assert again.document() == rig.document()


async def test_a_probe_of_an_endpoint_taken_out_meanwhile_is_nothing(rig: Rig) -> None:
    """Its answer comes after the change, and is not recorded; nor is one of the spool."""
    gone = Evidence("view", rig.clock.now(), 0.2, status=400)
    rig.memory.broken = True
    await rig.watch(view="uu")
    rig.memory.broken = False
    other = settings_of([endpoint("other")])
    old = rig.settings.endpoints[0]
    await rig.cycle.take([(old, replace(gone, at=rig.clock.now()))])
    await rig.reconfigure(other)
    kept = len(list(rig.memory.iter_observations()))
    assert kept == 3
    await rig.cycle.take([(old, replace(gone, at=rig.clock.now()))])
    assert len(list(rig.memory.iter_observations())) == kept


async def test_a_probe_under_a_former_identity_is_judged_still(rig: Rig) -> None:
    """The endpoint changed its identity while it was probed; its answer counts."""
    old = rig.settings.endpoints[0]
    await rig.reconfigure(settings_of([replace(old, identity="renewed")]))
    rig.clock.forward(SECOND)
    evidence = Evidence("view", rig.clock.now(), 0.2, failure=Reason.CONNECT_REFUSED)
    await rig.cycle.take([(old, evidence)])
    assert rig.book.track("view").phase is Phase.SUSPECT


async def test_a_configuration_that_cannot_be_recorded_is_not_taken_over() -> None:
    """The old one stays whole, nothing held back is lost, and probing goes on."""
    rig = await Rig(settings_of(on_hosts("a", "b"))).start()
    await rig.watch(a="uu", b="uu")
    await rig.see(a="n")
    old = rig.book
    rig.memory.broken = True
    with pytest.raises(StoreUnwritable):
        await rig.reconfigure(settings_of([endpoint("a")]))
    assert rig.book is old
    rig.memory.broken = False
    await rig.watch(a="uu", b="uu")
    reasons = [s.observation.reason for s in rig.memory.observations("a", START, rig.clock.now())]
    assert reasons == [Reason.OK, Reason.OK, Reason.DNS, Reason.OK, Reason.OK]


async def test_a_configuration_refused_after_the_spool_was_written_changes_nothing() -> None:
    """The store takes what was seen and then refuses the change itself."""
    store = HeldStore()
    rig = await Rig(settings_of(on_hosts("a", "b")), store=store).start()
    await rig.watch(a="uu", b="uu")
    await rig.see(a="n")
    old = rig.book
    store.left = 1
    with pytest.raises(StoreUnwritable):
        await rig.reconfigure(settings_of([endpoint("a")]))
    store.left, store.broken = None, False
    assert rig.book is old
    assert old.track("a").phase is Phase.SUSPECT
    await rig.watch(a="nnn", b="nnn")
    await rig.watch(a="uu", b="uu")
    again = Rig(rig.settings, store=store, clock=rig.clock)
    assert again.document() == rig.document()


# An orderly end


async def test_an_orderly_end_records_what_was_held_back() -> None:
    """What still waited for a comparison is recorded as it was seen."""
    rig = await Rig(settings_of(on_hosts("a", "b"))).start()
    await rig.see(a="n")
    assert not list(rig.memory.iter_observations())
    await rig.cycle.flush()
    (sample,) = rig.memory.iter_observations()
    assert sample.observation.reason is Reason.DNS
    await rig.cycle.flush()
    assert len(list(rig.memory.iter_observations())) == 1


async def test_an_end_without_a_store_says_so(rig: Rig) -> None:
    """When the store refuses to the last, whoever ends the daemon is told."""
    rig.memory.broken = True
    await rig.see(view="u")
    with pytest.raises(StoreUnwritable):
        await rig.cycle.flush()
