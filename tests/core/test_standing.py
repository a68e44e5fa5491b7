"""What stands, as alerts: known by labels that stay, told with texts a person can act on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from monitor.core.book import Book
from monitor.core.interval import Interval
from monitor.core.standing import LISTED, Own, Patience, Queue, Standing, standing
from monitor.core.verdict import CertificateFacts
from tests.core.builders import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    START,
    after,
    book,
    cadence,
    declaration,
    endpoint,
    fact,
    minutes,
    watch,
)


def certificate(not_after: datetime) -> CertificateFacts:
    return CertificateFacts("CN=x", "CN=ca", "1", START - 90 * DAY, not_after, ("x",), "a" * 64)


def alerts(known: Book, now: datetime, own: Own | None = None) -> dict[str, Standing]:
    """What stands, by alert name."""
    return {dict(one.labels)["alertname"]: one for one in standing(known, own or Own(), now)}


def labels(one: Standing) -> dict[str, str]:
    return dict(one.labels)


def broken() -> tuple[Book, datetime]:
    """A Book with an open incident, and now: a minute and a half after it began."""
    known = book(endpoint(cadence=cadence(gap_after=30 * DAY)))
    now = watch(known, "ddd")
    known.correlate(now, {"west"})
    return known, now


def step(known: Book, kind: str, now: datetime, **body: Any) -> None:
    known.learn(fact(f"incident.{kind}", now, id="I-1", **body))


# Incidents


def test_nothing_stands_where_all_is_well() -> None:
    """A Book without trouble and a daemon in order call for no alert."""
    known = book()
    assert standing(known, Own(), watch(known, "uuu")) == []


def test_an_open_incident_stands_since_it_began() -> None:
    """Incident and group are its identity; the texts say until when, and what to do."""
    known, now = broken()
    told = alerts(known, now)
    assert set(told) == {"MonitorIncident", "MonitorIncidentUnreported"}
    one = told["MonitorIncident"]
    assert labels(one) == {
        "alertname": "MonitorIncident",
        "severity": "critical",
        "origin": "monitor",
        "incident": "I-1",
        "group": "west",
    }
    assert (one.since, one.ended_at, one.page) == (START, None, "/incidents/I-1")
    assert one.summary == "Incident I-1: view unavailable"
    assert "restore by 2026-03-02T11:00:00Z" in one.description
    assert "monitor incident report I-1" in told["MonitorIncidentUnreported"].description


def test_joining_endpoints_change_the_text_and_not_the_identity() -> None:
    """An incident that grows stays the same alert."""
    known = book(endpoint("a"), endpoint("b"))
    now = watch(known, "ddd", name="a")
    known.correlate(now, {"west"})
    before = alerts(known, now)["MonitorIncident"]
    watch(known, "ddd", name="b")
    known.correlate(now + HOUR, {"west"})
    after_it = alerts(known, now + HOUR)["MonitorIncident"]
    assert before.labels == after_it.labels
    assert after_it.summary == "Incident I-1: a, b unavailable"


def test_many_endpoints_are_counted() -> None:
    """A text names the first ten and how many more there are."""
    names = [f"e{number:02}" for number in range(LISTED + 2)]
    known = book(*(endpoint(name) for name in names))
    for name in names:
        now = watch(known, "ddd", name=name)
    known.correlate(now, {"west"})
    assert "e09 and 2 more" in alerts(known, now)["MonitorIncident"].summary


def test_a_restored_incident_is_told_as_over_for_a_while() -> None:
    """Its end is told as of its end, also by a daemon that was down then; later it is forgotten."""
    known, now = broken()
    now = watch(known, "uu", now)
    known.correlate(now, {"west"})
    restored = now - 60 * SECOND
    assert alerts(known, now)["MonitorIncident"].ended_at == restored
    still = Patience().ended
    assert "MonitorIncident" in alerts(known, restored + still - SECOND)
    assert set(alerts(known, restored + still)) == {"MonitorIncidentUnreported"}


def test_what_maps_is_owed_stands_until_it_is_given() -> None:
    """A report, and an update whose time has come; both end with their step, or with closing."""
    known, now = broken()
    step(known, "reported", now, reported_at=now, ticket="T-1", author="ops")
    assert "MonitorIncidentUnreported" not in alerts(known, now)
    due = now + HOUR
    step(known, "updated", now, author="ops", text="looking", next_update_at=due)
    assert "MonitorIncidentUpdateDue" not in alerts(known, due - SECOND)
    assert alerts(known, due)["MonitorIncidentUpdateDue"].since == due
    step(known, "updated", due, author="ops", text="mended", cause="disk", location="own")
    assert "MonitorIncidentUpdateDue" not in alerts(known, due)
    now = watch(known, "uu", due)
    known.correlate(now, {"west"})
    step(known, "attested", now, author="ops")
    step(known, "updated", now, author="ops", text="last", next_update_at=now)
    step(known, "closed", now, author="ops")
    assert set(alerts(known, now)) == {"MonitorIncident"}  # as over, for a while


def test_the_restoration_clock_is_told_once_at_risk_and_once_breached() -> None:
    """At risk warns from the first mark; breached takes its place; both end with the outage."""
    known, now = broken()
    known.overdue(after(minutes=60))
    told = alerts(known, after(minutes=60))
    assert told["MonitorRestorationAtRisk"].since == after(minutes=60)
    assert labels(told["MonitorRestorationAtRisk"])["severity"] == "warning"
    known.overdue(after(minutes=121))
    told = alerts(known, after(minutes=121))
    assert "MonitorRestorationAtRisk" not in told
    assert told["MonitorRestorationBreached"].since == after(minutes=121)
    assert labels(told["MonitorRestorationBreached"])["severity"] == "critical"
    now = watch(known, "uu", after(minutes=122))
    known.correlate(now, {"west"})
    assert "MonitorRestorationBreached" not in alerts(known, now)


def test_a_merged_incident_is_no_alert_of_its_own() -> None:
    """What was merged into another stands there."""
    known, now = broken()
    step(known, "merged", now, into="I-0")
    assert alerts(known, now) == {}


# Declarations, budgets, findings


def test_a_completion_is_due_two_hours_after_the_window() -> None:
    """Until it is recorded; MaPS' own downtime, and a draft, need none."""
    known = book()
    window = minutes(0, 60)
    known.learn(declaration(START, window))
    known.learn(declaration(START, window, id="D-2", kind="maps"))
    known.learn(declaration(START, window, id="D-3", notified_at=None))
    due = window.end + 2 * HOUR
    assert alerts(known, due - SECOND) == {}
    (one,) = standing(known, Own(), due)
    assert labels(one)["declaration"] == "D-1"
    assert (one.since, one.page) == (due, "/downtime/D-1")
    known.learn(fact("completion", due, id="D-1", author="ops"))
    assert alerts(known, due) == {}


