"""Sessions of the pages: what they allow, what ends them, and what is refused."""

import re

import aiohttp
import pytest
from structlog.testing import capture_logs

from monitor.errors import UsageError
from monitor.web.console.access import local_path
from monitor.web.sessions import IDLE, LONGEST, MOST, REFRESH, Sessions, read_person
from monitor.web.tokens import FAILURES, Scope
from tests.web.site import HTML, Site, Visitor

# -- logging in and out ----------------------------------------------------------------------------


async def test_a_login_gives_a_cookie_that_scripts_and_other_sites_never_get(
    visitor: Visitor,
) -> None:
    """HttpOnly, SameSite=Strict, the whole host; and a new id at each login."""
    form = {"token": visitor.site.secrets[Scope.READ], "next": "/?x=1"}
    answer = await visitor.http.post(
        f"{visitor.site.url}/login", data=form, headers=HTML, allow_redirects=False
    )
    assert (answer.status, answer.headers["Location"]) == (303, "/?x=1")
    assert re.fullmatch(
        r"monitor=[\w-]{43}; HttpOnly; Path=/; SameSite=Strict", answer.headers["Set-Cookie"]
    )
    first = visitor.cookie
    await visitor.log_in()
    assert visitor.cookie != first
    visitor.plant(first)
    assert (await visitor.get("/"))[0] == 303, "the session before it is over"


async def test_with_tls_the_cookie_never_leaves_it(visitor: Visitor) -> None:
    """Behind a proxy that speaks TLS the cookie is bound to it and to this very host."""
    answer = await visitor.http.post(
        f"{visitor.site.url}/login",
        data={"token": visitor.site.secrets[Scope.READ]},
        headers={**HTML, "X-Forwarded-Proto": "https"},
        allow_redirects=False,
    )
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-monitor=")
    assert cookie.endswith("; HttpOnly; Path=/; SameSite=Strict; Secure")


async def test_a_planted_id_is_never_taken_over(visitor: Visitor) -> None:
    """Session fixation: an id that was there before the login opens nothing after it."""
    planted = "A" * 43
    visitor.plant(planted)
    await visitor.log_in()
    assert visitor.cookie != planted
    visitor.plant(planted)
    assert (await visitor.get("/"))[:2] == (303, "/login?next=%2F")


async def test_a_logout_ends_the_session(visitor: Visitor) -> None:
    """The cookie is taken back, and its id opens nothing any more."""
    csrf = await visitor.log_in()
    old = visitor.cookie
    assert (await visitor.post("/logout", {"csrf": csrf}))[:2] == (303, "/login")
    assert list(visitor.http.cookie_jar) == []
    visitor.plant(old)
    assert (await visitor.get("/"))[0] == 303


async def test_wrong_tokens_are_refused_and_put_off(visitor: Visitor) -> None:
    """401 with the form again, logged, then 429; the wrong token is never shown, a good one passes."""
    with capture_logs() as logs:
        answers = [await visitor.post("/login", {"token": "geheim"}) for _ in range(FAILURES + 1)]
    assert [one[0] for one in answers] == [401] * FAILURES + [429]
    assert all("geheim" not in one[2] for one in answers)
    assert [one["event"] for one in logs] == ["token_refused"] * FAILURES
    await visitor.log_in()


@pytest.mark.parametrize("person", ["x" * 65, "<b>", "ops (Jane)", "1", "a\nb\x00"])
async def test_a_name_that_could_mislead_is_refused(visitor: Visitor, person: str) -> None:
    """The form comes back with the fault; nobody is logged in."""
    form = {"token": visitor.site.secrets[Scope.ADMIN], "person": person}
    status, _, text = await visitor.post("/login", form)
    assert status == 422
    assert "your name" in text.lower()
    assert (await visitor.get("/"))[0] == 303
    with pytest.raises(UsageError):
        read_person(person)


