"""Jobs of the wall clock: months sealed and restated, expiry told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.adapters.store import SqliteStore
from monitor.core.interval import Interval
from monitor.core.month import Month
from monitor.core.seal import seals_at
from monitor.core.verdict import CertificateFacts
from monitor.errors import StoreUnwritable, UsageError
from monitor.jobs import approve_restatement, expiry_notices, seal_months
from monitor.snapshot import slo_rows
from tests.core.builders import (
    DAY,
    GUID,
    HOUR,
    LONDON,
    MINUTE,
    after,
    assertion,
    at,
    declaration,
    endpoint,
    fact,
    holdername,
    rules,
)
from tests.fakes import START, FakeClock, MemoryStore
from tests.rig import Rig, settings_of

SERVED = settings_of([endpoint()], [holdername(GUID, "view")])
DIGEST = "f" * 64


async def sealed_march(store: MemoryStore | SqliteStore | None = None) -> Rig:
    """An outage of half an hour in March, and April 2026 so far that March has been sealed."""
    rig = await Rig(SERVED, store=store).start()
    await rig.watch(view="uu" + "d" * 60 + "uu")
    rig.clock.set(at("2026-04-11T00:30"))
    await seal_months(rig.cycle, DIGEST, rig.clock.now())
    return rig


# Sealing


async def test_a_month_is_sealed_five_working_days_after_its_end() -> None:
    """March 2026 at the end of 9 April UK time: Good Friday and Easter Monday do not count."""
    rig = await Rig(SERVED).start()
    due = at("2026-04-09T23:00")
    rig.clock.set(due - timedelta(microseconds=1))
    await seal_months(rig.cycle, DIGEST, rig.clock.now())
    assert [one.body["month"] for one in rig.facts("seal")] == ["2026-01", "2026-02"]
    rig.clock.set(due)
    (sealed,) = await seal_months(rig.cycle, DIGEST, due)
    assert sealed.body["month"] == "2026-03"
    assert seals_at(rig.book.months(rig.book.endpoint_series("view"), due)[2], rules()) == due


async def test_a_sealed_month_says_what_it_was_made_of() -> None:
    """Figures of every series, rules version and the configuration's digest."""
    rig = await sealed_march()
    march = next(one for one in rig.facts("seal") if one.body["month"] == "2026-03")
    assert (march.body["rules"], march.body["configuration"]) == (1, DIGEST)
    view, anna = march.body["rows"]
    assert view["series"] == {"endpoint": "view"}
    assert anna["series"] == {"holdername": GUID, "service": "view"}
    assert view["unavailable_s"] == anna["unavailable_s"] == 1800
    told = [event for event in rig.events("slo.month_sealed") if event.data["month"] == "2026-03"]
    assert [event.data["verdicts"] for event in told] == [{"indeterminate": 2}]


async def test_sealing_again_does_nothing() -> None:
    """However often the jobs run, at once or after a restart, a month is sealed once."""
    rig = await sealed_march()
    count = len(rig.facts("seal"))
    now = rig.clock.now()
    assert await seal_months(rig.cycle, DIGEST, now) == []
    rig = await rig.restart()
    assert await seal_months(rig.cycle, DIGEST, now + HOUR) == []
    assert len(rig.facts("seal")) == count


async def test_two_jobs_at_once_seal_once() -> None:
    """The hourly job and the one of the month's beginning may meet."""
    rig = await Rig(SERVED).start()
    rig.clock.set(at("2026-04-11T00:30"))
    now = rig.clock.now()
    await asyncio.gather(*(seal_months(rig.cycle, DIGEST, now) for _ in range(3)))
    assert len(rig.facts("seal")) == 3
    assert len(rig.told("slo.month_sealed")) == 3


async def test_a_month_that_cannot_be_recorded_stays_due() -> None:
    """The store refuses: nothing is sealed, and the next run seals."""
    rig = await Rig(SERVED).start()
    rig.clock.set(at("2026-04-11T00:30"))
    rig.memory.broken = True
    with pytest.raises(StoreUnwritable):
        await seal_months(rig.cycle, DIGEST, rig.clock.now())
    assert not rig.book.seals
    rig.memory.broken = False
    assert len(await seal_months(rig.cycle, DIGEST, rig.clock.now())) == 3


