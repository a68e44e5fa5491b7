"""The program from outside: help, exit codes, what goes where, and the reference in the docs."""

import doctest
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from monitor.adapters import logs
from monitor.cli import cli, common, show
from monitor.errors import (
    BadInstant,
    ConfigError,
    DaemonUnreachable,
    EmptyPeriod,
    FactError,
    Fault,
    IdentityError,
    IllegalStep,
    MonitorError,
    StoreLocked,
    StoreUnwritable,
    UnknownName,
)
from monitor.report import words
from tests.cli_place import ROOT, Place, finished, run, spawn

FAULTS = [Fault("a.yaml", 1, 2, "x", "is wrong", "mend it"), Fault("b", None, None, "", "too", "")]


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    found = []
    for name, command in group.commands.items():
        here = (*path, name)
        if isinstance(command, click.Group):
            found += commands(command, here)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            found.append((here, command))
    return found


COMMANDS = commands(cli)
NAMES = [" ".join(path) for path, _ in COMMANDS]


def test_every_command_of_the_contract_is_there() -> None:
    """Scripts depend on these names."""
    wanted = """run|sandbox|check|probe|status|slo|replay|downtime declare|downtime notify
        |downtime amend|downtime cancel|downtime complete|downtime list|downtime show|outage list
        |outage assert|outage withdraw|incident list|incident show|incident acknowledge
        |incident report|incident update|incident attest|incident close|ledger export|store check
        |store backup|store migrate|identity show|identity check|config schema|alerts test
        |alerts dead|alerts resend|token create|slo approve|report"""
    assert {name.strip() for name in wanted.split("|")} <= set(NAMES)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=NAMES)
def test_every_command_takes_the_common_options(
    path: tuple[str, ...], command: click.Command
) -> None:
    """-c, --config and --log-level everywhere; a help text for each option and command."""
    options = [each for each in command.params if isinstance(each, click.Option)]
    flags = {flag for option in options for flag in option.opts}
    assert {"-c", "--config", "--log-level"} <= flags
    assert command.help
    assert all(option.help for option in options)


def test_only_what_prints_no_data_lacks_json() -> None:
    """--json is there wherever data is printed; an export is JSON lines already."""
    without = {
        name
        for name, (_, command) in zip(NAMES, COMMANDS, strict=True)
        if "as_json" not in {parameter.name for parameter in command.params}
    }
    assert without == {"run", "ledger export"}


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=NAMES)
def test_every_command_refuses_an_unknown_option(path: tuple[str, ...]) -> None:
    """Wrong use is exit code 2, said on standard error, with nothing on standard output."""
    done = run(*path, "--no-such-option")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--no-such-option" in done.stderr


READ = [
    *("check", "probe", "status", "slo", "downtime list", "outage list", "incident list"),
    *("alerts dead", "store check", "store migrate", "identity show", "identity check"),
    *("ledger export -", "run"),
]


