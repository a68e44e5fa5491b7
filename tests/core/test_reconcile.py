"""The mapping from a table, and what a register export shows it to lack."""

from __future__ import annotations

from datetime import date

import pytest

from monitor.core.endpoint import Environment, Service
from monitor.core.holdername import Holdername, Register, Serving
from monitor.core.reconcile import (
    Difference,
    mapping_yaml,
    read_mapping,
    read_register,
    reconcile,
)
from monitor.errors import ConfigError
from tests.core.builders import GUID, LONDON, OTHER, at, endpoint, holdername

THIRD = "5b2f1c44-35a1-4c57-8a43-fd7b2f0f9a10"
ENDPOINTS = {
    one.id: one
    for one in (
        endpoint("find-main", Service.FIND),
        endpoint("view-main"),
        endpoint("view-new"),
        endpoint("view-test", environment=Environment.TEST),
    )
}
HEADER = "guid,name,endpoints,from,until"


def mapping(*lines: str, header: str = HEADER) -> tuple[Holdername, ...]:
    return read_mapping("\n".join([header, *lines]), "m.csv", ENDPOINTS, [THIRD])


def faults(*lines: str, header: str = HEADER) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        mapping(*lines, header=header)
    return [str(fault) for fault in caught.value.faults]


# The mapping


def test_a_table_becomes_holdernames() -> None:
    """Several lines of one GUID are its rows; ids are parted by ; or spaces, empty lines skipped."""
    found = mapping(
        f'{GUID.upper()},"Scheme, The",find-main; view-main,2026-01-01,',
        "",
        f'{GUID},"Scheme, The",view-new view-new,2026-06-01,2027-01-01',
        f"{OTHER},Other,view-main,2026-01-01",
    )
    assert found == (
        Holdername(
            GUID,
            "Scheme, The",
            (
                Serving(("find-main", "view-main"), date(2026, 1, 1)),
                Serving(("view-new",), date(2026, 6, 1), date(2027, 1, 1)),
            ),
        ),
        Holdername(OTHER, "Other", (Serving(("view-main",), date(2026, 1, 1)),)),
    )


def test_columns_go_by_their_names_and_until_may_be_absent() -> None:
    """In any order, in any case, under the names of MaPS' spreadsheet, after a byte order mark."""
    header = "\ufeffEndpoints,FROM,scheme_name,holdername_guid"
    (found,) = mapping(f"view-main,2026-01-01,A Scheme,{GUID}", header=header)
    assert found.serves == (Serving(("view-main",), date(2026, 1, 1)),)


def test_every_fault_of_a_table_is_listed_with_its_line() -> None:
    """What, where and the cure, for all lines at once."""
    assert faults(
        "nonsense,A,view-main,2026-01-01,",
        f"{GUID},A,view-mian;view-test,2026-01-01,",
        f"{GUID},B,view-main,2026-13-01,x",
        f"{OTHER},,,,2026-01-01",
        f"{THIRD},C,view-main,2026-02-01,2026-02-01",
        ",D,zzzzzz,2026-01-01,,more",
    ) == [
        'm.csv:2: guid: "nonsense" is not a GUID; copy it from the register',
        'm.csv:3: endpoints: there is no endpoint "view-mian"; did you mean "view-main"?',
        "m.csv:3: endpoints: view-test is a test endpoint; name live endpoints",
        'm.csv:4: from: "2026-13-01" is not a date; write it as YYYY-MM-DD',
        'm.csv:4: until: "x" is not a date; write it as YYYY-MM-DD',
        f'm.csv:4: name: {GUID} is "A" in line 3 and "B" here; give it one name',
        "m.csv:5: name: is empty; fill it in",
        "m.csv:5: endpoints: is empty; name at least one endpoint by its id",
        "m.csv:5: from: is empty; give the first UK date, as YYYY-MM-DD",
        "m.csv:6: until: 2026-02-01 is not after 2026-02-01; correct one of the two",
        f"m.csv:6: guid: {THIRD} is configured already; remove one of the two",
        "m.csv:7: has 6 cells for 5 columns; put texts in quotes",
        "m.csv:7: guid: is empty; fill it in",
        'm.csv:7: endpoints: there is no endpoint "zzzzzz"; name one of the configuration',
    ]


def test_two_lines_of_one_day_for_one_endpoint_are_refused() -> None:
    """Nobody could tell which of them holds."""
    assert faults(
        f"{GUID},A,view-main,2026-01-01,",
        f"{GUID},A,find-main,2026-01-01,",
        f"{GUID},A,view-main;find-main,2026-01-01,2027-01-01",
    ) == [
        f"m.csv:4: endpoints: {GUID} has another line for these endpoints from 2026-01-01;"
        " remove one of them"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["m.csv: is empty; begin it with the line guid,name,endpoints,from,until"]),
        ("guid,name,from\n", ["m.csv:1: endpoints: is a missing column; add it"]),
        (
            "guid,guid,name,endpoints,from,till\n",
            [
                "m.csv:1: guid: is there twice; keep one column",
                "m.csv:1: till: is not a known column; known are guid, name, endpoints, from, until",
            ],
        ),
        ('guid,name\n"a"b,c\n', ["m.csv:2: is not CSV: ',' expected after '\"'; "]),
    ],
)
def test_a_table_of_another_shape_is_refused(text: str, said: list[str]) -> None:
    """By its header, before any line is read."""
    with pytest.raises(ConfigError) as caught:
        read_mapping(text, "m.csv", ENDPOINTS)
    for fault, expected in zip(caught.value.faults, said, strict=True):
        assert str(fault).startswith(expected)


