"""`healthcheck`, against a control socket and a listener that stand for the daemon's."""

import getpass
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.socket import Handler
from monitor.config_place import find_store
from monitor.errors import ConfigError
from tests.cli_place import CONFIG, Place
from tests.tools import free_port


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


@contextmanager
def listening() -> Iterator[int]:
    """A port that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port


def says(port: int | None, *reasons: str, host: str = "127.0.0.1") -> Handler:
    """A daemon that listens on this port, with so many reasons against being ready."""

    async def answer(operation: str, _: Mapping[str, Any], author: str) -> dict[str, Any]:
        assert (operation, author) == ("health", "healthcheck")
        ready = not reasons
        return {"host": host, "port": port, "ready": ready, "reasons": list(reasons)}

    return answer


def test_without_a_daemon_it_is_dead(place: Place) -> None:
    """Exit code 1, and where nobody listens."""
    said = place.ask("healthcheck", code=1)
    assert (said["ok"], said["alive"], said["ready"]) == (False, False, False)
    assert "monitor.db.sock: no daemon listens here" in said["reasons"][0]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_daemon_that_answers_and_listens_lives(place: Place, host: str) -> None:
    """Exit code 0, also when its listener stands on every address."""
    with listening() as port, place.daemon(says(port, host=host)):
        said = place.ask("healthcheck", "--ready")
        assert (said["ok"], said["alive"], said["ready"]) == (True, True, True)
        assert place.run("healthcheck").stdout == "ready\n"


def test_alive_is_not_ready(place: Place) -> None:
    """With --ready, what speaks against it is said, and is exit code 1."""
    with listening() as port, place.daemon(says(port, "no sweep since noon")):
        assert place.ask("healthcheck")["ready"] is False
        said = place.ask("healthcheck", "--ready", code=1)
        assert (said["alive"], said["reasons"]) == (True, ["no sweep since noon"])
        assert place.run("healthcheck").stdout == "alive\n  no sweep since noon\n"


def test_a_listener_that_is_gone_is_death(place: Place) -> None:
    """A daemon that answers but cannot be reached by anybody else is to be restarted."""
    port = free_port()
    with place.daemon(says(port)):
        said = place.ask("healthcheck", code=1)
        assert said["alive"] is False
        assert f"port {port} takes no connection" in said["reasons"][0]
    with place.daemon(says(None)):
        assert "does not listen yet" in place.run("healthcheck").stdout


def test_a_faulty_change_does_not_look_like_death(place: Place) -> None:
    """Only the store's place must be right; a file that cannot be read at all is exit code 2."""
    with listening() as port, place.daemon(says(port)):
        place.config.write_text(CONFIG.replace("url: https:", "uri: ${NO_SUCH_NAME}"))
        assert place.run("status").exit_code == 2
        assert place.ask("healthcheck")["alive"] is True
        for broken in ('store: {url: "postgres:x"}', "store: ["):
            place.config.write_text(broken)
            done = place.run("healthcheck")
            assert (done.exit_code, done.stdout) == (2, "")
            assert str(place.config) in done.stderr


def test_the_store_is_where_the_daemon_has_it(tmp_path: Path) -> None:
    """Beside the configuration, at an absolute path, from the environment, or by default."""
    path = tmp_path / "m.yaml"
    for text, found in (
        ('store: {url: "sqlite:a.db"}', tmp_path / "a.db"),
        ('store: {url: "sqlite:///srv/${NAME}.db"}', Path("/srv/b.db")),
        ("store: {retain_observations: never}", Path("/var/lib/monitor/monitor.db")),
        ("endpoints: []", Path("/var/lib/monitor/monitor.db")),
    ):
        path.write_text(text)
        assert find_store(path, environ={"NAME": "b"}) == found
    for text in ("store: {url: 5}", 'store: {url: "sqlite:///srv/"}', 'store: {url: "${NAME}"}'):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"m\.yaml:1:\d+: store\.url"):
            find_store(path, environ={})


def test_reading_needs_no_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a name, as in a container, may ask; what is written needs an author."""

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.delenv("SUDO_USER", raising=False)
    given = ["--start", "2027-06-01T00:00", "--end", "2027-06-01T01:00", "--reason", "x"]
    refused = place.run("downtime", "declare", *given, MONITOR_AUTHOR="")
    assert refused.exit_code == 2
    assert "--author" in refused.stderr
    place.run("downtime", "declare", *given, "--author", "ops")
    assert place.run("downtime", "list", MONITOR_AUTHOR="").exit_code == 0
