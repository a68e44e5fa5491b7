"""The commands beside the daemon: check, identity, probe, replay, store, ledger, sandbox, token."""

import asyncio
import datetime
import hashlib
import json
import signal
import sqlite3
import ssl
import sys
import time
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.adapters.lock import StoreLock
from monitor.adapters.store import SqliteStore
from monitor.cli import replay as replay_command
from monitor.core.fact import Fact
from monitor.core.verdict import Observation, Reason, Result
from monitor.ports import Change, OutageRow, Sample, SpanRow
from monitor.sandbox import serve
from monitor.web.tokens import Tokens, create_token
from tests.cli_place import CONFIG, GUID, Place, finished, run, spawn
from tests.servers import Pki, private, write_pack

T0 = datetime.datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture
def place(tmp_path: Path, pki: Pki) -> Place:
    """A configuration whose identity is there."""
    write_pack(tmp_path / "pack", pki.leaf("monitor.example"), pki.chain)
    pki.trust_file(tmp_path)
    return Place.make(tmp_path)


# --- check and identity -------------------------------------------------------------------------


def test_check_finds_nothing_wrong(place: Place) -> None:
    """Exit code 0 and one document; there need be no store yet, and none is made."""
    said = place.ask("check")
    assert (said["ok"], said["faults"]) == (True, [])
    assert place.run("check").stdout.endswith("all good\n")
    assert not place.store.exists()


def test_check_finds_every_fault_at_once(place: Place) -> None:
    """Identity, secret, tokens and store: each with its file and its cure, exit code 1."""
    (place.folder / "pack" / "certPrivateKey").chmod(0o644)
    place.store.write_text("no database at all " * 50)
    alerts = (
        "alerts: {webhooks: [{name: ops, url: https://h.example/x, secret_file: hook.secret}],"
        " alertmanager: [{url: https://am.example, bearer_token_file: am.token},"
        " {url: https://b.example, ca_file: am.pem}], apprise: [{name: chat, url_file: chat.url}]}"
    )
    text = CONFIG.replace('"127.0.0.1:0"', '"127.0.0.1:0", tokens_file: tokens.yaml')
    place.config.write_text(f"{text}{alerts}\n")
    said = place.ask("check", code=1)
    files = {Path(fault["file"]).name for fault in said["faults"]}
    assert files == {
        "certPrivateKey", "hook.secret", "am.token", "am.pem", "chat.url", "tokens.yaml", "monitor.db",
    }  # fmt: skip
    shown = place.run("check")
    assert shown.exit_code == 1
    assert "chmod 600" in shown.stdout
    assert "7 faults" in shown.stdout


def test_check_looks_at_the_listener(place: Place, pki: Pki) -> None:
    """Its certificate, key and the CA of clients: faults with file and cure, dates as warnings."""
    tls = "tokens_file: tokens.yaml, tls: {certificate: c.pem, private_key_file: k.pem, client_ca: ca.pem}"
    place.config.write_text(CONFIG.replace('"127.0.0.1:0"', f'"127.0.0.1:0", {tls}'))
    leaf = pki.expired("localhost")
    _, entry = create_token("a", "read")
    private(place.folder / "tokens.yaml", json.dumps([entry]).encode())
    private(place.folder / "c.pem", leaf.cert_chain_pems[0].bytes())
    private(place.folder / "k.pem", leaf.private_key_pem.bytes())
    pki.trust_file(place.folder, "ca.pem")
    said = place.ask("check")
    assert any("http.tls" in warning for warning in said["warnings"])
    private(place.folder / "k.pem", pki.leaf("localhost").private_key_pem.bytes())
    (fault,) = place.ask("check", code=1)["faults"]
    assert (fault["path"], Path(fault["file"]).name) == ("http.tls", "k.pem")


def test_check_lists_all_faults_of_a_configuration(place: Place) -> None:
    """An unreadable configuration is a finding here: exit code 1, each fault with its line."""
    place.config.write_text(CONFIG.replace("/view\n", "/view/\n").replace("find\n", "seek\n", 1))
    said = place.ask("check", code=1)
    assert len(said["faults"]) >= 2
    assert all(fault["line"] for fault in said["faults"])