async def test_what_was_sealed_reads_the_same_from_the_file(tmp_path: Path) -> None:
    """Written to a real store and read again, the figures are equal and nothing is restated."""
    with SqliteStore.open(tmp_path / "m.db") as store:
        rig = await sealed_march(store)
        again = await rig.restart()
        assert await seal_months(again.cycle, DIGEST, rig.clock.now() + HOUR) == []
        assert again.book.seals == rig.book.seals


async def test_nothing_is_sealed_of_a_time_before_there_was_anything() -> None:
    """An endpoint connected in April has no March; nor has a test endpoint any month."""
    only = endpoint(connected_from=datetime(2026, 4, 1, tzinfo=UTC).date())
    rig = await Rig(settings_of([only])).start()
    rig.clock.set(at("2026-04-20T00:00"))
    assert await seal_months(rig.cycle, DIGEST, rig.clock.now()) == []


# Restating


async def test_a_later_assertion_restates_and_leaves_the_original() -> None:
    """Number, reason and the rows that changed stand beside what was sealed."""
    rig = await sealed_march()
    original = next(one for one in rig.facts("seal") if one.body["month"] == "2026-03")
    now = rig.clock.now() + HOUR
    rig.clock.set(now)
    await rig.learn(assertion(now, after(hours=10), after(hours=12)))
    (restated,) = await seal_months(rig.cycle, DIGEST, now + MINUTE)
    assert restated.type == "restatement"
    assert restated.body["number"] == 1
    assert restated.body["reason"] == "learned since it was sealed: A-1"
    (change,) = restated.body["changes"]
    assert change["was"]["series"] == {"holdername": GUID, "service": "view"}
    assert (change["was"]["unavailable_s"], change["now"]["unavailable_s"]) == (1800, 9000)
    assert original in rig.facts("seal")
    assert original.body["rows"][1]["unavailable_s"] == 1800
    event = rig.events("slo.month_sealed")[-1]
    assert (event.data["restatement"], event.data["month"]) == (1, "2026-03")


async def withdrawn_again() -> tuple[Rig, datetime]:
    """Sealed March, restated for the worse by an assertion that is then withdrawn."""
    rig = await sealed_march()
    now = rig.clock.now() + HOUR
    rig.clock.set(now)
    await rig.learn(assertion(now, after(hours=10), after(hours=12)))
    await seal_months(rig.cycle, DIGEST, now)
    assert await seal_months(rig.cycle, DIGEST, now + MINUTE) == []
    await rig.learn(fact("withdrawal", now + HOUR, id="A-1", author="alice"))
    rig = await rig.restart()
    return rig, now + HOUR


async def test_a_better_figure_waits_for_approval() -> None:
    """The withdrawal of what was asserted is proposed, once, and told; the figures stay."""
    rig, now = await withdrawn_again()
    (proposal,) = await seal_months(rig.cycle, DIGEST, now)
    assert proposal.type == "restatement_proposed"
    assert proposal.body["authors"] == ["alice", "ops"]
    assert rig.events("slo.month_sealed")[-1].data["proposed"] is True
    assert await seal_months(rig.cycle, DIGEST, now + HOUR) == []
    rig = await rig.restart()
    assert await seal_months(rig.cycle, DIGEST, now + HOUR) == []
    month = Month(2026, 3, LONDON)
    (anna,) = slo_rows(rig.book, rig.book.accounted_holdernames(), month, now)
    assert (anna["unavailable_s"], anna["recomputed"]["unavailable_s"]) == (9000, 1800)
    assert (anna["proposed"]["unavailable_s"], anna["restatement"]) == (1800, 1)


async def test_approved_by_another_it_counts() -> None:
    """The second restatement goes back to the sealed figure and names both people."""
    rig, now = await withdrawn_again()
    await seal_months(rig.cycle, DIGEST, now)
    month = Month(2026, 3, LONDON)
    with pytest.raises(UsageError, match="Alice caused this change"):
        await approve_restatement(
            rig.cycle, month, author="ops", approved_by="Alice", now=now + MINUTE
        )
    second = await approve_restatement(
        rig.cycle, month, author="bob", approved_by="bob", now=now + MINUTE
    )
    assert second.body["number"] == 2
    assert second.body["changes"][0]["now"]["unavailable_s"] == 1800
    (anna,) = slo_rows(rig.book, rig.book.accounted_holdernames(), month, now + HOUR)
    assert (anna["unavailable_s"], anna["restatement"]) == (1800, 2)
    assert "proposed" not in anna
    assert "recomputed" not in anna
    assert await seal_months(rig.cycle, DIGEST, now + 2 * HOUR) == []


