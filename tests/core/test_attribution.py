"""Whose fault a failure is (accounting 8)."""

from __future__ import annotations

from datetime import datetime

import pytest

from monitor.core.attribution import Comparison, as_local
from monitor.core.verdict import Observation, Reason, Result
from tests.core.builders import START, TICK, after, endpoint, seen

TWO_HOSTS = (endpoint("a"), endpoint("b"))
ONE_HOST = (endpoint("a", url="https://x.example/a"), endpoint("b", url="https://x.example/b"))


def refused(name: str, instant: datetime = START) -> Observation:
    return seen("d", instant, name, Reason.TLS_REFUSED)


def unresolved(name: str, instant: datetime = START) -> Observation:
    return seen("d", instant, name, Reason.DNS)


def ours(*observations: Observation, reason: Reason = Reason.LOCAL_IDENTITY) -> list[Observation]:
    return [as_local(one, reason) for one in observations]


def test_all_alike_is_our_fault() -> None:
    """If every endpoint fails alike with a reason that points at us, it is ours."""
    compare = Comparison.of(TWO_HOSTS)
    first, second = refused("a"), refused("b", after(seconds=5))
    assert compare.offer(first) == []
    assert compare.holding
    assert compare.offer(second) == ours(first, second)
    assert (compare.holding, compare.ours) == (False, Reason.LOCAL_IDENTITY)
    assert ours(first)[0].result is Result.LOCAL


def test_while_it_lasts_more_of_the_same_is_ours_at_once() -> None:
    """Once found to be ours, the same failure is so until something else is seen."""
    compare = Comparison.of(TWO_HOSTS)
    compare.offer(refused("a"))
    compare.offer(refused("b"))
    again = refused("a", after(seconds=30))
    assert compare.offer(again) == ours(again)
    good = seen("u", after(seconds=35), "b")
    assert compare.offer(good) == [good]
    assert compare.ours is None
    assert compare.offer(refused("a", after(seconds=60))) == []


def test_only_some_refuse_is_their_outage() -> None:
    """When another endpoint answers, the refusal is theirs, and is told before the answer."""
    compare = Comparison.of(TWO_HOSTS)
    held, good = refused("a"), seen("u", after(seconds=5), "b")
    assert compare.offer(held) == []
    assert compare.offer(good) == [held, good]
    assert not compare.holding


def test_a_good_answer_of_before_says_nothing() -> None:
    """An answer to a probe that started before the trouble does not decide."""
    compare = Comparison.of(TWO_HOSTS)
    compare.offer(refused("a"))
    earlier = seen("u", START - TICK, "b")
    assert compare.offer(earlier) == [earlier]
    assert compare.holding


def test_other_failures_pass_at_once() -> None:
    """A reason that cannot be our fault, and what is known to be ours, are not held back."""
    compare = Comparison.of(TWO_HOSTS)
    for one in (seen("d", START, "a"), seen("l", START, "a"), seen("i", START, "a")):
        assert compare.offer(one) == [one]
    compare.offer(refused("a"))
    local = seen("l", after(seconds=3), "b")
    assert compare.offer(local) == [local]
    assert compare.holding


def test_failures_that_are_not_alike_are_theirs() -> None:
    """Another pointing reason is another matter: what was held goes first, as seen."""
    compare = Comparison.of(TWO_HOSTS)
    first, second = refused("a"), unresolved("b", after(seconds=5))
    assert compare.offer(first) == []
    assert compare.offer(second) == [first]
    third = unresolved("a", after(seconds=30))
    assert compare.offer(third) == ours(second, third, reason=Reason.LOCAL_DNS)


def test_patience_ends() -> None:
    """What could not be compared within the longest interval and time-out is theirs."""
    compare = Comparison.of(TWO_HOSTS)
    assert compare.lapse(START) == []
    held = refused("a")
    compare.offer(held)
    assert compare.lapse(START + compare.patience) == []
    assert compare.lapse(START + compare.patience + TICK) == [held]
    assert not compare.holding


def test_one_host_says_nothing_by_itself() -> None:
    """With endpoints on one host only there is no comparison: failures are theirs."""
    compare = Comparison.of(ONE_HOST)
    assert not compare.comparable
    one = refused("a")
    assert compare.offer(one) == [one]
    assert compare.wants_witness is None
    assert not Comparison.of(()).comparable


@pytest.mark.parametrize("alike", [True, False])
def test_a_witness_settles_it(alike: bool) -> None:
    """With one host a witness decides: it fails alike, or it does not."""
    compare = Comparison.of(ONE_HOST, has_witness=True)
    first, second = refused("a"), refused("b")
    assert compare.wants_witness is None
    assert compare.offer(first) == []
    assert compare.offer(second) == []
    assert compare.wants_witness is Reason.TLS_REFUSED
    expected = ours(first, second) if alike else [first, second]
    assert compare.testify(alike=alike) == expected
    assert compare.wants_witness is None
    assert compare.testify(alike=alike) == []


def test_one_endpoint_is_told_in_order() -> None:
    """What an endpoint shows while its refusal is held back waits behind it."""
    compare = Comparison.of((*TWO_HOSTS, endpoint("c")))
    first, local = refused("a"), seen("l", after(seconds=30), "a")
    assert compare.offer(first) == []
    assert compare.offer(local) == []
    second, third = refused("b", after(seconds=31)), refused("c", after(seconds=32))
    assert compare.offer(second) == []
    assert compare.offer(third) == [*ours(first), local, *ours(second, third)]


def test_reasons_that_point_at_us() -> None:
    """No name resolution, no route and a refused certificate may be ours."""
    for reason, local in (
        (Reason.DNS, Reason.LOCAL_DNS),
        (Reason.NO_ROUTE, Reason.LOCAL_NETWORK),
        (Reason.TLS_REFUSED, Reason.LOCAL_IDENTITY),
    ):
        compare = Comparison.of(TWO_HOSTS)
        compare.offer(seen("d", START, "a", reason))
        assert [one.reason for one in compare.offer(seen("d", START, "b", reason))] == [local] * 2