def test_names_of_people_are_taken_as_they_are_written() -> None:
    """Letters of any script, and spaces as one."""
    for name in ("Jane Doe", "Zoë O'Brien-Smith", "J. R. Ünal", "李雷", ""):
        assert read_person(f"  {name.replace(' ', '   ')} ") == name


@pytest.mark.parametrize(
    "given",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: x=y",
        "/login?next=/login",
        "/logout",
        "incidents",
        "",
        None,
    ],
)
async def test_only_paths_of_our_own_are_gone_on_to(given: str | None) -> None:
    """Whatever else `next` says, the overview follows."""
    assert local_path(given) == "/"
    assert local_path("/incidents?state=open") == "/incidents?state=open"


# -- forged requests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_a_form_of_another_site_is_refused(visitor: Visitor, headers: dict[str, str]) -> None:
    """403 even with the right token in the form, logged, and the session stays; so is a login."""
    csrf = await visitor.log_in()
    with capture_logs() as logs:
        assert (await visitor.post("/logout", {"csrf": csrf}, **headers))[0] == 403
    assert [one["event"] for one in logs] == ["request_astray"]
    assert (await visitor.get("/"))[0] == 200
    form = {"token": visitor.site.secrets[Scope.ADMIN]}
    assert (await visitor.post("/login", form, **headers))[0] == 403


@pytest.mark.parametrize("given", [{}, {"csrf": ""}, {"csrf": "A" * 43}, {"csrf": "ünicode"}])
async def test_a_form_without_the_sessions_token_is_refused(
    visitor: Visitor, given: dict[str, str]
) -> None:
    """Missing, empty, made up: 403; the token of an earlier session is no better."""
    old = await visitor.log_in()
    csrf = await visitor.log_in()
    for form in (given, {"csrf": old}):
        status, _, text = await visitor.post("/logout", form)
        assert status == 403
        assert "not of this session" in text
    assert (await visitor.get("/"))[0] == 200
    assert (await visitor.post("/logout", {"csrf": csrf}, Sec_Fetch_Site="same-origin"))[0] == 303


async def test_a_form_from_our_own_address_is_taken(visitor: Visitor) -> None:
    """An Origin that is the host asked is our own page; the token may come in a header too."""
    csrf = await visitor.log_in()
    headers = {"Origin": visitor.site.url, "X-CSRF-Token": csrf}
    answer = await visitor.http.post(
        f"{visitor.site.url}/logout", json={}, headers=headers, allow_redirects=False
    )
    assert answer.status == 303


async def test_a_damaged_form_is_refused(visitor: Visitor) -> None:
    """A multipart body that is none, and one without its boundary."""
    await visitor.log_in()
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = await visitor.http.post(
            f"{visitor.site.url}/logout",
            data=b"nonsense",
            headers={**HTML, "Content-Type": kind},
            allow_redirects=False,
        )
        assert answer.status in (400, 403)
    assert (await visitor.get("/"))[0] == 200


async def test_somebody_from_another_site_is_led_over_a_page_of_ours(visitor: Visitor) -> None:
    """A link elsewhere brings no strict cookie: the page sends itself on, and then the login."""
    sent = {"Sec-Fetch-Site": "cross-site"}
    answer = await visitor.http.get(f"{visitor.site.url}/?x=1", headers={**HTML, **sent})
    assert answer.status == 200
    assert '<meta http-equiv="refresh" content="0; url=/?x=1">' in await answer.text()
    assert (await visitor.get("/?x=1", **{"Sec-Fetch-Site": "same-origin"}))[0] == 303


# -- what ends a session ---------------------------------------------------------------------------


async def test_a_session_is_bound_to_its_token(visitor: Visitor) -> None:
    """Taken out of the file, or given another scope, the token takes its sessions with it."""
    site = visitor.site
    for change in ("gone", "scope"):
        await visitor.log_in(Scope.DECLARE)
        assert (await visitor.get("/"))[0] == 200
        if change == "gone":
            site.write_tokens(Scope.READ, Scope.ADMIN)
        else:
            site.entries[Scope.DECLARE]["scope"] = "read"
            site.write_tokens(*Scope)
        site.clock += 2
        assert (await visitor.get("/"))[0] == 303, change
        site.write_tokens(*Scope)
        site.clock += 2
        assert (await visitor.get("/"))[0] == 303, "it does not come back"


