"""Recovery: whatever happened and whenever the daemon ended, the store tells the same story."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitor.adapters.store import SqliteStore
from monitor.config import Settings
from monitor.core.book import Book
from monitor.core.endpoint import Environment
from monitor.core.fact import fact_document, observation_document
from monitor.core.interval import Interval
from monitor.core.timeline import Phase, State, Track
from monitor.recovery import derived, load_book
from monitor.replay import read_facts, replay
from monitor.snapshot import Document, replay_document
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
)
from tests.fakes import START, FakeClock
from tests.rig import Rig, settings_of

A, B = endpoint("a"), endpoint("b", cadence=cadence(confirm_down=1, confirm_up=1))
WATCHED = endpoint("t", environment=Environment.TEST, connected_from=None, group="test")
SERVED = [holdername(GUID, "a", "b")]
CONFIGURATIONS = (
    settings_of([A, B, WATCHED], SERVED),
    settings_of([A, WATCHED], [holdername(GUID, "a")]),
    settings_of(
        [
            endpoint("a", cadence=cadence(confirm_down=2, gap_after=5 * MINUTE)),
            endpoint("b", cadence=cadence(interval=MINUTE, gap_after=130 * SECOND)),
            WATCHED,
        ],
        SERVED,
    ),
)


@dataclass(frozen=True)
class Act:
    """One thing that happens: a probe of each endpoint, or something that people do."""

    kind: str
    letters: str = ""
    number: int = 30


LETTERS = st.sampled_from("uuuddddil ")
PROBES = st.builds(
    Act,
    st.just("probe"),
    st.tuples(LETTERS, LETTERS, LETTERS).map("".join),
    st.sampled_from([5, 30, 30, 30, 75, 76, 290, 310]),
)
PEOPLE = st.builds(
    Act,
    st.sampled_from(["declare", "cancel", "assert", "withdraw"]),
    st.just(""),
    st.integers(0, 3),
)
SWITCHES = st.builds(Act, st.just("configure"), st.just(""), st.integers(0, 2))
PROBED = st.lists(st.one_of(PROBES, PROBES, PROBES, PROBES, PEOPLE), max_size=25)
ANY = st.lists(st.one_of(PROBES, PROBES, PROBES, PROBES, PEOPLE, SWITCHES), max_size=25)
RESTARTS = st.sets(st.integers(0, 25), max_size=6)


async def act(rig: Rig, one: Act, place: int) -> None:
    now = rig.clock.now()
    if one.kind == "probe":
        letters = dict(zip("abt", one.letters, strict=True))
        known = {endpoint.id for endpoint in rig.settings.endpoints}
        seen = {name: letter for name, letter in letters.items() if name in known and letter != " "}
        await rig.see(**seen)
        await rig.cycle.sweep()
        rig.clock.forward(timedelta(seconds=one.number) - (rig.clock.now() - now))
    elif one.kind == "configure":
        await rig.reconfigure(CONFIGURATIONS[one.number])
    elif one.kind == "declare":
        window = Interval(now + one.number * MINUTE, now + (one.number + 3) * MINUTE)
        told = now - 30 * DAY if one.number % 2 else now
        scope = {} if one.number > 1 else {"endpoints": ["a"]}
        await rig.learn(declaration(now, window, id=f"D-{place}", notified_at=told, **scope))
    elif one.kind == "cancel":
        for name in rig.book.calendar.declarations:
            await rig.learn(fact("cancellation", now, id=name, author="ops"))
    elif one.kind == "assert":
        end = None if one.number % 2 else now
        await rig.learn(assertion(now, now - (one.number + 1) * MINUTE, end))
    elif "A-1" in rig.book.assertions:
        await rig.learn(fact("withdrawal", now, id="A-1", author="ops"))


def live(
    acts: Sequence[Act], path: Path | None = None, restarts: Collection[int] = ()
) -> tuple[Document, Rig]:
    """Everything that happens, the daemon ended and begun again after each of these acts.

    Without a path, all in memory and in one go.
    """

    async def work() -> Rig:
        store = None if path is None else SqliteStore.open(path)
        rig = await Rig(CONFIGURATIONS[0], store=store).start()
        for place, one in enumerate(acts):
            await act(rig, one, place)
            if path is not None and place in restarts:
                rig.store.close()
                again = Rig(rig.settings, store=SqliteStore.open(path), clock=rig.clock)
                rig = await again.start()
        return rig

    rig = asyncio.run(work())
    return rig.document(rig.clock.now() + SECOND), rig


def open_of(track: Track) -> Track:
    """A track without what an outage that is over left behind, which means nothing."""
    return track if track.outage is not None else replace(track, failing=State.DOWN)


def state(rig: Rig) -> dict[str, Any]:
    """What is open: tracks, and incidents as they are known."""
    return {
        "tracks": {one.id: open_of(rig.book.track(one.id)) for one in rig.settings.endpoints},
        "records": {name: record.state for name, record in rig.book.records.items()},
    }


@pytest.fixture
def room() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        yield Path(name)


@settings(max_examples=25)
@given(acts=ANY, restarts=RESTARTS)
@example(
    acts=[
        *[Act("probe", letters) for letters in ("uuu", "duu", "ddd", "ddd")],
        Act("configure", "", 1),
        *[Act("probe", letters) for letters in ("uuu", "duu")],
        Act("configure", "", 0),
        *[Act("probe", letters) for letters in ("ddd", "uuu", "uuu", "uuu")],
    ],
    restarts={1, 2, 4, 6, 8},
)
def test_a_restart_changes_nothing(acts: list[Act], restarts: set[int]) -> None:
    """Ended after any act and begun again, the daemon comes to the same account and state."""
    with TemporaryDirectory() as folder:
        through, rig = live(acts)
        ended, again = live(acts, Path(folder) / "m.db", restarts)
        assert ended == through
        assert state(again) == state(rig)
        notices = [one.body["once"] for one in again.facts("notice")]
        assert len(notices) == len(set(notices))
        again.store.close()


@settings(max_examples=25)
@given(acts=ANY, restarts=RESTARTS)
def test_nothing_derivable_is_a_second_truth(acts: list[Act], restarts: set[int]) -> None:
    """Spans and outages worked out anew from observations are those that were stored."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.db"
        before, rig = live(acts, path, restarts)
        store = rig.store
        assert isinstance(store, SqliteStore)
        kept = list(store.spans()), list(store.outages())
        spans, outages = derived(rig.settings, store)
        again = (
            sorted(spans, key=lambda row: (row.endpoint, row.start)),
            sorted(outages, key=lambda row: (row.endpoint, row.start)),
        )
        assert again == kept
        asyncio.run(store.replace_derived(*again))
        assert (list(store.spans()), list(store.outages())) == kept
        book = load_book(rig.settings, store).book
        assert replay_document(book, rig.clock.now() + SECOND) == before
        store.close()