def test_check_names_a_missing_folder(place: Place) -> None:
    """The store's folder must be there before the daemon starts."""
    place.config.write_text(CONFIG.replace("sqlite:monitor.db", "sqlite:none/monitor.db"))
    (fault,) = place.ask("check", code=1)["faults"]
    assert "mkdir" in fault["cure"]


def test_what_runs_out_is_warned_of(place: Place, pki: Pki) -> None:
    """A certificate within its last days is a warning, not a fault; so is one out of date."""
    soon = datetime.datetime.now(UTC) + timedelta(days=10)
    write_pack(place.folder / "pack", pki.leaf("a.example", not_after=soon), pki.chain)
    said = place.ask("identity", "check", "live")
    assert said["ok"] is True
    assert any("expires in 9 days" in warning for warning in said["warnings"])
    write_pack(place.folder / "pack", pki.expired("a.example"), pki.chain)
    (warning,) = place.ask("check")["warnings"]
    assert "expired" in warning
    assert "Warning: " in place.run("identity", "check").stdout


def test_identity_show_says_what_is_presented(place: Place) -> None:
    """Leaf, chain, key type and dates; nothing of the key itself."""
    (said,) = place.ask("identity", "show")
    assert said["name"] == "live"
    assert said["certificate"]["names"] == ["monitor.example"]
    assert len(said["chain"]) == 2
    shown = place.run("identity", "show", "live").stdout
    assert said["certificate"]["sha256"] in shown
    assert "PRIVATE" not in shown + json.dumps(said)


def test_a_broken_identity(place: Place) -> None:
    """`show` cannot (2), `check` finds it wanting (1); both name the file."""
    (place.folder / "pack" / "certificate").write_text("nothing")
    for command, code in (("show", 2), ("check", 1)):
        done = place.run("identity", command)
        assert done.exit_code == code
        assert "certificate" in done.output


@pytest.mark.parametrize("command", ["show", "check"])
def test_an_unknown_identity(place: Place, command: str) -> None:
    """Exit code 2, with those there are."""
    done = place.run("identity", command, "dead")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "the configuration has: live" in done.stderr


def test_the_schema_is_one_document() -> None:
    """JSON Schema, without any configuration."""
    schema = json.loads(run("config", "schema").stdout)
    assert "endpoints" in schema["properties"]


def test_a_token_is_shown_once_and_fits_the_file(tmp_path: Path) -> None:
    """The entry printed is one that the daemon reads, and holds the secret only as a hash."""
    done = run("token", "create", "grafana", "--scope", "read")
    secret = done.stdout.splitlines()[0].rpartition(" ")[2]
    entry = done.stdout.split("names:\n")[1]
    private(tmp_path / "tokens.yaml", entry.encode())
    token = asyncio.run(Tokens(tmp_path / "tokens.yaml").holder(secret))
    assert token is not None
    assert token.name == "grafana"
    assert secret not in entry
    said = json.loads(run("token", "create", "x", "--scope", "admin", "--json").stdout)
    assert said["entry"]["sha256"] == hashlib.sha256(said["token"].encode()).hexdigest()
    assert run("token", "create", "a b", "--scope", "read").exit_code == 2
    assert run("token", "create", "a", "--scope", "all").exit_code == 2


def test_a_certificate_makes_an_entry_without_a_secret(tmp_path: Path, pki: Pki) -> None:
    """What is printed is an entry that the daemon reads; a file without a certificate is refused."""
    leaf = pki.leaf("client")
    file = tmp_path / "client.pem"
    leaf.cert_chain_pems[0].write_to_path(str(file))
    done = run("token", "create", "deploy", "--scope", "declare", "--certificate", str(file))
    private(tmp_path / "tokens.yaml", done.stdout.split("names:\n")[1].encode())
    der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())
    holder = asyncio.run(Tokens(tmp_path / "tokens.yaml").holder_of(der))
    assert holder is not None
    assert holder.name == "deploy"
    assert "Token" not in done.stdout
    for wrong in ("none.pem", "tokens.yaml"):
        refused = run(
            "token", "create", "a", "--scope", "read", "--certificate", str(tmp_path / wrong)
        )
        assert refused.exit_code == 2


# --- probe and sandbox --------------------------------------------------------------------------


