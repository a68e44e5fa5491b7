"""HTTP requests and the answers of each service."""

from uuid import UUID, uuid4

import pytest

from monitor.core.endpoint import Service
from monitor.sandbox.answers import (
    REGISTERED_ASSET,
    BadRequest,
    Request,
    answer,
    nginx_page,
    parse_head,
    with_status,
)


def asked(method: str, target: str, **headers: str) -> Request:
    return Request(method, target, {"x-request-id": str(uuid4()), **headers})


@pytest.mark.parametrize(
    ("service", "method", "target", "status"),
    [
        (Service.FIND, "POST", "/find", 401),
        (Service.FIND, "GET", "/find", 405),
        (Service.FIND, "POST", "/view", 404),
        (Service.PAT_REFRESH, "POST", "/pat-refresh", 401),
        (Service.VIEW, "GET", f"/view/{REGISTERED_ASSET}", 401),
        (Service.VIEW, "GET", f"/view/{REGISTERED_ASSET.upper()}?scope=owner", 401),
        (Service.VIEW, "GET", f"/view/{UUID(int=1)}", 404),
        (Service.VIEW, "GET", "/view/not-a-uuid", 400),
        (Service.VIEW, "POST", f"/view/{REGISTERED_ASSET}", 405),
        (Service.VIEW, "GET", "/view", 404),
        (Service.VIEW, "GET", f"/view//{REGISTERED_ASSET}", 404),
    ],
)
def test_answers(service: Service, method: str, target: str, status: int) -> None:
    """Each service answers what it serves, and says what else is wrong."""
    assert answer(service, asked(method, target)).status == status


@pytest.mark.parametrize("service", list(Service))
@pytest.mark.parametrize("request_id", [None, "", "1", "{" + str(UUID(int=7)) + "}", "urn:uuid:x"])
def test_a_request_id_must_be_a_uuid(service: Service, request_id: str | None) -> None:
    """A missing or malformed X-Request-ID gets 400 before anything else is looked at."""
    headers = {} if request_id is None else {"x-request-id": request_id}
    assert answer(service, Request("POST", "/anything", headers)).status == 400


def test_no_answer_is_ever_one_of_success() -> None:
    """A token cannot be checked here, so none opens anything."""
    for service, path in [(Service.FIND, "/find"), (Service.VIEW, f"/view/{REGISTERED_ASSET}")]:
        method = "GET" if service is Service.VIEW else "POST"
        assert answer(service, asked(method, path, authorization="Bearer x")).status == 401


def test_data_without_a_token_looks_like_the_service() -> None:
    """The failure `authorisation_missing` answers as the service would answer a token."""
    assert b"view_data_token" in with_status(Service.VIEW, 200, 0).wire()
    assert b"ACCEPTED" in with_status(Service.FIND, 202, 0).wire()


def test_the_nginx_page_is_a_400_with_its_text() -> None:
    """The refusal page says what nginx says."""
    wire = nginx_page("The SSL certificate error").wire()
    assert wire.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"<center>The SSL certificate error</center>" in wire


@pytest.mark.parametrize("head", ["", "GET /", "GET / HTTP/2", "GET / HTTP/1.1\r\n x: y"])
def test_a_head_that_is_not_http_is_refused(head: str) -> None:
    """A request line or header of another shape raises BadRequest."""
    with pytest.raises(BadRequest):
        parse_head(head.encode())


def test_a_length_that_cannot_be_read_counts_as_none() -> None:
    """Content-Length is believed only where it is a plain number."""
    assert Request("GET", "/", {"content-length": "12"}).body_length == 12
    assert Request("GET", "/", {"content-length": "-1"}).body_length == 0
    assert Request("GET", "/", {"content-length": "²"}).body_length == 0
    assert Request("GET", "/", {}).body_length == 0