async def test_facts_of_other_months_cause_nothing() -> None:
    """Whoever declared or asserted something about another month may approve."""
    rig, now = await withdrawn_again()
    later = now + 20 * DAY
    await rig.learn(assertion(now, later, later + HOUR, id="A-2", author="bob"))
    window = Interval(later, later + HOUR)
    await rig.learn(declaration(now, window, author="bob"))
    await rig.learn(
        declaration(now, Interval(after(hours=1), after(hours=2)), id="D-2", author="dan")
    )
    (proposal,) = await seal_months(rig.cycle, DIGEST, now)
    assert proposal.body["authors"] == ["alice", "dan", "ops"]
    assert proposal.body["reason"] == "learned since it was sealed: A-1, D-2"


async def test_thirteen_months_back_are_looked_at() -> None:
    """What is learned of a month a year ago restates it; of one older, no more."""
    old = endpoint(connected_from=datetime(2025, 1, 1, tzinfo=UTC).date())
    served = [holdername(GUID, "view", start="2025-01-01")]
    rig = Rig(settings_of([old], served), clock=FakeClock(at("2025-06-01")))
    rig.clock.set(at("2026-03-20"))
    await rig.start()
    await seal_months(rig.cycle, DIGEST, rig.clock.now())
    months = [one.body["month"] for one in rig.facts("seal")]
    assert (months[0], months[-1], len(months)) == ("2025-02", "2026-02", 13)
    rig.clock.set(at("2026-04-15"))
    now = rig.clock.now()
    await seal_months(rig.cycle, DIGEST, now)
    start = at("2025-02-10")
    await rig.learn(assertion(now, start, start + HOUR, id="A-1"))
    start = at("2025-03-10")
    await rig.learn(assertion(now, start, start + HOUR, id="A-2"))
    restated = await seal_months(rig.cycle, DIGEST, now)
    assert [one.body["month"] for one in restated] == ["2025-03"]


async def test_another_configuration_that_changes_a_figure_says_so() -> None:
    """Without a later fact, the reason is the configuration."""
    rig = await sealed_march()
    ended = endpoint(disconnected_on=datetime(2026, 3, 20, tzinfo=UTC).date())
    await rig.reconfigure(settings_of([ended], [holdername(GUID, "view")]))
    (restated,) = await seal_months(rig.cycle, DIGEST, rig.clock.now())
    assert "configuration" in restated.body["reason"]


# Expiry


def certificate(fingerprint: str, ends: datetime) -> CertificateFacts:
    return CertificateFacts("CN=x", "CN=ca", "1", START - DAY, ends, ("x",), fingerprint)


async def test_each_threshold_of_expiry_is_told_once() -> None:
    """Daily looks from 40 days before to 3 after: at 30, 14 and 7 days, and when it is over."""
    rig = await Rig().start()
    mine = certificate("aa", START + 40 * DAY)
    for day in range(44):
        rig.clock.set(START + day * DAY)
        for _ in range(2):
            notices = expiry_notices(
                {"live": [mine]},
                {},
                rig.clock.now(),
                identity_days=(30, 14, 7),
                certificate_days=(),
            )
            await rig.cycle.notify(notices)
        rig = await rig.restart()
    told = [event.data["days_left"] for event in rig.events("identity.expiring")]
    assert told == [30, 14, 7, 0]


async def test_a_renewed_certificate_is_told_of_again() -> None:
    """Another certificate of the same name has thresholds of its own; a server's has its own event."""
    rig = await Rig().start()
    now = START
    for fingerprint in ("aa", "bb"):
        notices = expiry_notices(
            {},
            {"view": certificate(fingerprint, now + 10 * DAY)},
            now,
            identity_days=(),
            certificate_days=(14,),
        )
        await rig.cycle.notify(notices)
    told = [(event.key, event.data["sha256"]) for event in rig.events("certificate.expiring")]
    assert told == [("view", "aa"), ("view", "bb")]


def test_nothing_is_said_of_what_lasts() -> None:
    """A certificate good for longer than the first threshold calls for nothing."""
    long = certificate("aa", START + 31 * DAY)
    ours = {"live": [long]}
    assert expiry_notices(ours, {}, START, identity_days=(30,), certificate_days=(30,)) == []
