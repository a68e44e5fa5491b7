"""The account of a period."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.outage import Class, Part
from monitor.core.slo import Account, Tally, Verdict, added, burn_rate, tally
from monitor.core.timeline import State
from monitor.errors import EmptyPeriod
from tests.core.builders import HOUR, MINUTE, TICK, minutes, spans

OBJECTIVE = Fraction(995, 1000)
JUNE = 720 * HOUR
BUDGET = 216 * MINUTE
ZERO = timedelta()


def account(
    *,
    down: timedelta = ZERO,
    unknown: timedelta = ZERO,
    unconfirmed: timedelta = ZERO,
    declared: timedelta = ZERO,
    eligible: timedelta = JUNE,
    whole: timedelta = JUNE,
    closed: bool = True,
) -> Account:
    states = {State.DOWN: down, State.UNKNOWN: unknown, State.UNCONFIRMED: unconfirmed}
    states[State.UP] = eligible - down - unknown - unconfirmed
    classes = {Class.DECLARED: declared, Class.UNDECLARED: down - declared}
    return Account(Tally(states, classes), eligible, whole, OBJECTIVE, closed)


def test_exactly_on_the_objective_is_met() -> None:
    """The whole budget may be spent; a microsecond more is missed (accounting 6)."""
    assert account(down=BUDGET).worst == OBJECTIVE
    assert account(down=BUDGET).verdict is Verdict.MET
    assert account(down=BUDGET).remaining == 0
    assert account(down=BUDGET + TICK).verdict is Verdict.MISSED
    assert account(down=BUDGET + TICK).remaining == -1


def test_declared_downtime_spends_the_budget() -> None:
    """Declared time counts like any other; only the informational ratio leaves it out."""
    one = account(down=2 * BUDGET, declared=2 * BUDGET)
    assert one.verdict is Verdict.MISSED
    assert one.excluding_declared == 1
    assert one.best == one.measured == 1 - 2 * (1 - OBJECTIVE)


def test_what_we_could_not_tell_makes_it_indeterminate() -> None:
    """If unknown time decides, a closed month is neither met nor missed (accounting 6)."""
    one = account(down=BUDGET, unknown=TICK)
    assert (one.best, one.verdict) == (OBJECTIVE, Verdict.INDETERMINATE)
    assert account(down=BUDGET, unconfirmed=TICK).verdict is Verdict.INDETERMINATE
    assert account(down=BUDGET + TICK, unknown=HOUR).verdict is Verdict.MISSED


def test_running_month() -> None:
    """A running month is running, or missed as soon as it cannot be met any more (accounting 6)."""
    assert account(down=BUDGET, eligible=10 * HOUR, closed=False).verdict is Verdict.RUNNING
    assert account(down=BUDGET + TICK, eligible=10 * HOUR, closed=False).verdict is Verdict.MISSED
    assert account(eligible=ZERO, closed=False).verdict is Verdict.NO_DATA


def test_no_data_never_reads_as_met() -> None:
    """Without eligible time there is no verdict and no ratio (accounting 6)."""
    nothing = account(eligible=ZERO, whole=ZERO)
    assert nothing.verdict is Verdict.NO_DATA
    assert (nothing.measured, nothing.excluding_declared) == (None, None)
    with pytest.raises(EmptyPeriod, match="nothing was eligible"):
        _ = nothing.best
    with pytest.raises(EmptyPeriod, match="nothing was eligible"):
        _ = nothing.worst


def test_nothing_measured() -> None:
    """If all is unknown the headline is absent, the best 1 and the worst 0 (accounting 6)."""
    one = account(unknown=JUNE)
    assert (one.measured, one.best, one.worst) == (None, 1, 0)
    assert one.verdict is Verdict.INDETERMINATE
    assert account(down=JUNE, declared=JUNE).excluding_declared is None


def test_unknown_time_is_left_out_of_the_headline() -> None:
    """`measured` divides by the time that was measured (accounting 6)."""
    one = account(down=HOUR, unknown=JUNE - 100 * HOUR)
    assert one.measured == Fraction(99, 100)


def test_tally_is_clipped() -> None:
    """Spans and parts count only inside the bounds; unknown parts are in no class."""
    states = spans("uuddd??ddu", step=MINUTE)
    parts = [
        Part(minutes(2, 4), Class.UNDECLARED),
        Part(minutes(4, 5), Class.DECLARED, "D-1"),
        Part(minutes(5, 7), None),
        Part(minutes(7, 9), Class.OVERRUN, "D-1"),
    ]
    found = tally(minutes(3, 8), states, parts)
    assert found.states == {State.DOWN: 3 * MINUTE, State.UNKNOWN: 2 * MINUTE}
    assert found.classes == {
        Class.UNDECLARED: MINUTE,
        Class.DECLARED: MINUTE,
        Class.OVERRUN: MINUTE,
    }
    assert found.total == 5 * MINUTE
    assert added(found, Tally()).unavailable == 3 * MINUTE
    assert added(found, found).in_class(Class.OVERRUN) == 2 * MINUTE
    assert tally(minutes(50, 60), states, parts).total == ZERO


def test_burn_rate() -> None:
    """Burning at rate 1 spends exactly the budget; an hour all down burns 200 times as fast."""
    assert burn_rate(BUDGET, JUNE, OBJECTIVE) == 1
    assert burn_rate(HOUR, HOUR, OBJECTIVE) == 200


@given(
    st.integers(0, 720),
    st.integers(0, 720),
    st.integers(0, 720),
    st.integers(0, 720),
    st.booleans(),
)
def test_ratios_keep_their_order(
    down: int, unknown: int, unconfirmed: int, declared: int, closed: bool
) -> None:
    """Worst is never above the headline, nor that above best; a met month stays met at its best."""
    total = down + unknown + unconfirmed
    eligible = max(total, 1) * HOUR
    one = account(
        down=down * HOUR,
        unknown=unknown * HOUR,
        unconfirmed=unconfirmed * HOUR,
        declared=min(declared, down) * HOUR,
        eligible=eligible,
        whole=eligible,
        closed=closed,
    )
    assert 0 <= one.worst <= one.best <= 1
    assert one.measured is None or one.worst <= one.measured <= one.best
    if one.excluding_declared is not None and one.measured is not None:
        assert one.excluding_declared >= one.measured
    if one.verdict is Verdict.MET:
        assert one.best >= one.objective
    assert one.tally.total == eligible