async def test_a_session_ends_when_idle_and_in_any_case(site: Site) -> None:
    """Half an hour without a click, twelve hours with; a page that refreshes itself is no click."""
    now = 0.0
    sessions = Sessions(site.tokens, clock=lambda: now)
    reader, ops, _ = await site.tokens.current()
    secret, _ = sessions.open(ops, "")
    now += IDLE - 1
    assert await sessions.known(secret, refresh=True) is not None
    now += 1
    assert await sessions.known(secret) is None
    secret, _ = sessions.open(ops, "")
    screen, _ = sessions.open(reader, "")
    for _ in range(int(LONGEST // (IDLE - 1))):
        now += IDLE - 1
        assert await sessions.known(secret) is not None
        assert await sessions.known(screen, refresh=True) is not None, "it may only read"
    now += IDLE - 1
    assert await sessions.known(secret) is None
    assert sessions.listed() == []


async def test_there_is_an_end_to_sessions(site: Site) -> None:
    """The one that was idle for longest makes room; nonsense finds none."""
    now = 0.0
    sessions = Sessions(site.tokens, clock=lambda: now)
    token = (await site.tokens.current())[0]
    secrets = []
    for _ in range(MOST):
        now += 1
        secrets.append(sessions.open(token, "")[0])
    assert await sessions.known(secrets[0]) is not None
    sessions.open(token, "")
    assert len(sessions.listed()) == MOST
    assert await sessions.known(secrets[1]) is None
    assert await sessions.known(secrets[0]) is not None
    for nonsense in (None, "", "x" * 1000, "\udc80"):
        assert await sessions.known(nonsense) is None
    sessions.close(None)


async def test_a_page_that_refreshes_itself_says_so(visitor: Visitor) -> None:
    """The header of a refresh is known to the server under the name that the script sends."""
    await visitor.log_in()
    assert (await visitor.get("/", **{REFRESH: "1"}))[0] == 200
    script = (await visitor.get("/static/monitor.js"))[2]
    assert f'"{REFRESH}": "1"' in script


# -- problems as pages -----------------------------------------------------------------------------


async def test_problems_are_pages_for_browsers_and_documents_for_programs(visitor: Visitor) -> None:
    """The same status either way; without a session the frame tells nothing."""
    await visitor.log_in(Scope.READ)
    status, _, text = await visitor.get("/nowhere")
    assert status == 404
    assert "There is no such page" in text
    assert "Example Administration Ltd" in text
    assert (await visitor.post("/nowhere", {}))[0] == 403
    answer = await visitor.http.get(f"{visitor.site.url}/nowhere")
    assert (answer.status, answer.content_type) == (404, "application/problem+json")
    visitor.http.cookie_jar.clear()
    status, _, text = await visitor.post("/logout", {})
    assert status == 401
    assert "Example Administration Ltd" not in text
    assert "Nothing was changed" in text


async def test_a_broken_page_says_under_which_name_the_log_tells_more(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 as a page: an instance, and nothing of the error itself."""
    await visitor.log_in()

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("geheim")

    monkeypatch.setattr("tests.web.site.perform", broken)
    status, _, text = await visitor.get("/")
    assert status == 500
    assert "urn:uuid:" in text
    assert "geheim" not in text


async def test_without_tokens_nobody_logs_in(site: Site) -> None:
    """On loopback the pages are read only, and say so."""
    async with site.serving(tokens=False), aiohttp.ClientSession() as http:
        visitor = Visitor(http, site)
        assert "Read only" in (await visitor.get("/"))[2]
        assert "monitor token create" in (await visitor.get("/login"))[2]
        assert (await visitor.post("/login", {"token": site.secrets[Scope.ADMIN]}))[0] == 403