def test_a_table_with_a_header_only_maps_nothing() -> None:
    """No line, no fault."""
    assert mapping() == ()


def test_the_mapping_is_written_for_include() -> None:
    """Texts are quoted, whatever stands in them."""
    found = mapping(f'{GUID},"A: ""B""",find-main;view-main,2026-01-01,2027-01-01')
    assert mapping_yaml(found) == (
        "holdernames:\n"
        f"  - guid: {GUID}\n"
        '    name: "A: \\"B\\""\n'
        "    serves:\n"
        "      - {endpoints: [find-main, view-main], from: 2026-01-01, until: 2027-01-01}\n"
    )


# The register

EXPORT = "holdername_guid,scheme_name,service,endpoint_url,status"
VIEW = "https://view-main.example/x"
NOW = at("2026-03-02")


def compared(*lines: str, instant: str = "2026-03-02") -> list[tuple[str, str, str]]:
    register = Register(
        ENDPOINTS.values(),
        [
            holdername(GUID, "view-main", "find-main"),
            holdername(OTHER, "view-main", start="2026-04-01"),
        ],
        LONDON,
    )
    entries = read_register("\n".join([EXPORT, *lines]), "r.csv")
    found = reconcile(register, entries, at(instant))
    return [(one.kind.value, one.guid, one.service.value) for one in found]


def test_a_register_that_agrees_shows_nothing() -> None:
    """By URL or by id; services that the export does not speak of are left out."""
    assert compared(f"{GUID},A,view,{VIEW},Active") == []
    assert compared(f"{GUID},A,View,view-main,") == []


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([f"{THIRD},C,view,{VIEW},"], [("extra", GUID), ("missing", THIRD)]),
        ([f"{GUID},A,view,{VIEW},Inactive"], [("retired", GUID)]),
        ([f"{GUID},A,view,https://else.example/x,"], [("wrong_endpoint", GUID)]),
        ([f"{GUID},A,view,{VIEW}/,"], [("wrong_endpoint", GUID)]),
        ([f"{GUID},A,view,{VIEW},", f"{GUID},A,view,view-new,"], [("wrong_endpoint", GUID)]),
        ([f"{GUID},A,view,{VIEW},", f"{GUID},A,view,view-new,retired"], []),
        ([f"{GUID},A,view,{VIEW},pending"], []),
        ([f"{GUID},A,view,{VIEW},", f"{THIRD},C,view,{VIEW},Inactive"], []),
        ([f"{GUID},A,view,{VIEW},", f"{THIRD},C,view,{VIEW},Pending"], []),
    ],
)
def test_each_difference_has_its_kind(lines: list[str], found: list[tuple[str, str]]) -> None:
    """Missing, extra, retired or wrong endpoint; what is to connect is none yet."""
    assert compared(*lines) == [(kind, guid, "view") for kind, guid in sorted(found, key=_by_guid)]


def _by_guid(one: tuple[str, str]) -> str:
    return one[1]


def test_the_mapping_of_the_instant_is_compared() -> None:
    """What is to be served later is missing now, and there then."""
    lines = (f"{GUID},A,view,{VIEW},", f"{OTHER},B,view,{VIEW},")
    assert compared(*lines) == [("missing", OTHER, "view")]
    assert compared(*lines, instant="2026-04-02") == []


def test_a_difference_names_both_sides() -> None:
    """With the name as configured, or else as registered."""
    register = Register(ENDPOINTS.values(), [holdername(GUID, "view-main")], LONDON)
    text = f"{EXPORT}\n{GUID},Other name,view,https://else.example/x,\n{THIRD},C,view,{VIEW},\n"
    wrong, missing = reversed(reconcile(register, read_register(text, "r.csv"), NOW))
    assert (wrong.kind, wrong.name) == (Difference.WRONG_ENDPOINT, "A Scheme")
    assert (wrong.configured, wrong.registered) == ((VIEW,), ("https://else.example/x",))
    assert (missing.kind, missing.name, missing.registered) == (Difference.MISSING, "C", (VIEW,))
    (nameless,) = reconcile(register, read_register(f"{EXPORT}\n{THIRD},,find,x,", "r.csv"), NOW)
    assert nameless.name == ""


def test_every_fault_of_an_export_is_listed_with_its_line() -> None:
    """A service that is none, a GUID that is none, a cell that is empty, a line that is twice."""
    with pytest.raises(ConfigError) as caught:
        read_register(
            f"{EXPORT}\n{GUID},A,look,{VIEW},\nx,A,PAT refresh,{VIEW},\n{GUID},A,view,,\n"
            f"{GUID},A,pat_refresh,{VIEW},\n{GUID},A,pat-refresh,{VIEW},\n{GUID},A,,{VIEW},\n",
            "r.csv",
        )
    assert [str(fault) for fault in caught.value.faults] == [
        'r.csv:2: service: "look" is no service; write find, view or pat-refresh',
        'r.csv:3: guid: "x" is not a GUID; copy it from the register',
        "r.csv:4: endpoint_url: is empty; fill it in",
        f"r.csv:6: guid: {GUID} has this pat-refresh endpoint twice; remove one",
        "r.csv:7: service: is empty; fill it in",
    ]
