"""Observations to spans of one state: confirmation, blips, gaps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.interval import BEGINNING
from monitor.core.timeline import (
    NOTHING,
    Outage,
    Phase,
    Span,
    State,
    Track,
    append,
    fold,
    held,
    observe,
    tail,
)
from monitor.core.verdict import Observation
from tests.core.builders import (
    DAY,
    MINUTE,
    SECOND,
    START,
    TICK,
    after,
    cadence,
    run,
    seen,
    spans,
)

STEP = 30 * SECOND


def fresh(**changes: object) -> Track:
    return Track(((BEGINNING, cadence(**changes)),))


def whole(
    track: Track, observations: Iterable[Observation], now: datetime
) -> tuple[list[Span], list[Outage]]:
    """All spans up to now, and the outages."""
    track, found, outages = fold(track, observations)
    append(found, tail(track, now))
    return found, outages


def judged(results: str, **changes: object) -> list[Span]:
    """The spans of a run as they read one step after its last slot."""
    found, _ = whole(fresh(**changes), run(results), START + len(results) * STEP)
    return found


# --- how long a result holds ---


def test_holds_until_the_next_observation() -> None:
    """A result holds until the next one that comes within `gap_after`, exactly included (2.1)."""
    last = seen("u", START)
    gap = cadence().gap_after
    assert held(last, START + gap, cadence()) == (Span(START, START + gap, State.UP),)
    beyond = START + gap + TICK
    assert held(last, beyond, cadence()) == (
        Span(START, START + STEP, State.UP),
        Span(START + STEP, beyond, State.UNKNOWN),
    )


def test_holds_no_longer_than_until_now() -> None:
    """A result does not hold before its observation, nor past now."""
    last = seen("d", START)
    assert held(last, START, cadence()) == ()
    patient = cadence(interval=5 * MINUTE, gap_after=MINUTE)
    assert held(last, after(minutes=2), patient) == (Span(START, after(minutes=2), State.DOWN),)


def test_silence_is_unknown() -> None:
    """Beyond a gap time is unknown until the next observation, and after the last one (2.1)."""
    assert judged("u   u") == spans("u???u")
    assert judged("uu   ") == spans("uu???")
    assert tail(fresh(), after(hours=1)) == []


def test_local_observations_are_unknown() -> None:
    """Our own faults are unknown time (2.2)."""
    assert judged("ululu") == spans("u?u?u")


# --- onset and recovery ---


def test_onset_is_dated_from_the_first_failure() -> None:
    """Three failures confirm an outage, dated from the first of them (2.3)."""
    found, outages = whole(fresh(), run("uudddd"), after(minutes=3))
    assert found == spans("uudddd")
    assert outages == [Outage(after(seconds=60), after(seconds=120))]


def test_impaired_and_down_confirm_together() -> None:
    """Both fail; each instant is as its last failing observation said (2.3, 2.6)."""
    assert judged("uidiiu") == spans("uidiii")
    assert judged("uidiuuu") == spans("uidiuuu")


def test_recovery_is_dated_from_the_first_good_one() -> None:
    """Two good observations end an outage, dated from the first of them (2.4)."""
    found, outages = whole(fresh(), run("dddduu"), after(minutes=3))
    assert found == spans("dddduu")
    assert outages == [Outage(START, after(seconds=60), after(seconds=120))]


def test_swallowed_recovery() -> None:
    """One good observation before a failure is swallowed, with the state before it (2.4, 2.6)."""
    found, outages = whole(fresh(), run("dddudiuduu"), after(minutes=5))
    assert found == spans("dddddiiduu")
    assert [outage.end for outage in outages] == [after(seconds=240)]


def test_blip() -> None:
    """A suspect run that is not confirmed is unconfirmed from first failure to next up (2.5)."""
    found, outages = whole(fresh(), run("udduidu"), after(seconds=210))
    assert found == spans("uccuccu")
    assert outages == []


def test_still_suspect_is_unconfirmed() -> None:
    """A run that is not yet confirmed reads as unconfirmed (2.8)."""
    assert judged("udd") == spans("ucc")


def test_still_recovering_is_down() -> None:
    """Good time that is not yet confirmed reads as the outage it is in (2.4)."""
    assert judged("dddu") == spans("dddd")


def test_local_neither_advances_nor_resets() -> None:
    """Local observations and gaps do not count towards a confirmation, nor break it (2.2)."""
    assert judged("udldu") == spans("uc?cu")
    found, outages = whole(fresh(), run("udldlduu"), after(minutes=4))
    assert found == spans("ud?d?duu")
    assert outages == [Outage(after(seconds=30), after(seconds=150), after(seconds=180))]
    assert judged("dddulu") == spans("dddu?u")


def test_gap_inside_an_outage() -> None:
    """Unknown time inside an outage is unknown; the outage stays open across it (2.6)."""
    found, outages = whole(fresh(), run("ddd     duu"), after(seconds=330))
    assert found == spans("ddd?????duu")
    assert outages == [Outage(START, after(seconds=60), after(seconds=270))]
    assert judged("dddu    d") == spans("dddd????d")


def test_confirmed_by_one() -> None:
    """With one observation to confirm, each failure is an outage and each up its end."""
    found, outages = whole(fresh(confirm_down=1, confirm_up=1), run("dudu"), after(minutes=2))
    assert found == spans("dudu")
    assert [outage.start for outage in outages] == [START, after(seconds=60)]
    assert [outage.end for outage in outages] == [after(seconds=30), after(seconds=90)]


# --- tracks ---


def test_not_later_than_the_last_is_ignored() -> None:
    """An observation of the past, or of the same instant, changes nothing."""
    track, _ = observe(fresh(), seen("u", START))
    for result, instant in (("d", START), ("d", START - SECOND)):
        assert observe(track, seen(result, instant)) == (track, NOTHING)


def test_hurried_while_undecided() -> None:
    """The endpoint is re-probed soon while suspect or recovering, and only then (2.7)."""
    track, hurried, phases = fresh(), [], []
    for observation in run("udddduu"):
        track, _ = observe(track, observation)
        hurried.append(track.hurried)
        phases.append(track.phase)
    assert hurried == [False, True, True, False, False, True, False]
    assert phases[5] is Phase.RECOVERING
    assert track.outage is None


def test_cadence_changes_from_an_instant_on() -> None:
    """A changed cadence counts for observations from then on; the same one changes nothing."""
    track, _ = observe(fresh(), seen("u", START))
    assert track.with_cadence(after(minutes=1), cadence()) is track
    slow = cadence(interval=5 * MINUTE, gap_after=11 * MINUTE)
    track = track.with_cadence(after(minutes=1), slow)
    assert track.cadence == slow
    track, settled = observe(track, seen("u", after(minutes=10)))
    assert settled.spans[-1] == Span(START + STEP, after(minutes=10), State.UNKNOWN)
    assert track.cadences == ((after(minutes=1), slow),)
    _, settled = observe(track, seen("u", after(minutes=21)))
    assert settled.spans == (Span(after(minutes=10), after(minutes=21), State.UP),)


@pytest.mark.parametrize(
    ("state", "lost"),
    [("up", False), ("unconfirmed", False), ("impaired", True), ("down", True), ("unknown", False)],
)
def test_unavailable_states(state: str, lost: bool) -> None:
    """Impaired and down time is unavailable (accounting 6)."""
    assert State(state).unavailable is lost


# --- properties ---

SLOTS = st.lists(
    st.tuples(st.sampled_from("uuuidddl"), st.sampled_from([5, 30, 30, 30, 75, 76, 200])),
    max_size=40,
)
COUNTS = st.tuples(st.integers(1, 3), st.integers(1, 3))


def timed(slots: list[tuple[str, int]]) -> list[Observation]:
    found, instant = [], START
    for letter, pause in slots:
        found.append(seen(letter, instant))
        instant += timedelta(seconds=pause)
    return found


def track_of(counts: tuple[int, int]) -> Track:
    return fresh(confirm_down=counts[0], confirm_up=counts[1])


@given(SLOTS, COUNTS, st.integers(0, 300))
def test_states_partition_the_time(
    slots: list[tuple[str, int]], counts: tuple[int, int], more: int
) -> None:
    """From the first observation to now every instant is in exactly one span (2.8)."""
    observations = timed(slots)
    if not observations:
        return
    now = observations[-1].at + timedelta(seconds=more)
    found, outages = whole(track_of(counts), observations, now)
    if found:
        assert (found[0].start, found[-1].end) == (START, now)
    assert all(one.end == two.start and one.state != two.state for one, two in pairwise(found))
    for span in found:
        if span.state.unavailable:
            assert any(
                outage.start <= span.start and (outage.end is None or span.end <= outage.end)
                for outage in outages
            )


@given(SLOTS, COUNTS)
def test_repeats_change_nothing(slots: list[tuple[str, int]], counts: tuple[int, int]) -> None:
    """Observations told twice, or again later, change nothing."""
    observations = timed(slots)
    repeated = [
        one for place, latest in enumerate(observations) for one in (latest, *observations[:place])
    ]
    assert fold(track_of(counts), repeated) == fold(track_of(counts), observations)


@given(SLOTS, COUNTS)
def test_what_is_settled_stays(slots: list[tuple[str, int]], counts: tuple[int, int]) -> None:
    """A settled span never reads otherwise after more observations."""
    observations = timed(slots)
    later = [*observations, *(replace(one, at=one.at + DAY) for one in observations)]
    final, _ = whole(track_of(counts), later, after(days=2))
    track = track_of(counts)
    settled_so_far: list[Span] = []
    for observation in observations:
        track, settled = observe(track, observation)
        settled_so_far += settled.spans
    for span in settled_so_far:
        assert any(
            one.start <= span.start and span.end <= one.end and one.state is span.state
            for one in final
        )


def resumed(
    counts: tuple[int, int], settled: list[Span], outages: list[Outage], past: list[Observation]
) -> Track:
    """A track put together from what a store keeps: spans, outages, and observations."""
    track = track_of(counts)
    frontier = settled[-1].end if settled else BEGINNING
    if outages and outages[-1].end is None:
        failing = [span.state for span in settled if span.state.unavailable]
        track = replace(
            track,
            phase=Phase.OUTAGE,
            outage=outages[-1],
            failing=failing[-1] if failing else State.DOWN,
        )
    track, _, _ = fold(track, [one for one in past if one.at >= frontier])
    return track


@given(SLOTS, COUNTS, st.data())
def test_a_restart_loses_nothing(
    slots: list[tuple[str, int]], counts: tuple[int, int], data: st.DataObject
) -> None:
    """Settled spans, outages and the observations since the last span give back the same track."""
    observations = timed(slots)
    cut = data.draw(st.integers(0, len(observations)))
    before, settled, outages = fold(track_of(counts), observations[:cut])
    again = resumed(counts, settled, outages, observations[:cut])
    if before.outage is None:  # what failed last only matters in an outage
        before = replace(before, failing=again.failing)
    assert again == before
    rest, more, _ = fold(again, observations[cut:])
    append(settled, more)
    append(settled, tail(rest, after(days=1)))
    assert settled == whole(track_of(counts), observations, after(days=1))[0]