@pytest.mark.parametrize("command", READ)
def test_a_configuration_that_is_not_there_is_named(command: str, tmp_path: Path) -> None:
    """Unreadable configuration is exit code 2; for `check` it is a fault like any other, 1."""
    missing = tmp_path / "none.yaml"
    done = run(*command.split(), "-c", str(missing))
    assert done.exit_code == (1 if command == "check" else 2)
    assert str(missing) in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInstant("x"), 2),
        (UnknownName("x"), 2),
        (IllegalStep("x"), 2),
        (ConfigError(FAULTS), 2),
        (IdentityError(FAULTS), 2),
        (FactError(FAULTS), 2),
        (StoreLocked("x"), 3),
        (StoreUnwritable("x"), 3),
        (DaemonUnreachable("x"), 3),
        (EmptyPeriod("x"), 1),
        (MonitorError("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: MonitorError, code: int) -> None:
    """As the contract has it: 2 is wrong use, 3 is the store."""
    assert common.exit_code(error) == code


def test_all_faults_are_said_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, each with its place and cure, and no control characters."""
    common.say_error(ConfigError([*FAULTS, Fault("\x1b[31mc", None, None, "", "bad", "")]))
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "a.yaml:1:2: x: is wrong; mend it",
        "b: too",
        "\N{REPLACEMENT CHARACTER}[31mc: bad",
    ]


def test_the_levels_are_those_of_the_logs() -> None:
    """The option knows them without importing the logging library."""
    assert common.LEVELS == logs.LEVELS


def test_what_is_shown_rounds_down() -> None:
    """The examples of show.py and of what it shares with reports: never 99.50 for 99.4999."""
    assert doctest.testmod(show).attempted > 0
    assert doctest.testmod(show).failed == doctest.testmod(words).failed == 0
    assert show.percent("0.994999999") == "99.4999 %"


def test_colour_is_for_terminals(tmp_path: Path) -> None:
    """A state is coloured where colour can be seen and is wanted; the width stays."""
    place = Place.make(tmp_path)
    rows = [["view-main", "down"], ["find-main", "up"]]
    text = show.table(["endpoint", "state"], rows, none="")
    assert click.unstyle(text).splitlines()[1:] == ["view-main  down", "find-main  up"]
    assert text != click.unstyle(text)
    given = ["--start", "2027-06-01T00:00", "--end", "2027-06-01T01:00", "--reason", "x"]
    environ = {"MONITOR_CONFIG": str(place.config)}
    declare = ["downtime", "declare", *given]
    assert "\x1b[" in run(*declare, environ=environ, terminal=True).stdout
    assert "\x1b[" not in run(*declare, environ=environ).stdout
    environ["NO_COLOR"] = "1"
    assert "\x1b[" not in run(*declare, environ=environ, terminal=True).stdout


def test_what_this_user_may_not_see_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of another user's is exit code 3 with advice, not a traceback."""
    place = Place.make(tmp_path)
    exists = Path.exists

    def guarded(path: Path) -> bool:
        if path == place.store:
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", guarded)
    done = place.run("store", "check")
    assert (done.exit_code, done.stdout) == (3, "")
    assert f"{place.store}: Permission denied; use the user" in done.stderr


def test_help_answers_at_once() -> None:
    """The best of some tries is under 200 ms of processor time."""
    command = [sys.executable, "-m", "monitor", "--help"]
    taken = []
    for _ in range(3):
        before = os.times()
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
        after = os.times()
        taken.append(after.children_user + after.children_system)
        taken[-1] -= before.children_user + before.children_system
    assert min(taken) < 0.2


def test_version() -> None:
    """`--version` names program and version."""
    done = run("--version")
    assert done.exit_code == 0
    assert done.stdout.startswith("monitor ")


def test_the_author_is_never_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, else who logged in, seen through sudo."""
    assert common.author_of("me") == "me"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "sam")
    assert common.author_of(None) == "sam"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setenv("LOGNAME", "lee")
    assert common.author_of("") == "lee"


def test_a_process_keeps_standard_output_pure(tmp_path: Path) -> None:
    """With --json one document and nothing else, whatever there is to say beside it."""
    place = Place.make(tmp_path)
    environ = {"MONITOR_CONFIG": str(place.config)}
    code, out, err = finished("status", "--json", **environ)
    assert (code, out) == (3, "")
    assert "no store yet" in err
    given = ["--start", "2027-06-01T00:00", "--end", "2027-06-01T01:00", "--reason", "Umbau\x1b[1m"]
    code, out, err = finished("downtime", "declare", *given, "--json", **environ)
    assert (code, json.loads(out)["id"], err) == (0, "D-1", "")
    code, out, err = finished("status", "--json", "--log-level", "debug", **environ)
    assert code == 0
    assert json.loads(out)["live"] is False
    assert "No daemon answers" in err
    code, out, err = finished("downtime", "list", **environ)
    assert "\x1b" not in out
    code, out, err = finished("downtime", "show", "D-2", "--json", **environ)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_a_locale_without_letters_is_no_hindrance(tmp_path: Path) -> None:
    """What an encoding cannot show is written in ASCII instead of failing."""
    place = Place.make(tmp_path)
    environ = {"MONITOR_CONFIG": str(place.config), "PYTHONIOENCODING": "latin-1:strict"}
    given = ["--start", "2027-06-01T00:00", "--end", "2027-06-01T01:00", "--reason", "\u03a9"]
    assert finished("downtime", "declare", *given, **environ)[0] == 0
    code, out, _ = finished("downtime", "list", **environ)
    assert code == 0
    assert "\\u03a9" in out


def test_an_interrupt_is_quiet(tmp_path: Path) -> None:
    """Ctrl-C is exit code 130, without a traceback."""
    fifo = tmp_path / "facts"
    os.mkfifo(fifo)
    place = Place.make(tmp_path)
    with spawn("replay", str(fifo), MONITOR_CONFIG=str(place.config)) as process:
        try:
            with fifo.open("w"):  # opens once the program reads
                time.sleep(0.1)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=30)
        except BaseException:
            process.kill()
            raise
    assert (process.returncode, out, err) == (130, "", "")


def test_a_reader_that_has_enough_is_no_fault(tmp_path: Path) -> None:
    """`monitor config schema | head` ends without a traceback."""
    with spawn("config", "schema") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.wait(60)
        assert process.stderr.read() == ""