@settings(max_examples=25)
@given(acts=PROBED)
def test_the_facts_written_out_replay_to_the_same_account(acts: list[Act]) -> None:
    """Observations and facts of the store, as lines of a file, give the live Book's account."""
    with TemporaryDirectory() as folder:
        before, rig = live(acts, Path(folder) / "m.db")
        path = Path(folder) / "facts.jsonl"
        export(rig, path)
        now = rig.clock.now() + SECOND
        conf = rig.settings
        book = Book(conf.rules, conf.endpoints, conf.holdernames)
        replay(book, path, read_facts(path), now)
        assert replay_document(book, now) == before
        rig.store.close()


def export(rig: Rig, path: Path) -> None:
    """The store's facts in order of `at`, as `ledger export` writes them."""
    lines = [
        (sample.observation.at, observation_document(sample.observation))
        for sample in rig.store.iter_observations()
    ]
    lines += [(one.at, fact_document(one)) for _, one in rig.store.facts()]
    lines.sort(key=lambda line: line[0])
    path.write_text("".join(json.dumps(document) + "\n" for _, document in lines))


# By example


async def survivor(path: Path, run: str, conf: Settings | None = None) -> tuple[Rig, Rig]:
    """A rig that saw a run, and one that began after it on the same store."""
    rig = await Rig(conf, store=SqliteStore.open(path)).start()
    await rig.watch(view=run)
    rig.store.close()
    again = Rig(conf, store=SqliteStore.open(path), clock=rig.clock)
    return rig, await again.start()