def test_a_spent_budget_stands_for_its_month() -> None:
    """Once the notice was given, and as long as the figures say so."""
    known = book(endpoint(cadence=cadence(gap_after=30 * DAY)))
    watch(known, "ddd", START)
    now = START + 5 * HOUR
    assert "MonitorBudgetSpent" not in alerts(known, now)
    known.learn(
        fact("notice", now, once="slo.budget_exhausted view 2026-03", event="slo.budget_exhausted")
    )
    one = alerts(known, now)["MonitorBudgetSpent"]
    assert (labels(one)["endpoint"], labels(one)["service"], one.since) == ("view", "view", None)
    assert "Overspent by 77 min" in one.description  # 300 min lost of 222.9 allowed
    assert "MonitorBudgetSpent" not in alerts(known, now + 31 * DAY)
    # A figure that got better (an assertion withdrawn, another configuration) takes it back.
    better = book()
    better.inherit(known, START)
    better.restore("view", [], [], book().track("view"))
    assert "MonitorBudgetSpent" not in alerts(better, now)


def test_a_security_finding_stands_while_it_does() -> None:
    """It names its check; one of an endpoint taken out of the configuration is nobody's."""
    known = book()
    for name in ("view", "gone"):
        body = {"endpoint": name, "check": "tls_1_1", "finding": "TLS 1.1 is accepted"}
        known.learn(fact("security.finding", START, **body))
    (one,) = standing(known, Own(), START)
    assert labels(one)["check"] == "tls_1_1"
    assert (one.since, one.summary) == (START, "view: TLS 1.1 is accepted")


