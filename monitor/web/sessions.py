"""Sessions of the pages: a token given once at login, then a cookie (contract, "HTTP").

A session is bound to the entry of its token: when the file no longer holds that entry, or with another
scope, the session is over. Sessions are kept in memory only, by the hash of their id; a restart ends
them. What a session changes must not come from another site, to which the guard looks, and must carry the
session's CSRF token, in the form field `csrf` or the header `X-CSRF-Token`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

import structlog
from aiohttp import hdrs, web

from monitor.errors import UsageError
from monitor.web.guard import SAFE, TOKENS, By, NotAllowed, Visitor
from monitor.web.tokens import Scope, Token, Tokens

IDLE = 30 * 60.0
"""Seconds without a request after which a session is over; a page that refreshes itself asks nothing,
unless the session may only read: then a screen on a wall goes on."""
LONGEST = 12 * 3600.0
"""Seconds after which a session is over in any case."""
MOST = 200
"""Sessions at a time; of more, the one idle for longest ends."""
REFRESH = "Monitor-Refresh"
"""Header by which a page says that it refreshes itself: nobody did anything."""
FIELD, HEADER = "csrf", "X-CSRF-Token"
LONGEST_PERSON = 64

_PERSON = re.compile(r"[^\W\d_][\w .,'\u2019-]*")

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Session:
    """One login. `opened` and `seen` are of the monotonic clock; `csrf` goes into every form.

    `person` is what whoever logged in called themselves, beside the name of the token.
    """

    token: Token
    person: str
    csrf: str
    opened: float
    seen: float
    opened_at: datetime

    @property
    def visitor(self) -> Visitor:
        return Visitor(self.token.name, self.token.scope, By.SESSION, self.person)


class Sessions:
    """The sessions there are."""

    def __init__(self, tokens: Tokens | None, *, clock: Callable[[], float] = monotonic) -> None:
        self._tokens = tokens
        self._clock = clock
        self._known: dict[bytes, Session] = {}

    def open(self, token: Token, person: str) -> tuple[str, Session]:
        """A new session and its id, a secret to be put into the cookie and nowhere else."""
        now = self._clock()
        self._drop_stale(now)
        while len(self._known) >= MOST:
            del self._known[min(self._known, key=lambda key: self._known[key].seen)]
        secret = secrets.token_urlsafe(32)
        made = Session(token, person, secrets.token_urlsafe(32), now, now, datetime.now(UTC))
        self._known[_hash(secret)] = made
        return secret, made

    async def known(self, secret: str | None, *, refresh: bool = False) -> Session | None:
        """The session of an id, if it is not over; None: there is none. Counts as a sign of life."""
        if secret is None or self._tokens is None or len(secret) > 100:
            return None
        key = _hash(secret)
        self._drop_stale(self._clock())
        session = self._known.get(key)
        if session is None:
            return None
        if session.token not in await self._tokens.current():
            self._known.pop(key, None)
            log.info("session_ended", token=session.token.name, why="its token is gone or changed")
            return None
        if not refresh or session.token.scope is Scope.READ:
            session.seen = self._clock()
        return session

    def close(self, secret: str | None) -> None:
        """End a session, if there is one of this id."""
        if secret is not None:
            self._known.pop(_hash(secret), None)

    def listed(self) -> list[Session]:
        """All that are not over, in order of opening."""
        self._drop_stale(self._clock())
        return sorted(self._known.values(), key=lambda session: session.opened)

    def _drop_stale(self, now: float) -> None:
        over = [
            key
            for key, session in self._known.items()
            if now - session.seen >= IDLE or now - session.opened >= LONGEST
        ]
        for key in over:
            del self._known[key]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


SESSIONS = web.AppKey("sessions", Sessions)
SESSION = web.RequestKey("session", Session)


def read_person(text: str) -> str:
    """A person's name as given at login. Raises UsageError if it could pass for something else."""
    text = " ".join(text.split())
    if text and (len(text) > LONGEST_PERSON or not _PERSON.fullmatch(text)):
        raise UsageError(
            f"your name: use up to {LONGEST_PERSON} letters, spaces and . , ' - and begin with a letter"
        )
    return text


# -- the cookie ------------------------------------------------------------------------------------


def by_tls(request: web.Request) -> bool:
    """Whether the browser speaks TLS, with us or with the proxy before us.

    Anybody may claim the latter: it only binds their own cookie to TLS.
    """
    return request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"


def cookie_name(request: web.Request) -> str:
    """With TLS the browser holds to the prefix: this host only, never without TLS (RFC 6265bis)."""
    return "__Host-monitor" if by_tls(request) else "monitor"


def session_id(request: web.Request) -> str | None:
    return request.cookies.get(cookie_name(request))


def set_cookie(request: web.Request, response: web.StreamResponse, secret: str) -> None:
    response.set_cookie(
        cookie_name(request),
        secret,
        path="/",
        secure=by_tls(request),
        httponly=True,
        samesite="Strict",
    )


def delete_cookie(request: web.Request, response: web.StreamResponse) -> None:
    response.del_cookie(
        cookie_name(request), path="/", secure=by_tls(request), httponly=True, samesite="Strict"
    )


# -- the way ---------------------------------------------------------------------------------------


async def by_session(request: web.Request) -> Visitor | None:
    """A session; other credentials, where shown, go before it. Raises NotAllowed for a forged write."""
    if request.app[TOKENS] is None or hdrs.AUTHORIZATION in request.headers:
        return None
    sessions = request.app[SESSIONS]
    session = await sessions.known(session_id(request), refresh=REFRESH in request.headers)
    if session is None:
        return None
    if request.method not in SAFE:
        await _check_intent(request, session)
    request[SESSION] = session
    return session.visitor


async def _check_intent(request: web.Request, session: Session) -> None:
    """Raise NotAllowed unless whoever holds the session meant this request."""
    given = request.headers.get(HEADER) or await _field(request)
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), session.csrf.encode()):
        raise NotAllowed(
            "the form is not of this session (you may have logged in anew since it was shown);"
            " go back, reload the page and send it again"
        )


async def _field(request: web.Request) -> str:
    """The token in a form; empty if there is none."""
    if request.content_type not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return ""
    try:
        value = (await request.post()).get(FIELD, "")
    except ValueError as error:
        raise web.HTTPBadRequest(reason="the form cannot be read") from error
    return value if isinstance(value, str) else ""
