"""What is asked and done over the API; every answer is held against its OpenAPI document."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from monitor.jobs import seal_months
from monitor.operations import OPERATIONS, perform
from monitor.web.api.openapi import openapi
from monitor.web.api.table import PREFIX, ROUTES
from tests.desks import ANNA
from tests.web.api.place import Api

READS = (
    "/status",
    "/overview",
    "/overview?state=trouble&environment=live&service=view&text=main&offset=0&limit=1",
    "/endpoints",
    "/endpoints/view-main",
    "/endpoints/view-test",
    "/endpoints/view-main/observations",
    "/endpoints/view-main/observations?start=2026-03-10T09:00&end=2026-03-10T09:30",
    "/endpoints/view-main/spans",
    "/endpoints/view-main/detail",
    "/endpoints/view-test/detail",
    "/endpoints/view-main/strip?start=2026-03-10T09:00&end=2026-03-10T09:30",
    "/endpoints/view-main/months",
    "/endpoints/view-main/months?by=holdername",
    "/findings",
    "/outages",
    "/outages?month=2026-03&by=holdername",
    "/assertions",
    "/incidents",
    "/incidents?all=true",
    "/incidents?state=closed",
    "/incidents/I-1",
    "/incidents/I-1/pack?expected_resolution=2026-03-10T12:00",
    "/calendar",
    "/calendar?weeks=2",
    "/declarations",
    "/declarations?all=true",
    "/declarations/D-1",
    "/declarations/D-2/pack",
    "/months",
    "/months/2026-03",
    "/months/2026-03?by=holdername",
    "/months/2026-03/detail",
    "/months/2026-03/detail?endpoint=view-main",
    "/months/2026-02/detail?endpoint=view-main",
    "/months/2026-02/returns?late=true",
    "/explain?id=view-main&at=2026-03-10T09:15",
    f"/explain?id={ANNA}&service=view&at=2026-03-10T09:15",
    "/alerts/dead",
    "/holdernames",
    "/holdernames?at=2026-01-15",
    "/service",
    "/identities",
    "/configuration/schema",
    "/ledger/head",
    "/ledger/facts",
)


@pytest.mark.parametrize("path", READS)
async def test_what_is_read_is_as_described_and_what_the_operation_says(
    api: Api, path: str
) -> None:
    """Every reading request answers with the document of its operation, of the described shape."""
    answer = await api.get(path, token="read")
    assert answer.status == 200
    assert answer.headers["ETag"].strip("W/").startswith('"')
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_every_reading_route_is_read_above() -> None:
    """No route is left out of the tests."""
    paths = [PREFIX + path.partition("?")[0] for path in READS]
    for route in ROUTES:
        if route.method == "GET":
            pattern = (PREFIX + route.path).split("/")
            assert any(
                len(pattern) == len(path.split("/"))
                and all(
                    a == b or a[0] == "{"
                    for a, b in zip(pattern, path.split("/"), strict=True)
                    if a
                )
                for path in paths
            ), route.path


async def test_the_documents_are_those_of_the_operations(api: Api) -> None:
    """A document of the API is, member for member, that of the operation."""
    for path, name, arguments in (
        ("/status", "status", {}),
        ("/months/2026-03?by=holdername", "slo", {"month": "2026-03", "by": "holdername"}),
        ("/incidents/I-1", "incident.show", {"id": "I-1"}),
        ("/declarations/D-1", "downtime.show", {"id": "D-1"}),
    ):
        wanted = await perform(api.place.desk, name, arguments, author="x")
        answer = await api.get(path)
        assert {k: v for k, v in answer.document.items() if k != "next"} == wanted


# -- writing ---------------------------------------------------------------------------------------

WINDOW = {"start": "2026-04-21T00:00", "end": "2026-04-21T01:00", "reason": "upgrade"}


async def test_a_declaration_lives_from_draft_to_completion(api: Api) -> None:
    """Declared, notified, amended, cancelled; each a fact whose author holds the token."""
    made = await api.post("/declarations", {**WINDOW, "endpoints": ["view-main"]}, token="declare")
    assert made.status == 201
    assert made.headers["Location"] == f"{PREFIX}/declarations/D-4"
    assert made.document["state"] == "draft"
    step = f"/declarations/{made.document['id']}"
    told = await api.post(f"{step}/notify", {"ticket": "T-9"}, token="declare")
    assert told.document["state"] == "notified"
    amended = await api.post(f"{step}/amend", {"end": "2026-04-21T02:00"}, token="declare")
    assert len(amended.document["versions"]) == 3
    cancelled = await api.post(f"{step}/cancel", {"reason": "not needed"}, token="declare")
    assert cancelled.document["state"] == "cancelled"
    assert {version["author"] for version in amended.document["versions"]} == {"declareer"}
    again = await api.post(f"{step}/cancel", {}, token="declare")
    assert (again.status, again.document["type"]) == (409, "/problems/illegal-step")


async def test_an_incident_is_closed_step_by_step(api: Api) -> None:
    """What is missing is said; once nothing is, it closes."""
    early = await api.post("/incidents/I-1/close", token="declare")
    assert early.status == 409
    for step, said in (
        ("report", {"ticket": "T-2"}),
        ("update", {"text": "more", "next_update_at": "2026-03-10T12:00"}),
        ("attest", {}),
        ("close", {}),
    ):
        answer = await api.post(f"/incidents/I-1/{step}", said, token="declare")
        assert answer.status == 200, answer.document
    assert answer.document["state"] == "closed"
    assert answer.document["timeline"][-1]["author"] == "declareer"


async def test_assertions_imports_alerts_and_plans(api: Api) -> None:
    """The rest of what can be done is done, by who may."""
    asserted = await api.post(
        "/assertions",
        {"holdernames": [ANNA], "start": "2026-03-10T09:05", "reason": "back end"},
        token="declare",
    )
    assert asserted.status == 201
    name = asserted.document["id"]
    window = {"start": WINDOW["start"], "end": WINDOW["end"]}
    assert (await api.post(f"/assertions/{name}/withdraw", token="declare")).status == 200
    assert (await api.post("/declarations/plan", window, token="read")).status == 200
    calendar = "uid,start,end,summary\nx@maps,2026-04-01T00:00,2026-04-01T04:00,MaPS\n"
    taken = await api.post("/declarations/import", {"calendar": calendar, "format": "csv"})
    assert taken.document["events"][0]["outcome"] == "declared"
    assert (await api.post("/alerts/test", {"receiver": "ops"})).document["queued"] == ["ops"]
    assert (await api.post("/alerts/resend", {"all": True})).document["resent"] == 0
    mapping = f"guid,name,endpoints,from,until\n{ANNA},Anna,view-main,2026-01-01,\n"
    assert (await api.post("/holdernames/import", {"mapping": mapping})).status in (200, 422)
    register = "guid,name,service,endpoint_url\n"
    assert (await api.post("/holdernames/reconcile", {"register": register})).status in (200, 422)
    probed = await api.post("/endpoints/view-main/probe", token="read")
    assert (probed.document["result"], probed.document["shown"]["identity"]) == ("up", "live")
    none = await api.post("/endpoints/view-main/acknowledge-change", {"reference": "TC-1"})
    assert none.status == 409
    refused = await api.post("/months/2026-02/approve")
    assert refused.status == 422


async def test_whoever_changed_a_sealed_figure_does_not_approve_it(api: Api) -> None:
    """Two tokens are needed: what one's fact betters, only another's approval lets count."""
    asserted = {
        "holdernames": [ANNA],
        "start": "2026-02-03T09:00",
        "end": "2026-02-03T10:00",
        "reason": "back end",
    }
    name = (await api.post("/assertions", asserted)).document["id"]
    place = api.place
    await seal_months(place.cycle, "0" * 64, place.clock.time)
    place.clock.time += timedelta(minutes=1)
    await api.post(f"/assertions/{name}/withdraw", token="admin")
    place.clock.time += timedelta(minutes=1)
    await seal_months(place.cycle, "0" * 64, place.clock.time)
    (february,) = [
        one for one in (await api.get("/months")).document["months"] if one["month"] == "2026-02"
    ]
    assert february["proposed"]["authors"] == ["adminer"]
    own = await api.post("/months/2026-02/approve")
    assert (own.status, "adminer caused this change" in own.document["detail"]) == (422, True)
    borrowed = await api.post("/months/2026-02/approve", {"approved_by": "somebody"})
    assert borrowed.status == 422
    good = await api.post("/months/2026-02/approve", token="second")
    assert (good.status, good.document["approved_by"]) == (200, "seconder")


# -- pages -----------------------------------------------------------------------------------------

LISTS = (
    ("/endpoints", "endpoints"),
    ("/endpoints/view-main/observations?start=2026-03-10T09:00", "observations"),
    ("/outages?by=holdername", "outages"),
    ("/incidents?all=true", "incidents"),
    ("/declarations?all=true", "declarations"),
    ("/assertions", "assertions"),
    ("/months/2026-03?by=holdername", "months"),
    ("/holdernames", "holdernames"),
    ("/ledger/facts", "facts"),
)


@pytest.mark.parametrize(("path", "rows"), LISTS)
async def test_pages_make_up_the_whole_list(api: Api, path: str, rows: str) -> None:
    """Page by page, in pages of any size, every row comes exactly once."""
    whole = (await api.get(path)).document
    assert whole["next"] is None
    joint = "&" if "?" in path else "?"
    for limit in (1, 2, len(whole[rows])):
        found: list[Any] = []
        answer = await api.get(f"{path}{joint}limit={limit}")
        found += answer.document[rows]
        while answer.document["next"] is not None:
            assert f"cursor={answer.document['next']}" in answer.headers["Link"]
            assert answer.headers["Link"].endswith('rel="next"')
            answer = await api.get(f"{path}{joint}limit={limit}&cursor={answer.document['next']}")
            assert len(answer.document[rows]) <= limit
            found += answer.document[rows]
        assert found == whole[rows]
        assert "Link" not in answer.headers


async def test_a_cursor_stays_good_while_rows_are_added(api: Api) -> None:
    """A row added between two pages moves no other; it comes at its place."""
    first = await api.get("/declarations?all=true&limit=2")
    await api.post("/declarations", WINDOW)
    rest = await api.get(f"/declarations?all=true&cursor={first.document['next']}")
    names = [one["id"] for one in first.document["declarations"] + rest.document["declarations"]]
    assert names == ["D-1", "D-2", "D-3", "D-4"]


@pytest.mark.parametrize(
    "cursor", ["x", "", "AAAA", "bnVsbA", "W1siYSJdLDFd", "e30", "%FF%FE", "x" * 2000, "WzEsMl0="]
)
async def test_a_cursor_of_no_list_is_refused(api: Api, cursor: str) -> None:
    """Whatever it is, it is refused as such, and so is that of a list with other filters."""
    answer = await api.get(f"/declarations?cursor={cursor}")
    assert answer.status == 400
    assert answer.document["type"] in ("/problems/invalid-cursor", "/problems/invalid-request")
    good = await api.get("/declarations?all=true&limit=1")
    other = await api.get(f"/declarations?cursor={good.document['next']}")
    assert (other.status, other.document["type"]) == (400, "/problems/invalid-cursor")


# -- as it was -------------------------------------------------------------------------------------


async def test_what_has_not_changed_is_not_sent_again(api: Api) -> None:
    """A tag sent back is answered with 304, until something changed."""
    for path in ("/declarations/D-1", "/endpoints", "/outages"):
        tag = (await api.get(path)).headers["ETag"]
        assert tag.startswith("W/") == (path != "/declarations/D-1")
        for header in (tag, f'"x", {tag}', "*", tag.removeprefix("W/")):
            same = await api.get(path, headers={"If-None-Match": header})
            assert (same.status, same.headers["ETag"]) == (304, tag)
        assert (await api.get(path, headers={"If-None-Match": '"x"'})).status == 200
    await api.post("/declarations/D-1/amend", {"reason": "another"})
    changed = await api.get("/declarations/D-1", headers={"If-None-Match": tag})
    assert changed.status == 200


async def test_head_is_get_without_a_body(api: Api) -> None:
    """Programs may look at the headers alone."""
    url = f"{PREFIX}/declarations/D-1"
    known = {"Authorization": f"Bearer {api.secrets['read']}"}
    async with api.client.head(url, headers=known) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert "ETag" in answer.headers
    async with api.client.head(f"{PREFIX}/nowhere", headers=known) as answer:
        assert answer.status == 404


async def test_large_answers_are_compressed_for_who_takes_it(api: Api) -> None:
    """And small ones, or those for others, are not."""
    raw = {"auto_decompress": False}
    url = f"{PREFIX}/openapi.json"
    async with api.client.get(url, headers={"Accept-Encoding": "gzip"}, **raw) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in answer.headers["Vary"]
        body = await answer.read()
        tag = answer.headers["ETag"]
    assert json.loads(gzip.decompress(body)) == json.loads(json.dumps(openapi()))
    async with api.client.get(url, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    for refusing in ("identity", "gzip;q=0", "br"):
        async with api.client.get(url, headers={"Accept-Encoding": refusing}, **raw) as answer:
            assert "Content-Encoding" not in answer.headers


# -- the description -------------------------------------------------------------------------------


def test_the_description_is_sound() -> None:
    """It is of OpenAPI 3.1, every schema is one, every reference leads somewhere, ids differ."""
    document = openapi()
    assert document["openapi"] == "3.1.0"
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    text = json.dumps(document)
    for name in set(text.split('"#/components/schemas/')[1:]):
        assert name.partition('"')[0] in document["components"]["schemas"]
    ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))
    for path in document["paths"].values():
        for one in path.values():
            assert one["summary"]
            assert all(parameter["description"] for parameter in one["parameters"])


def test_every_operation_has_a_route() -> None:
    """Whatever can be asked or done can be over HTTP."""
    assert {route.operation for route in ROUTES} == set(OPERATIONS)


def test_what_records_needs_more_than_reading() -> None:
    """No route that writes is open to the scope read."""
    for route in ROUTES:
        if route.writes:
            assert route.scope != "read", route.path
            assert route.method == "POST"
