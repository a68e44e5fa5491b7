"""The folder, the ports and the configuration of a sandbox."""

import os
import socket
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest
from ruamel.yaml import YAML

from monitor import config
from monitor.errors import StoreLocked, UsageError
from monitor.sandbox.place import (
    HOLDERNAMES,
    Place,
    Wiring,
    bind,
    configuration,
    endpoint_url,
    lock,
    page_url,
    remembered,
    save,
    settle,
)

PORTS = {"control": 18440, "find-main": 18443, "view-main": 18444, "pat-main": 18445}
PLACE = Place(PORTS, "127.0.0.1:9464", "127.0.0.1:9464", date(2026, 3, 1))


def test_the_configuration_is_yaml_of_the_contract() -> None:
    """It names the endpoints, the identity, the holdernames, the store and the sink."""
    loaded = YAML(typ="safe").load(configuration("127.0.0.1", PLACE))
    assert loaded["identities"] == {"sandbox": {"pack": "pack", "trust": "server-ca.pem"}}
    urls = {each["id"]: each["url"] for each in loaded["endpoints"]}
    assert urls == {
        "find-main": "https://localhost:18443/find",
        "view-main": "https://localhost:18444/view",
        "pat-main": "https://localhost:18445/pat-refresh",
    }
    services = [each["service"] for each in loaded["endpoints"]]
    assert services == ["find", "view", "pat-refresh"]
    assert {each["connected_from"] for each in loaded["endpoints"]} == {date(2026, 3, 1)}
    assert [UUID(each["guid"]) for each in loaded["holdernames"]] == [
        UUID(guid) for guid, _ in HOLDERNAMES
    ]
    assert loaded["store"] == {"url": "sqlite:monitor.db"}
    assert loaded["http"] == {"listen": "127.0.0.1:9464", "tokens_file": "tokens.yaml"}
    (webhook,) = loaded["alerts"]["webhooks"]
    assert webhook["url"] == "http://127.0.0.1:18440/hook"
    assert webhook["secret_file"] == "hook.secret"


def test_the_product_reads_the_configuration(tmp_path: Path) -> None:
    """What is written loads without a fault, its paths found beside it."""
    for name in ("server-ca.pem", "hook.secret"):
        (tmp_path / name).write_text("")
    (tmp_path / "pack").mkdir()
    path = save(tmp_path, "127.0.0.1", PLACE)
    settings = config.load(path, environ={}, bank_holidays=lambda calendar: frozenset())
    assert [each.url for each in settings.endpoints] == [
        endpoint_url("127.0.0.1", each.id, PLACE) for each in settings.endpoints
    ]
    assert settings.identities["sandbox"].pack == str(tmp_path / "pack")
    assert settings.identities["sandbox"].trust == str(tmp_path / "server-ca.pem")


def test_a_daemon_elsewhere_is_told_how(tmp_path: Path) -> None:
    """A store of its own, an Alertmanager instead of a receiver that it could not reach, a name."""
    for name in ("server-ca.pem", "token", "tokens.yaml"):
        (tmp_path / name).write_text("")
    (tmp_path / "pack").mkdir()
    wiring = Wiring("0.0.0.0", "sqlite:///var/lib/monitor/monitor.db", "http://alertmanager:9093")
    path = save(tmp_path, "sandbox", replace(PLACE, metrics_listen="0.0.0.0:9464"), wiring)
    settings = config.load(path, environ={}, bank_holidays=lambda calendar: frozenset())
    assert settings.endpoints[0].url == "https://sandbox:18443/find"
    assert settings.store.path == Path("/var/lib/monitor/monitor.db")
    assert settings.http.host == "0.0.0.0"
    assert settings.http.tokens_file == tmp_path / "tokens.yaml"
    assert settings.alerts.webhooks == ()
    assert [one.url for one in settings.alerts.alertmanager] == ["http://alertmanager:9093"]


