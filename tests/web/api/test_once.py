"""What is sent twice is done once: Idempotency-Key, and If-Match against lost changes."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import subprocess
import sys
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.store import RECEIPTS_KEPT, SqliteStore
from monitor.core.fact import Fact
from monitor.ports import Change, Receipt
from monitor.web.tokens import Tokens
from tests.desks import ANNA, START
from tests.web.api.place import Api, app_of, place_at, tokens_file

WINDOW = {"start": "2026-04-21T00:00", "end": "2026-04-21T01:00", "reason": "upgrade"}
CALENDAR = "uid,start,end,summary\nx@maps,2026-04-01T00:00,2026-04-01T04:00,MaPS\n"
WRITES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/declarations", WINDOW),
    ("/declarations/import", {"calendar": CALENDAR, "format": "csv"}),
    ("/declarations/D-1/amend", {"reason": "another"}),
    ("/declarations/D-1/cancel", {}),
    ("/assertions", {"holdernames": [ANNA], "start": "2026-03-10T09:05", "reason": "x"}),
    ("/assertions/A-1/withdraw", {}),
    ("/incidents/I-1/report", {"ticket": "T"}),
    ("/incidents/I-1/attest", {}),
    ("/alerts/test", {}),
    ("/alerts/resend", {"all": True}),
)
KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


def told(api: Api) -> int:
    assert isinstance(api.place.store, SqliteStore)
    return api.place.store.head()[0]


def queued(api: Api) -> dict[str, Any]:
    return {name: (row[0], row[2]) for name, row in api.place.store.queue_stats().items()}


@pytest.mark.parametrize(("path", "body"), WRITES)
async def test_a_repeated_write_is_answered_alike_and_done_once(
    api: Api, path: str, body: dict[str, Any]
) -> None:
    """The same key and request again: the same answer, byte for byte, and nothing more recorded."""
    first = await api.post(path, body, headers=KEY)
    assert first.status in (200, 201)
    kept, waiting = told(api), queued(api)
    api.place.clock.time += timedelta(minutes=5)
    again = await api.post(path, body, headers=KEY)
    assert (again.status, again.body) == (first.status, first.body)
    assert (told(api), queued(api)) == (kept, waiting)


@pytest.mark.parametrize(("path", "body"), WRITES)
async def test_a_write_whose_answer_was_lost_is_answered_from_its_facts(
    api: Api, path: str, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed but never answered: the repeat says what was done, and does nothing."""
    assert isinstance(api.place.store, SqliteStore)
    with monkeypatch.context() as lost:

        async def nothing(self: SqliteStore, key: str, answer: Any) -> None: ...

        lost.setattr(SqliteStore, "answered", nothing)
        first = await api.post(path, body, headers=KEY)
    kept, waiting = told(api), queued(api)
    again = await api.post(path, body, headers=KEY)
    assert (again.status, told(api), queued(api)) == (first.status, kept, waiting)
    if path != "/declarations/import":
        assert again.document == first.document


async def test_a_key_stands_for_one_request(api: Api) -> None:
    """Another body, path or person with the same key: refused, or nothing to do with it."""
    assert (await api.post("/declarations", WINDOW, headers=KEY)).status == 201
    kept = told(api)
    for path, body in (
        ("/declarations", {**WINDOW, "reason": "another"}),
        ("/declarations/D-1/cancel", {}),
    ):
        other = await api.post(path, body, headers=KEY)
        assert (other.status, other.document["type"]) == (422, "/problems/idempotency-key-reused")
    assert told(api) == kept
    bare = {"Idempotency-Key": KEY["Idempotency-Key"].strip('"')}
    again = await api.post("/declarations", dict(reversed(WINDOW.items())), headers=bare)
    assert (again.status, told(api)) == (201, kept)
    somebody = await api.post("/declarations", WINDOW, headers=KEY, token="declare")
    assert (somebody.document["id"], told(api)) == ("D-5", kept + 1)


async def test_a_refused_request_may_be_sent_again(api: Api) -> None:
    """What changed nothing is no request done: mended or not, the key is still good."""
    for _ in range(2):
        early = await api.post("/incidents/I-1/close", headers=KEY)
        assert (early.status, early.document["type"]) == (409, "/problems/illegal-step")
    assert (await api.post("/declarations", WINDOW, headers=KEY)).status == 201


