"""The page of the monitor itself: what it tells, and what may be done there."""

from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from monitor.core.verdict import CertificateFacts
from monitor.findings import Guard
from monitor.web.tokens import Scope
from tests.desks import START
from tests.web.browser import LOOKS, Browser, axe, overflows, visit
from tests.web.site import Site, Visitor

SHARED = pytest.mark.asyncio(loop_scope="session")
"""Tests in the browser share its loop."""
DAY = timedelta(days=1)
LEAF = CertificateFacts("CN=one", "O=A CA", "1", START, START + 90 * DAY, ("one.example",), "a")


class NoChecks:
    """Nothing is asked of endpoints here."""


async def with_finding(site: Site) -> None:
    """The server certificate of view-main is another one, of another issuer: a finding stands."""
    await site.see("view-main", "up", START + timedelta(minutes=2))
    guard = Guard(site.place.cycle, site.place.clock, NoChecks())  # type: ignore[arg-type]
    await guard.watch({"view-main": LEAF})
    other = replace(LEAF, issuer="O=Another CA", serial="2", sha256="b", names=("two.example",))
    await guard.watch({"view-main": other})


async def with_dead_alerts(site: Site) -> list[int]:
    """A test that neither receiver accepted; the numbers of what was given up."""
    await site.ask("alerts.test", {}, "ops")
    place = site.place
    for receiver in ("ops", "boss"):
        [delivery] = await place.store.due(receiver, place.clock.time, 1)
        await place.store.failed(delivery, place.clock.time, error="410 gone", retry_at=None)
    return [one["id"] for one in (await site.ask("alerts.dead", {}, ""))["dead"]]


def with_identities(site: Site) -> None:
    """Certificates with a year, with three weeks, and with none left."""

    def certificate(subject: str, days: int) -> dict[str, object]:
        end = f"{START + days * DAY:%Y-%m-%dT%H:%M:%SZ}"
        return {"subject": subject, "issuer": "CN=MaPS", "not_after": end}

    site.identities = [
        {
            "name": "live",
            "certificate": certificate("CN=ours", 21),
            "chain": [certificate("CN=issuing", 365), certificate("CN=old", -1)],
        }
    ]


@SHARED
@pytest.mark.parametrize("look", LOOKS)
async def test_the_page_of_the_service_is_accessible(
    browser: Browser, site: Site, look: str
) -> None:
    """With a finding, dead alerts, identities and sessions: axe finds nothing, nothing sticks out."""
    await with_finding(site)
    await with_dead_alerts(site)
    with_identities(site)
    async with site.serving(), visit(browser, **LOOKS[look]) as page:
        await site.log_in(page)
        await page.goto(f"{site.url}/service")
        await page.evaluate(
            "document.querySelectorAll('details').forEach((one) => one.open = true)"
        )
        assert await axe(page) == []
        assert await overflows(page) == []


async def test_the_monitor_tells_how_it_fares(visitor: Visitor) -> None:
    """Readiness, warnings, certificates by what is left to them, ledger, tokens and sessions."""
    site = visitor.site
    with_identities(site)
    site.reasons.append("no sweep since 09:00")
    await visitor.log_in(Scope.READ, "Jane Doe")
    text = (await visitor.get("/service"))[2]
    assert "<li>no sweep since 09:00</li>" in text
    assert "The moon is full." in text
    assert '<span class="tag warn">21 days 0h</span>' in text
    assert '<span class="tag bad">expired</span>' in text
    assert site.place.settings.digest in text
    assert "reader (Jane Doe) (you)" in text
    for name in site.NAMES.values():
        assert f'<th scope="row">{name}</th>' in text
    for scope in Scope:
        assert site.entries[scope]["sha256"] not in text
        assert site.secrets[scope] not in text
    assert "Send a test" not in text, "a reader may not"


async def test_alerts_that_were_given_up_are_sent_again(visitor: Visitor) -> None:
    """One, then all; each is queued, and it is the admin who may."""
    site = visitor.site
    first, _ = await with_dead_alerts(site)
    csrf = await visitor.log_in()
    assert "410 gone" in (await visitor.get("/service"))[2]
    form = {"csrf": csrf, "id": str(first)}
    assert (await visitor.post("/service/resend", form))[:2] == (303, "/service?done=resend")
    assert len((await site.ask("alerts.dead", {}, ""))["dead"]) == 1
    assert (await visitor.post("/service/resend", {"csrf": csrf, "id": "all"}))[0] == 303
    assert (await site.ask("alerts.dead", {}, ""))["dead"] == []
    assert (await visitor.post("/service/test", {"csrf": csrf}))[0] == 303
    assert "A test is queued." in (await visitor.get("/service?done=test"))[2]


async def test_alerts_that_were_delivered_are_not_denied(visitor: Visitor) -> None:
    """Once both receivers have the test, the page says that nothing waits: not that nothing was sent."""
    site = visitor.site
    await site.ask("alerts.test", {}, "ops")
    place = site.place
    for receiver in ("ops", "boss"):
        [delivery] = await place.store.due(receiver, place.clock.time, 1)
        await place.store.delivered(delivery, place.clock.time)
    await visitor.log_in()
    text = (await visitor.get("/service"))[2]
    assert "Nothing waits to be delivered, and nothing was given up." in text


async def test_a_change_that_was_found_is_explained(visitor: Visitor) -> None:
    """With the reference of its technical change the finding stands no longer; it needs one."""
    site = visitor.site
    await with_finding(site)
    csrf = await visitor.log_in(Scope.DECLARE)
    assert "certificate change" in (await visitor.get("/service"))[2]
    form = {"csrf": csrf, "id": "view-main", "reference": " "}
    status, _, text = await visitor.post("/service/acknowledge", form)
    assert status == 422
    assert "There is a problem" in text
    form["reference"] = "TC-12"
    assert (await visitor.post("/service/acknowledge", form))[0] == 303
    assert "None stands." in (await visitor.get("/service"))[2]


async def test_what_may_not_be_done_there_changes_nothing(visitor: Visitor) -> None:
    """Too small a scope, nonsense, no session: refused with the right status, and logged."""
    site = visitor.site
    numbers = await with_dead_alerts(site)
    before = site.facts
    assert (await visitor.post("/service/resend", {"id": "all"}))[0] == 401
    csrf = await visitor.log_in(Scope.DECLARE)
    with capture_logs() as logs:
        for step in ("resend", "test"):
            assert (await visitor.post(f"/service/{step}", {"csrf": csrf, "id": "all"}))[0] == 403
    assert [one["event"] for one in logs] == ["visitor_forbidden"] * 2
    csrf = await visitor.log_in()
    for number in ("", "-1", "1 or 1", "9" * 30, "٣"):
        form = {"csrf": csrf, "id": number}
        assert (await visitor.post("/service/resend", form))[0] == 400
    assert (await visitor.post("/service/resend", {"csrf": csrf, "id": "999"}))[0] in (404, 422)
    assert (await visitor.post("/service/explode", {"csrf": csrf}))[0] == 404
    assert site.facts == before
    assert [one["id"] for one in (await site.ask("alerts.dead", {}, ""))["dead"]] == numbers