def test_control_listens_where_it_is_told() -> None:
    """Control has an address of its own; a page on every address is reached on this machine."""
    with ExitStack() as taken:
        sockets = bind("127.0.0.1", 0, None, taken, "127.0.0.2")
        assert sockets["control"].getsockname()[0] == "127.0.0.2"
        assert sockets["find-main"].getsockname()[0] == "127.0.0.1"
    assert page_url(replace(PLACE, metrics_listen="0.0.0.0:9464")) == "http://localhost:9464/"
    assert page_url(PLACE) == "http://127.0.0.1:9464/"


@pytest.mark.parametrize(
    ("host", "name"),
    [("127.0.0.1", "localhost"), ("0.0.0.0", "localhost"), ("::1", "[::1]"), ("a.test", "a.test")],
)
def test_endpoints_are_asked_by_a_name_of_the_certificate(host: str, name: str) -> None:
    """Loopback is called localhost; anything else by what it is."""
    assert endpoint_url(host, "find-main", PLACE) == f"https://{name}:18443/find"


def test_what_was_settled_is_remembered(tmp_path: Path) -> None:
    """A second start finds ports, address and connection date again; a damaged file is none."""
    assert remembered(tmp_path) is None
    assert save(tmp_path, "127.0.0.1", PLACE) == tmp_path / "monitor.yaml"
    assert remembered(tmp_path) == PLACE
    for damaged in ("", "{}", "[]", '{"ports": {"control": 1e9}}'):
        (tmp_path / "sandbox.json").write_text(damaged)
        assert remembered(tmp_path) is None


def test_the_connection_date_is_yesterday_in_the_uk_and_stays(tmp_path: Path) -> None:
    """At 23:30 UTC in summer the UK is a day ahead; a later start changes nothing."""
    now = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)
    with ExitStack() as taken:
        sockets = bind("127.0.0.1", 0, None, taken)
        first = settle(sockets, "127.0.0.1:0", None, now)
        assert first.connected_from == date(2026, 6, 30)
        again = settle(sockets, "127.0.0.1:0", first, datetime(2026, 8, 1, tzinfo=UTC))
        assert again == first
        other = settle(sockets, "127.0.0.1:09464", replace(first, metrics_asked="x"), now)
        assert other.metrics_asked == "127.0.0.1:09464"


def test_taken_ports_are_replaced_unless_they_were_asked_for() -> None:
    """Two sandboxes run beside one another; a port given by name is taken at its word."""
    with ExitStack() as taken, socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        before = replace(PLACE, ports={**PORTS, "control": port})
        assert bind("127.0.0.1", None, before, taken)["control"].getsockname()[1] != port
        with pytest.raises(UsageError, match=rf"--port: 127.0.0.1:{port} cannot be listened on"):
            bind("127.0.0.1", port, None, taken)


@pytest.mark.parametrize("base", [65535, 99999, -1])
def test_a_port_out_of_range_is_wrong_use(base: int) -> None:
    """The last endpoint's port must exist too."""
    with ExitStack() as taken, pytest.raises(UsageError, match="--port"):
        bind("127.0.0.1", base, None, taken)


@pytest.mark.parametrize("asked", ["9464", "127.0.0.1:", "127.0.0.1:x"])
def test_an_address_for_metrics_needs_host_and_port(asked: str) -> None:
    """Anything else is refused with the form to write."""
    with pytest.raises(UsageError, match="HOST:PORT"):
        settle({}, asked, None, datetime(2026, 3, 1, tzinfo=UTC))


def test_a_folder_holds_one_sandbox(tmp_path: Path) -> None:
    """A second one is refused, until the first lets go."""
    with ExitStack() as held:
        held.callback(os.close, lock(tmp_path))
        with pytest.raises(StoreLocked, match="another sandbox runs here"):
            lock(tmp_path)
    with ExitStack() as held:
        held.callback(os.close, lock(tmp_path))


def test_a_folder_that_cannot_be_made_is_wrong_use(tmp_path: Path) -> None:
    """A file in the way is named, with the cure."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--dir: .* cannot be written"):
        lock(tmp_path / "file")
