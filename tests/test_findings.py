"""The guard: changes recorded as they show, checks made in their time, and what people explain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.store import SqliteStore
from monitor.core.endpoint import Endpoint, Environment
from monitor.core.interval import Interval
from monitor.core.security import Check, Checked, Outcome
from monitor.core.verdict import CertificateFacts
from monitor.declare import Given
from monitor.errors import IllegalStep, StoreUnwritable, UnknownName, UsageError
from monitor.findings import Guard, acknowledged, reference_at
from tests.core.builders import DAY, HOUR, MINUTE, START, after, declaration, endpoint
from tests.fakes import MemoryStore
from tests.rig import Rig, settings_of

NEW = "https://new.example/x"
GOOD = Checked(Check.TLS_1_1, Outcome.GOOD, "refused")
FOUND = Checked(Check.TLS_1_1, Outcome.FOUND, "accepted")


class Told:
    """Answers checks as told, and counts them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.version: str | None = "TLSv1.3"
        self.results: tuple[Checked, ...] = (GOOD,)

    async def check(self, endpoint: Endpoint) -> tuple[str | None, tuple[Checked, ...]]:
        self.asked.append(endpoint.id)
        return self.version, self.results


def leaf(name: str, **more: Any) -> CertificateFacts:
    usual = CertificateFacts("CN=view", "O=A CA", "1", START, START + 90 * DAY, ("view",), name)
    return replace(usual, **more)


async def started(*endpoints: Endpoint, store: Any = None) -> tuple[Rig, Guard, Told]:
    rig = await Rig(settings_of(endpoints), store=store).start()
    told = Told()
    return rig, Guard(rig.cycle, rig.clock, told), told


async def with_url(rig: Rig, url: str) -> None:
    changed = [replace(one, url=url) for one in rig.settings.endpoints]
    await rig.reconfigure(replace(rig.settings, endpoints=tuple(changed)))


def standing(rig: Rig, name: str = "view") -> list[str]:
    return [found.check.value for found in rig.book.security.standing(name)]


# Changes


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_changed_url_is_found_once_by_reload_and_by_restart(
    kind: str, tmp_path: Path
) -> None:
    """The first configuration is the record; each change after it is found, once, and survives."""
    store = MemoryStore() if kind == "memory" else SqliteStore.open(tmp_path / "m.db")
    rig, guard, told = await started(store=store)
    await guard.watch({})
    assert rig.facts("endpoint.changed") == []
    await with_url(rig, NEW)
    for _ in range(2):
        await guard.watch({})
    assert len(rig.facts("endpoint.changed")) == len(rig.facts("security.finding")) == 1
    again = await rig.restart(settings_of([endpoint(url="https://third.example/x")]))
    assert standing(again) == ["url_change"]
    guard = Guard(again.cycle, again.clock, told)
    for _ in range(2):
        await guard.watch({})
    changes = again.facts("endpoint.changed")
    assert [one.body["after"] for one in changes] == [NEW, "https://third.example/x"]
    if isinstance(store, SqliteStore):
        store.close()


async def test_certificates_are_recorded_and_another_identity_is_told() -> None:
    """First seen, renewed, then of another issuer; of an endpoint not configured: nothing."""
    rig, guard, _ = await started()
    for one in (leaf("a"), leaf("b"), leaf("a"), leaf("c", issuer="O=Other")):
        await guard.watch({"view": one, "gone": one})
    seen = [one.body["change"] for one in rig.facts("certificate.seen")]
    assert seen == ["first", "renewal", "identity"]
    (event,) = rig.events("security.finding")
    assert event.data["check"] == "certificate_change"


async def test_the_first_look_at_many_endpoints_is_recorded_in_few_changes() -> None:
    """Each certificate once, fifty facts in a change at most."""
    names = [f"view-{number}" for number in range(120)]
    rig, guard, _ = await started(*(endpoint(name) for name in names))
    before = len(rig.memory.changes)
    for _ in range(2):
        await guard.watch({name: leaf("a") for name in names})
    assert [one.body["endpoint"] for one in rig.facts("certificate.seen")] == names
    assert len(rig.memory.changes) == before + 3


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": Environment.TEST},
        {"connected_from": (START + 30 * DAY).date()},
        {"disconnected_on": START.date()},
    ],
)
async def test_only_connected_endpoints_owe_an_explanation(changes: dict[str, Any]) -> None:
    """Of others a change is recorded, and nothing found."""
    rig, guard, _ = await started(endpoint(**changes))
    await guard.watch({"view": leaf("a")})
    await with_url(rig, NEW)
    await guard.watch({"view": leaf("b", issuer="O=Other")})
    assert len(rig.facts("endpoint.changed")) == 1
    assert standing(rig) == []
    assert rig.events("security.finding") == []