async def test_two_at_once_are_one(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a request is worked on, the same again is told to wait; then it has the answer."""
    go, commit = asyncio.Event(), SqliteStore.commit

    async def slowly(self: SqliteStore, change: Change) -> None:
        await go.wait()
        await commit(self, change)

    monkeypatch.setattr(SqliteStore, "commit", slowly)
    first = asyncio.ensure_future(api.post("/declarations", WINDOW, headers=KEY))
    await asyncio.sleep(0.2)
    second = await api.post("/declarations", WINDOW, headers=KEY)
    assert (second.status, second.document["type"]) == (409, "/problems/idempotency-in-flight")
    go.set()
    assert (await first).status == 201
    assert (await api.post("/declarations", WINDOW, headers=KEY)).body == (await first).body


@pytest.mark.parametrize("key", ["", " ", '"', '""', "a b", "é", "x" * 256])
async def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    """Nothing is done under a key that could not be kept."""
    kept = told(api)
    answer = await api.post("/declarations", WINDOW, headers={"Idempotency-Key": key})
    assert (answer.status, answer.document["type"]) == (400, "/problems/idempotency-key-invalid")
    assert told(api) == kept


def killed_by_a_write(folder: Path, secret: str) -> int:
    """Declare at a server that dies of it once it is on disk; how the process ended."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.web.api.dies", str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            request = urllib.request.Request(
                f"http://127.0.0.1:{process.stdout.readline().strip()}/api/v1/declarations",
                data=json.dumps(WINDOW).encode(),
                headers={
                    "Authorization": f"Bearer {secret}",
                    "Content-Type": "application/json",
                    **KEY,
                },
            )
            with pytest.raises((ConnectionError, http.client.HTTPException)):
                urllib.request.urlopen(request, timeout=30)
            return process.wait(30)
        finally:
            process.kill()


async def test_a_key_survives_a_kill_between_commit_and_answer(
    tmp_path: Path, aiohttp_client: Any
) -> None:
    """The process dies once the change is on disk; the next one answers, and does nothing again."""
    _, secrets = tokens_file(tmp_path)
    ended = await asyncio.to_thread(killed_by_a_write, tmp_path, secrets["declare"])
    assert ended == -signal.SIGKILL
    place = place_at(tmp_path)
    for _, fact in place.store.facts():
        place.book.learn(fact)
    assert list(place.book.calendar.declarations) == ["D-1"]
    client = await aiohttp_client(app_of(place, Tokens(tmp_path / "tokens.yaml")))
    api = Api(client, place, secrets)
    for _ in range(2):
        again = await api.post("/declarations", WINDOW, headers=KEY, token="declare")
        assert (again.status, again.document["id"]) == (201, "D-1")
    assert [fact.type for _, fact in place.store.facts()] == ["declaration"]
    place.store.close()


async def test_receipts_are_forgotten_after_two_days(tmp_path: Path) -> None:
    """A store does not keep every key for ever; those of the last two days are there."""
    with SqliteStore.open(tmp_path / "store.db") as store:
        for hours in (0, 47, 49):
            receipt = Receipt(f"{hours}", "f", START + timedelta(hours=hours))
            await store.commit(Change(facts=[Fact(START, "note", {})], receipt=receipt))
        assert timedelta(hours=48) == RECEIPTS_KEPT
        assert [store.receipt(key) is not None for key in ("0", "47", "49")] == [False, True, True]


async def test_a_change_since_it_was_read_is_not_overwritten(api: Api) -> None:
    """With If-Match an amendment is refused if another came first; with the present tag it is not."""
    tag = (await api.get("/declarations/D-1")).headers["ETag"]
    assert (await api.post("/declarations/D-1/amend", {"reason": "mine"})).status == 200
    kept = told(api)
    late = await api.post(
        "/declarations/D-1/amend", {"reason": "theirs"}, headers={"If-Match": tag}
    )
    assert (late.status, late.document["type"]) == (412, "/problems/precondition-failed")
    assert told(api) == kept
    for present in (late.headers["ETag"], "*"):
        good = await api.post(
            "/declarations/D-1/amend", {"reason": "now"}, headers={"If-Match": present}
        )
        assert good.status == 200
    weak = {"If-Match": "W/" + (await api.get("/declarations/D-1")).headers["ETag"]}
    assert (await api.post("/declarations/D-1/cancel", {}, headers=weak)).status == 412