def test_an_own_fault_stands_while_the_last_probes_show_it() -> None:
    """One alert for each reason, whatever number of endpoints it keeps from being judged."""
    known = book(endpoint("a"), endpoint("b"), endpoint("c"))
    watch(known, "l", name="a")
    watch(known, "l", name="b")
    one = alerts(known, after(seconds=31))["MonitorLocalFault"]
    assert labels(one)["reason"] == "local_network"
    assert one.summary == "Own fault local_network: 2 endpoints cannot be judged"
    assert "a, b" in one.description
    watch(known, "u", name="a", start=after(minutes=1))
    watch(known, "u", name="b", start=after(minutes=1))
    assert alerts(known, after(minutes=2)) == {}


# The daemon


def test_certificates_warn_before_and_cry_after_they_ran_out() -> None:
    """Ours and the first of our chain by identity, theirs by endpoint."""
    soon, later = START + 20 * DAY, START + 300 * DAY
    own = Own(
        ours={"live": [certificate(later), certificate(later), certificate(soon)]},
        servers={"view": certificate(soon), "find": certificate(later)},
    )
    told = {labels(one)["role"]: one for one in standing(book(), own, START)}
    assert set(told) == {"client_ca", "server"}
    assert {labels(one)["alertname"] for one in told.values()} == {"MonitorCertificateExpiring"}
    assert told["server"].since == soon - timedelta(days=21)
    assert told["server"].page == "/endpoints/view"
    assert labels(told["client_ca"])["name"] == "live"
    late = {labels(one)["role"]: one for one in standing(book(), own, soon)}
    assert labels(late["server"])["alertname"] == "MonitorCertificateExpired"
    assert labels(late["server"])["severity"] == "critical"
    assert late["server"].since == soon


def test_an_identity_without_a_chain_has_no_chain_to_run_out() -> None:
    """A certificate alone is judged alone."""
    own = Own(ours={"live": [certificate(START + DAY)]})
    assert [labels(one)["role"] for one in standing(book(), own, START)] == ["client"]


def test_a_store_that_cannot_be_written_explains_why_we_are_not_ready() -> None:
    """One alert for one trouble: not ready is told only where nothing else says why."""
    failing = Own(store_failing_since=START, unready=("the store cannot be written",))
    assert set(alerts(book(), START, failing)) == {"MonitorStoreFailing"}
    stuck = alerts(book(), START, Own(unready=("no sweep since then",)))
    assert "no sweep since then" in stuck["MonitorNotReady"].description


def test_a_refused_reload_stands_until_one_is_taken_over() -> None:
    """What was refused is a label, so that two refusals are two alerts."""
    own = Own(refused={"identities": START, "configuration": START + MINUTE})
    told = standing(book(), own, START + HOUR)
    assert [(labels(one)["what"], one.since) for one in told] == [
        ("configuration", START + MINUTE),
        ("identities", START),
    ]


def test_a_stuck_queue_and_dead_letters_name_their_receiver() -> None:
    """Fifteen minutes without delivery is stuck; what was given up is told at once."""
    queues = {"ops": Queue(3, START, 0), "boss": Queue(0, None, 2)}
    own = Own(queues=queues)
    before = alerts(book(), START + 15 * MINUTE - SECOND, own)
    assert set(before) == {"MonitorAlertDeadLetters"}
    assert labels(before["MonitorAlertDeadLetters"])["receiver"] == "boss"
    stuck = alerts(book(), START + 15 * MINUTE, own)["MonitorAlertQueueStuck"]
    assert (labels(stuck)["receiver"], stuck.since) == ("ops", START + 15 * MINUTE)
    assert stuck.summary == "3 alerts wait for ops"


def test_every_alert_can_be_sent_as_it_is() -> None:
    """Labels are unique names in the form Prometheus allows, and no text is empty."""
    known, now = broken()
    known.learn(declaration(START, Interval(START, now), id="D-9"))
    own = Own(
        servers={"view": certificate(START)},
        store_failing_since=START,
        refused={"identities": START},
        queues={"ops": Queue(1, START, 1)},
    )
    told = standing(known, own, now + 3 * HOUR)
    assert len({one.labels for one in told}) == len(told) > 6
    for one in told:
        names = [name for name, _ in one.labels]
        assert len(set(names)) == len(names)
        assert all(name.isidentifier() and value for name, value in one.labels)
        assert one.summary
        assert one.description.endswith((".", "REF", "DIR", "TIME", "I-1", "D-9", "it."))