async def test_a_change_in_a_window_with_a_reference_is_explained() -> None:
    """The window of the endpoint, while it lasts; one without a reference explains nothing."""
    rig, guard, _ = await started()
    window = Interval(after(hours=1), after(hours=2))
    other = {"endpoints": ["find"]}
    await rig.learn(
        declaration(START, window, technical_change="TC-1"),
        declaration(START, window, id="D-2"),
        declaration(START, Interval(START, after(hours=5)), id="D-3", **other),
    )
    assert reference_at(rig.book, "view", after(minutes=59)) is None
    assert reference_at(rig.book, "view", after(hours=1)) == "TC-1"
    assert reference_at(rig.book, "view", after(hours=2)) is None
    rig.clock.forward(HOUR + MINUTE)
    await with_url(rig, NEW)
    await guard.watch({})
    assert standing(rig) == []
    assert rig.facts("endpoint.changed")[0].body["reference"] == "TC-1"


async def test_a_window_of_others_explains_nothing() -> None:
    """A reference counts for what its declaration names."""
    rig, guard, _ = await started(endpoint(), endpoint("other"))
    window = Interval(START, after(hours=5))
    await rig.learn(declaration(START, window, technical_change="TC-1", endpoints=["other"]))
    await with_url(rig, NEW)
    await guard.watch({})
    assert (standing(rig), standing(rig, "other")) == (["url_change"], [])


async def test_what_the_store_refused_is_found_by_the_next_look() -> None:
    """Nothing is taken for known before it is kept."""
    rig, guard, _ = await started()
    await with_url(rig, NEW)
    rig.memory.broken = True
    with pytest.raises(StoreUnwritable):
        await guard.watch({})
    rig.memory.broken = False
    await guard.watch({})
    assert standing(rig) == ["url_change"]


# Explanations


async def test_an_acknowledgement_explains_a_change_after_the_fact() -> None:
    """It is recorded with author and reference, and the finding is gone, also after a restart."""
    rig, guard, _ = await started()
    await with_url(rig, NEW)
    await guard.watch({})
    given = Given({"id": "view", "reference": "TC-9"}, rig.book.rules.zone)
    fact = acknowledged(rig.book, given, now=rig.clock.now(), author="ops")
    assert fact.body == {
        "endpoint": "view",
        "reference": "TC-9",
        "checks": ["url_change"],
        "author": "ops",
    }
    await rig.learn(fact)
    assert standing(rig) == []
    assert standing(await rig.restart()) == []
    with pytest.raises(IllegalStep, match="no unexplained change of view stands"):
        acknowledged(rig.book, given, now=rig.clock.now(), author="ops")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"id": "veiw", "reference": "TC-9"}, UnknownName),
        ({"id": "view", "reference": " "}, UsageError),
        ({"reference": "TC-9"}, UsageError),
    ],
)
async def test_a_wrong_acknowledgement_is_refused(
    arguments: dict[str, str], error: type[UsageError]
) -> None:
    """An endpoint nobody knows, a reference that says nothing."""
    rig, _, _ = await started()
    given = Given(arguments, rig.book.rules.zone)
    with pytest.raises(error):
        acknowledged(rig.book, given, now=rig.clock.now(), author="ops")


# Checks


async def test_checks_are_off_unless_asked_for_and_then_made_at_their_rate() -> None:
    """Spread after a start, then once in `every`; a new rate holds from the next check on."""
    asked = endpoint("asked", security_every=DAY)
    rig, guard, told = await started(asked, endpoint("left"))
    for _ in range(2 * 24 * 12):
        await guard.probe_due()
        rig.clock.forward(timedelta(minutes=5))
    assert told.asked == ["asked", "asked"]


async def test_findings_are_recorded_once_told_once_and_change_no_figure() -> None:
    """A finding of a check is a fact and an event of its own, beside availability."""
    rig, guard, told = await started(endpoint(security_every=DAY))
    before = rig.document(after(days=1))
    told.results = (FOUND,)
    for version in ("TLSv1.3", "TLSv1.2", "TLSv1.2"):
        told.version = version
        await guard.probe(rig.settings.endpoints[0])
    assert standing(rig) == ["tls_1_1", "tls_fallback"]
    assert [event.data["check"] for event in rig.events("security.finding")] == standing(rig)
    assert rig.document(after(days=1)) == before
    told.results, told.version = (GOOD,), "TLSv1.3"
    await guard.probe(rig.settings.endpoints[0])
    assert standing(rig) == []
    assert len(rig.events("security.finding")) == 2


async def test_a_check_of_an_endpoint_taken_out_meanwhile_is_nothing() -> None:
    """What it showed is about nobody any more."""
    rig, guard, told = await started(endpoint(security_every=DAY))
    told.results = (FOUND,)
    await guard.probe(endpoint("gone"))
    assert rig.facts("security") == []


# Readiness


async def test_a_pending_endpoint_that_fails_is_told_of_once_a_day_by_the_cycle() -> None:
    """Housekeeping says so; it opens no incident and counts for nothing."""
    rig = await Rig(settings_of([endpoint(connected_from=(START + 9 * DAY).date())])).start()
    for _ in range(2):
        await rig.watch(view="ddddd")
        await rig.idle(5 * MINUTE)
    assert rig.told("endpoint.not_ready") == ["endpoint.not_ready"]
    rig.clock.forward(DAY)
    await rig.watch(view="ddd")
    await rig.idle(2 * MINUTE)
    assert rig.told("endpoint.not_ready") == ["endpoint.not_ready"] * 2
    assert rig.told("incident.") == []
