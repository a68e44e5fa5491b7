"""Every error the product raises on purpose, split by what the caller can do about it.

MonitorError
├── UsageError            the request is wrong: say it differently (exit 2)
│   ├── BadInstant        a time that does not exist, occurs twice, or cannot be read
│   ├── UnknownName       an endpoint, GUID, declaration or incident nobody knows
│   ├── IllegalStep       the step is not allowed in the present state; nothing changed
│   └── KeyReused         a key that stands for one request was given with another
├── ConfigError           the configuration has faults; carries all of them (exit 2)
├── IdentityError         issued material cannot be used; carries all faults (exit 2)
├── FactError             a facts file cannot be read; names the line (exit 2)
├── StoreError            the store could not be used (exit 3)
│   ├── StoreLocked       another process holds it
│   └── StoreUnwritable   it cannot be written now; try again later
├── DaemonUnreachable     a running daemon holds the store but does not answer (exit 3)
└── EmptyPeriod           nothing was due to be measured: there is no ratio

A failing endpoint is never an exception: it is an observation.
"""

from __future__ import annotations

from dataclasses import dataclass


class MonitorError(Exception):
    """Base of all errors raised on purpose; its text is fit to show a user."""


class UsageError(MonitorError):
    """The request is wrong; the text says what, where and how to mend it."""


class BadInstant(UsageError):
    """A time that does not exist, occurs twice, or cannot be read."""


class UnknownName(UsageError):
    """A name (endpoint, holdername GUID, declaration, incident) that nobody knows."""


class IllegalStep(UsageError):
    """A step that the present state does not allow. Nothing was changed."""


class KeyReused(UsageError):
    """A key that stands for one request for ever was given with another one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault in a file: where it stands, what is wrong, and the cure."""

    file: str
    line: int | None
    column: int | None
    path: str
    what: str
    cure: str

    def __str__(self) -> str:
        where = self.file
        if self.line is not None:
            where += f":{self.line}"
            if self.column is not None:
                where += f":{self.column}"
        text = f"{where}: {self.path}: {self.what}" if self.path else f"{where}: {self.what}"
        return f"{text}; {self.cure}" if self.cure else text


class FaultsError(MonitorError):
    """Carries every fault found, in file order."""

    def __init__(self, faults: list[Fault] | tuple[Fault, ...]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ConfigError(FaultsError):
    """The configuration has faults; all of them are in `faults`."""


class IdentityError(FaultsError):
    """Issued material cannot be used; all faults are in `faults`."""


class FactError(FaultsError):
    """A facts file cannot be read; the faults name the lines."""


class StoreError(MonitorError):
    """The store could not be used."""


class StoreLocked(StoreError):
    """Another process holds the store's lock."""


class StoreUnwritable(StoreError):
    """The store cannot be written at the moment; what was to be written is kept by the caller."""


class DaemonUnreachable(MonitorError):
    """A running daemon holds the store but does not answer on its socket."""


class EmptyPeriod(MonitorError):
    """Nothing was due to be measured in the period, so there is no ratio."""