def test_a_probe_of_what_is_not_there(place: Place) -> None:
    """Exit code 1, with the verdict; both endpoints were asked, nothing was recorded."""
    said = place.ask("probe", code=1)
    assert [(each["endpoint"], each["result"], each["reason"]) for each in said] == [
        ("view-main", "down", "connect_refused"),
        ("find-main", "down", "connect_refused"),
    ]
    shown = place.run("probe", "view-main")
    assert shown.exit_code == 1
    assert "connect_refused" in shown.stdout
    assert "find-main" not in shown.stdout
    assert not place.store.exists()


def test_a_probe_of_an_unknown_endpoint(place: Place) -> None:
    """Exit code 2, with those there are."""
    done = place.run("probe", "view-mian")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "view-main, find-main" in done.stderr


def test_a_probe_without_its_identity(place: Place) -> None:
    """Exit code 2, with the fault."""
    (place.folder / "pack" / "certPrivateKey").unlink()
    done = place.run("probe")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "certPrivateKey" in done.stderr


async def test_a_probe_of_a_sandbox(tmp_path: Path) -> None:
    """Up: status, phases, TLS, the certificates seen and those shown; exit code 0."""
    said: list[str] = []
    stop, ready = asyncio.Event(), asyncio.Event()

    def announce(text: str) -> None:
        said.append(text)
        ready.set()

    task = asyncio.create_task(
        serve(
            tmp_path,
            base_port=0,
            metrics_listen="127.0.0.1:0",
            announce=announce,
            as_json=True,
            stop=stop,
        )
    )
    await asyncio.wait_for(ready.wait(), 30)
    environ = {"MONITOR_CONFIG": str(tmp_path / "monitor.yaml")}
    code, out, err = await asyncio.to_thread(finished, "probe", "view-main", "--json", **environ)
    text = (await asyncio.to_thread(finished, "probe", "view-main", **environ))[1]
    stop.set()
    await task
    assert (code, err) == (0, "")
    (document,) = json.loads(out)
    assert (document["result"], document["tls"]["version"]) == ("up", "TLSv1.3")
    assert None not in document["phases"].values()
    assert document["tls"]["chain"]
    assert document["shown"]["chain"][0]["subject"].startswith("CN=sandbox-monitor")
    assert "TLSv1.3" in text
    assert "shown, 1" in text


def test_the_sandbox_says_ready_and_ends_quietly(tmp_path: Path) -> None:
    """Its process writes the configuration, says `ready`, and ends with 0 on SIGTERM."""
    options = ["--dir", str(tmp_path / "box"), "--port", "0", "--metrics-listen", "127.0.0.1:0"]
    with spawn("sandbox", *options) as process:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while "ready" not in lines:
                lines.append(process.stdout.readline().rstrip("\n"))
                assert lines[-1], "it ended before it was ready"
            assert (tmp_path / "box" / "monitor.yaml").is_file()
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
        except BaseException:
            process.kill()
            raise
    assert (process.returncode, err) == (0, "")


def test_the_sandbox_refuses_what_it_cannot_have(tmp_path: Path) -> None:
    """A port or address that is none is exit code 2."""
    box = ["--dir", str(tmp_path)]
    for options in (["--port", "70000"], ["--metrics-listen", "here"], ["--host", "256.0.0.1"]):
        done = run("sandbox", *box, *options)
        assert (done.exit_code, done.stdout) == (2, ""), options


# --- replay -------------------------------------------------------------------------------------

OUTAGE = [("up", "ok"), ("up", "ok"), *[("down", "status_5xx")] * 5, *[("up", "ok")] * 3]


def facts(place: Place, lines: list[dict[str, Any]]) -> Path:
    path = place.folder / "facts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def observed() -> list[dict[str, Any]]:
    return [
        {
            "type": "observation",
            "at": (T0 + timedelta(seconds=30 * number)).isoformat(),
            "endpoint": "view-main",
            "result": result,
            "reason": reason,
        }
        for number, (result, reason) in enumerate(OUTAGE)
    ]