@pytest.mark.parametrize(
    ("run", "phase"),
    [
        ("uuu", Phase.STEADY),
        ("uudd", Phase.SUSPECT),
        ("uudld", Phase.SUSPECT),
        ("uuddd", Phase.OUTAGE),
        ("uuiii", Phase.OUTAGE),
        ("uuiiid", Phase.OUTAGE),
        ("uudddl", Phase.OUTAGE),
        ("uuddduld", Phase.OUTAGE),
        ("uudddu", Phase.RECOVERING),
        ("uudddul", Phase.RECOVERING),
        ("uuiiidu", Phase.RECOVERING),
        ("d", Phase.SUSPECT),
    ],
)
async def test_what_was_open_is_open_again(room: Path, run: str, phase: Phase) -> None:
    """Suspect runs, outages and recoveries go on exactly where they stood."""
    rig, again = await survivor(room / "m.db", run)
    track = again.book.track("view")
    assert track.phase is phase
    assert track == rig.book.track("view")
    assert again.document() == rig.document()
    again.store.close()


async def test_an_outage_is_confirmed_across_a_restart(room: Path) -> None:
    """Two failures before and one after it make an outage from the first on."""
    _, again = await survivor(room / "m.db", "uudd")
    await again.watch(view="d")
    (outage,) = again.outages()
    assert outage["start"] == "2026-03-02T09:01:00Z"
    again.store.close()


async def test_an_incident_goes_on_after_a_restart(room: Path) -> None:
    """Open before, it is restored after: one incident, with the record's steps."""
    _, again = await survivor(room / "m.db", "uudddd")
    await again.watch(view="uu")
    steps = [one.type for one in again.facts("incident.")]
    assert steps == ["incident.opened", "incident.restored"]
    assert [one.type for one in again.book.records["I-1"].steps] == steps
    again.store.close()


async def test_time_not_watched_is_unknown(room: Path) -> None:
    """Between the last probe before and the first after, only one interval is known."""
    _, again = await survivor(room / "m.db", "uu")
    again.clock.forward(HOUR)
    await again.watch(view="uu")
    row = again.document()["months"][-1]
    watched = 30 + 30 + 60  # the last holds for one interval; then two more
    assert row["up_s"] == watched
    again.store.close()


async def test_the_configuration_is_recorded_when_it_is_another(room: Path) -> None:
    """Begun again unchanged, the daemon records nothing; changed, it says so once."""
    _, again = await survivor(room / "m.db", "uu")
    assert len(again.facts("configuration")) == 1
    other = settings_of([endpoint(cadence=cadence(interval=MINUTE))])
    third = await Rig(other, store=again.store, clock=again.clock).start()
    assert len(third.facts("configuration")) == 2
    assert load_book(other, again.store).configuration == third.facts("configuration")[1].body
    again.store.close()


def test_an_empty_store_is_a_beginning(room: Path) -> None:
    """Nothing is known, no configuration was recorded, and nothing is derived."""
    with SqliteStore.open(room / "m.db") as store:
        recovered = load_book(settings_of(), store)
        assert recovered.configuration is None
        assert recovered.book.track("view").last is None
        spans, outages = derived(settings_of(), store)
        assert (list(spans), list(outages)) == ([], [])


async def test_sealed_months_and_notices_are_known_again(room: Path) -> None:
    """What was sealed and what was said stays sealed and said."""
    path = room / "m.db"
    rig = await Rig(store=SqliteStore.open(path), clock=FakeClock(START)).start()
    seal = fact("seal", START, month="2026-01", rows=[], rules=1, configuration="0")
    await rig.learn(seal, fact("notice", START, once="said", event="test"))
    again = await Rig(store=rig.store, clock=rig.clock).start()
    assert again.book.seals == {"2026-01": (seal,)}
    assert again.book.was_noticed("said")
    rig.store.close()