def test_replay_needs_no_identity_and_no_store(tmp_path: Path) -> None:
    """The account of the file alone, as of an instant in UK time or with an offset."""
    bare = "endpoints:" + CONFIG.partition("endpoints:")[2].partition("store:")[0]
    place = Place.make(tmp_path, bare.replace("    identity: live\n", ""))
    path = facts(place, observed())
    said = place.ask("replay", str(path), "--until", "2026-03-02T10:00")
    assert said["until"] == "2026-03-02T10:00:00Z"
    (outage,) = [one for one in said["outages"] if "endpoint" in one["series"]]
    assert (outage["start"], outage["end"]) == ("2026-03-02T09:01:00Z", "2026-03-02T09:03:30Z")
    (march,) = [
        row
        for row in said["months"]
        if (row["month"], row["series"]) == ("2026-03", {"endpoint": "view-main"})
    ]
    assert march["unavailable_s"] == 150
    shown = place.run("replay", str(path), "--until", "2026-03-02T09:02Z").stdout
    assert "goes on" in shown
    assert "2026-03-02 09:01:00 GMT" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["facts.jsonl", "monitor.yaml"]


def test_replay_names_every_bad_line(place: Place) -> None:
    """Exit code 2, with file and line of each."""
    path = facts(place, observed())
    bad = '{"type": "observation"}\nnot json\n[]\n'
    path.write_text(path.read_text() + bad)
    done = place.run("replay", str(path), "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert [f"{path}:{number}" in done.stderr for number in (11, 12, 13)] == [True] * 3


@pytest.mark.parametrize(
    ("until", "said"),
    [("soon", "ISO 8601"), ("2026-03-29T01:30", "does not exist"), ("2026-10-25T01:30", "twice")],
)
def test_replay_refuses_a_time_that_is_none(place: Place, until: str, said: str) -> None:
    """Exit code 2, with both readings where there are two."""
    done = place.run("replay", str(facts(place, [])), "--until", until)
    assert done.exit_code == 2
    assert said in done.stderr


def test_replay_of_what_is_not_there(place: Place) -> None:
    """Exit code 2, with the name of the file."""
    done = place.run("replay", str(place.folder / "none.jsonl"))
    assert done.exit_code == 2
    assert "none.jsonl" in done.stderr


def test_progress_shows_on_a_terminal_only(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bar on standard error for a big file, and nothing anywhere else."""
    path = facts(place, observed())
    monkeypatch.setattr(replay_command, "WORTH_A_BAR", 1)
    for terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        with replay_command._progress(path) as progress:
            progress(replay_command.STEP)
        said = capsys.readouterr()
        assert said.out == ""
        assert ("reading" in said.err) is terminal


# --- store and ledger ---------------------------------------------------------------------------


def filled(place: Place) -> None:
    """A store with some of everything that an export holds, and derived rows that are wrong."""
    samples = [
        Sample(Observation("view-main", T0 + timedelta(seconds=30 * n), result, Reason.OK), 1, 200)
        for n, result in enumerate([Result.UP] * 4)
    ]
    told = [
        Fact(T0 + timedelta(seconds=45), "withdrawal", {"id": "A-1", "author": "ops"}),
        Fact(
            T0 + timedelta(seconds=15),
            "assertion",
            {"id": "A-1", "start": "2026-03-01T00:00:00Z", "end": None, "holdernames": [GUID]}
            | {"services": ["view"], "reason": "x", "author": "ops"},
        ),
    ]
    wrong = SpanRow("view-main", T0, T0 + timedelta(seconds=90), "down")
    outage = OutageRow("view-main", T0, T0, None)
    with StoreLock(place.store), SqliteStore.open(place.store) as store:
        change = Change(samples=samples, facts=told, spans=[wrong], outages=[outage])
        asyncio.run(store.commit(change))


def test_an_export_is_in_order_of_time(place: Place) -> None:
    """Facts and observations merged by `at`, whole, for its owner only; never over a file."""
    filled(place)
    path = place.folder / "facts.jsonl"
    done = place.run("ledger", "export", str(path))
    assert (done.exit_code, done.stdout) == (0, "")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kinds = [line["type"] for line in lines]
    assert kinds == ["observation", "assertion", "observation", "withdrawal", *kinds[4:]]
    assert kinds[4:] == ["observation"] * 2
    assert lines[0] == {
        "type": "observation",
        "at": "2026-03-02T09:00:00Z",
        "endpoint": "view-main",
        "result": "up",
        "reason": "ok",
        "duration_us": 1,
        "status": 200,
    }
    assert [(line["seq"], len(line["hash"])) for line in lines if "seq" in line] == [
        (2, 64),
        (1, 64),
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    assert place.run("ledger", "export", "-").stdout == path.read_text()
    again = place.run("ledger", "export", str(path))
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    nowhere = place.run("ledger", "export", str(place.folder / "no" / "facts.jsonl"))
    assert nowhere.exit_code == 2
    assert not list(place.folder.glob("*.part"))


def test_a_store_is_checked(place: Place) -> None:
    """Good: rows and size. Damaged: each fault, exit code 1."""
    filled(place)
    assert place.ask("store", "check")["rows"]["observations"] == 4
    assert "all good" in place.run("store", "check").stdout
    connection = sqlite3.connect(place.store)
    connection.execute("INSERT INTO observations VALUES (1, 5, 99999, 0, NULL)")
    connection.commit()
    connection.close()
    said = place.ask("store", "check", code=1)
    assert "observations of an unknown verdict" in said["faults"][0]
    assert place.run("store", "check").exit_code == 1


def test_a_backup_is_a_store(place: Place) -> None:
    """Made while somebody else holds the lock; never over a file."""
    filled(place)
    copy = place.folder / "backup.db"
    with StoreLock(place.store):
        assert place.ask("store", "backup", str(copy))["ok"] is True
    with SqliteStore.open(copy, read_only=True) as store:
        assert store.counts()["observations"] == 4
    assert place.run("store", "backup", str(copy)).exit_code == 2
    assert place.run("store", "backup", str(place.folder / "no" / "b.db")).exit_code == 3


def test_a_rebuild_works_out_again_what_was_derived(place: Place) -> None:
    """Spans and outages come from the observations, whatever stood there."""
    filled(place)
    assert place.ask("store", "migrate", "--rebuild")["rebuilt"] is True
    with SqliteStore.open(place.store, read_only=True) as store:
        assert {span.state for span in store.spans()} == {"up"}
        assert list(store.outages()) == []
    assert "up to date" in place.run("store", "migrate").stdout


def test_a_store_in_use_is_not_migrated(place: Place) -> None:
    """Exit code 3, with the process that holds it."""
    filled(place)
    with StoreLock(place.store):
        done = place.run("store", "migrate")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "stop it first" in done.stderr


@pytest.mark.parametrize(
    "command", [["store", "check"], ["store", "backup", "b.db"], ["store", "migrate"]]
)
def test_without_a_store_there_is_nothing_to_care_for(place: Place, command: list[str]) -> None:
    """Exit code 3, and none is made."""
    done = place.run(*command)
    assert (done.exit_code, done.stdout) == (3, "")
    assert not place.store.exists()


# --- the daemon ---------------------------------------------------------------------------------


def test_the_daemon_runs_until_told(place: Place) -> None:
    """It answers commands through its socket, and ends with 0 on SIGTERM."""
    environ = {"MONITOR_CONFIG": str(place.config)}
    with spawn("run", **environ) as process:
        try:
            patience = time.monotonic() + 30
            while not place.store.with_name("monitor.db.sock").exists():
                assert time.monotonic() < patience
                assert process.poll() is None
                time.sleep(0.05)
            assert place.ask("status")["live"] is True
            start = datetime.datetime.now(UTC) + timedelta(days=60)
            window = ["--start", start.isoformat(), "--end", (start + timedelta(1)).isoformat()]
            assert place.ask("downtime", "declare", *window, "--reason", "x")["id"] == "D-1"
            assert place.run("store", "migrate").exit_code == 3
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=30)
        except BaseException:
            process.kill()
            raise
    assert (process.returncode, out) == (0, "")


def test_a_daemon_that_cannot_start_says_why(place: Place) -> None:
    """A store that is none is exit code 3, an identity that is not there 2; no traceback."""
    environ = {"MONITOR_CONFIG": str(place.config)}
    place.store.write_text("no database at all " * 50)
    code, out, err = finished("run", **environ)
    assert (code, out) == (3, "")
    assert str(place.store) in err
    assert "Traceback" not in err
    place.store.unlink()
    (place.folder / "pack" / "certificate").unlink()
    code, out, err = finished("run", **environ)
    assert (code, out) == (2, "")
    assert "has no certificate" in err
    assert "Traceback" not in err
