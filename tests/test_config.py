"""The configuration: what a good file becomes, and what each mistake is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date, time, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from monitor import config
from monitor.config import Settings, load
from monitor.config_schema import Wrong, format_duration, parse_duration
from monitor.core.endpoint import Environment, Service
from monitor.core.rules import NoticeCalendar, Rules
from monitor.core.verdict import DEFAULTS
from monitor.errors import ConfigError

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "config" / "monitor.yaml"
BAD = Path(__file__).parent / "config" / "bad"
HOLIDAYS = frozenset({date(2026, 5, 4), date(2026, 12, 25)})
GUID = "816f82b5-8e4f-407b-8c54-afb179c4af5a"

MINIMAL = """\
organisation: {name: Example, connection: federated}
identities:
  live: {pack: live}
endpoints:
  - id: view-main
    service: view
    url: https://Pensions.example:8443/view
    identity: live
    connected_from: 2026-09-01
"""


def days(calendar: NoticeCalendar) -> frozenset[date]:
    return HOLIDAYS


def write(folder: Path, text: str, name: str = "monitor.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def loaded(
    folder: Path, text: str, environ: Mapping[str, str] | None = None, today: date | None = None
) -> Settings:
    path = write(folder, text)
    return load(path, environ=environ or {}, bank_holidays=days, today=today)


def refused(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """The faults of a text, without the folder."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, environ)
    return [str(fault).replace(f"{folder}/", "") for fault in caught.value.faults]


# --- good files -------------------------------------------------------------------------------


def test_a_small_file_gets_every_default(tmp_path: Path) -> None:
    """What a file does not say is as accounting.md and the contract have it in brackets."""
    found = loaded(tmp_path, MINIMAL)
    assert found.rules == Rules(bank_holidays=HOLIDAYS)
    (endpoint,) = found.endpoints
    assert endpoint.service is Service.VIEW
    assert endpoint.environment is Environment.LIVE
    assert endpoint.group == "pensions.example"
    assert endpoint.cadence.interval == timedelta(seconds=30)
    assert endpoint.cadence.timeout == timedelta(seconds=15)
    assert endpoint.cadence.gap_after == timedelta(seconds=75)
    assert endpoint.cadence.recheck_interval == timedelta(seconds=5)
    assert (endpoint.cadence.confirm_down, endpoint.cadence.confirm_up) == (3, 2)
    assert endpoint.expectation == DEFAULTS[Service.VIEW]
    assert endpoint.trust is None
    assert found.identities["live"].pack == str(tmp_path / "live")
    assert found.store.path == Path("/var/lib/monitor/monitor.db")
    assert found.store.retain_observations == timedelta(days=400)
    assert (found.http.host, found.http.port) == ("127.0.0.1", 9464)
    assert found.alerts.identity_expiry_days == (60, 30, 14, 7, 1)
    assert found.probing.max_body == 65536


def test_the_rules_take_every_key(tmp_path: Path) -> None:
    """Each bracketed key of accounting.md arrives in the rules, the objective exactly."""
    slo = """\
slo:
  objective: 0.9990
  slo_zone: UTC
  late_records: accept
  notice_days: 3
  notice_method: inclusive_start
  notice_cutoff: 16:30
  notice_calendar: scotland
  quiet_period: 0s
  restoration: 1h30m
  at_risk_after: [500ms, 1h]
  seal_after: 7wd
  bank_holidays: {add: [2026-06-15], remove: [2026-05-04]}
"""
    rules = loaded(tmp_path, MINIMAL + slo).rules
    assert rules.objective == Fraction(999, 1000)
    assert rules.zone.key == "UTC"
    assert rules.late_records == "accept"
    assert (rules.notice_days, rules.notice_method) == (3, "inclusive_start")
    assert (rules.notice_cutoff, rules.notice_calendar) == (time(16, 30), "scotland")
    assert rules.quiet_period == timedelta(0)
    assert rules.restoration_target == timedelta(minutes=90)
    assert rules.at_risk_after == (timedelta(milliseconds=500), timedelta(hours=1))
    assert rules.seal_after == 7
    assert rules.bank_holidays == {date(2026, 6, 15), date(2026, 12, 25)}


def test_an_endpoint_beats_defaults_beats_slo(tmp_path: Path) -> None:
    """The nearest word counts, and the gap follows the interval that holds."""
    text = MINIMAL + "    confirm_up: 4\n    interval: 20s\n"
    text += (
        "slo: {confirm_down: 9, recheck_interval: 2s}\ndefaults: {confirm_up: 5, timeout: 12s}\n"
    )
    cadence = loaded(tmp_path, text).endpoints[0].cadence
    assert (cadence.confirm_down, cadence.confirm_up) == (9, 4)
    assert cadence.recheck_interval == timedelta(seconds=2)
    assert cadence.gap_after == timedelta(seconds=52)


def test_expectations_replace_only_what_they_name(tmp_path: Path) -> None:
    """An expectation keeps the safe default of its service where it says nothing."""
    text = MINIMAL + "    expect: {status: [401], impaired_above: 4s, headers: {Accept: a/b}}\n"
    expectation = loaded(tmp_path, text).endpoints[0].expectation
    assert expectation.statuses == {401}
    assert expectation.impaired_above == timedelta(seconds=4)
    assert expectation.headers == (("Accept", "a/b"),)
    assert expectation.method == DEFAULTS[Service.VIEW].method
    assert expectation.refusals == DEFAULTS[Service.VIEW].refusals


def test_a_default_for_impaired_reaches_every_endpoint(tmp_path: Path) -> None:
    """`defaults.impaired_above` holds where neither endpoint nor expectation says otherwise."""
    found = loaded(tmp_path, MINIMAL + "defaults: {impaired_above: 3s}\n")
    assert found.endpoints[0].expectation.impaired_above == timedelta(seconds=3)


def test_includes_merge_lists_and_identities(tmp_path: Path) -> None:
    """Included endpoints, holdernames and identities join those of the main file, in name order."""
    entry = MINIMAL[MINIMAL.index("  - id") :]
    write(tmp_path, "endpoints:\n" + entry.replace("view-main", "b"), "endpoints.d/2.yaml")
    write(
        tmp_path,
        "identities: {more: {pkcs12: m.p12}}\nendpoints:\n" + entry.replace("view-main", "a"),
        "endpoints.d/1.yaml",
    )
    holders = f"holdernames: [{{guid: {GUID}, name: H, serves: [{{endpoints: [a, b, view-main], "
    write(tmp_path, holders + "from: 2026-09-01}]}]\n", "holders.yaml")
    text = "include: [endpoints.d/*.yaml, holders.yaml, endpoints.d/1.yaml]\n" + MINIMAL
    found = loaded(tmp_path, text)
    assert [endpoint.id for endpoint in found.endpoints] == ["view-main", "a", "b"]
    assert set(found.identities) == {"live", "more"}
    assert found.identities["more"].pkcs12 == str(tmp_path / "m.p12")
    assert found.holdernames[0].serves[0].endpoints == ("a", "b", "view-main")


def test_files_resolve_against_credentials_then_the_folder(tmp_path: Path) -> None:
    """A `*_file` is a systemd credential if there is one, otherwise seen from the configuration."""
    credentials = tmp_path / "credentials"
    write(credentials, "x", "hook")
    text = MINIMAL + (
        "http: {tokens_file: tokens.yaml}\nstore: {url: 'sqlite:data/m.db'}\n"
        "alerts: {webhooks: [{name: ops, url: 'https://h.example/x', secret_file: hook}]}\n"
    )
    found = loaded(tmp_path / "etc", text, {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert found.alerts.webhooks[0].secret_file == credentials / "hook"
    assert found.http.tokens_file == tmp_path / "etc" / "tokens.yaml"
    assert found.store.path == tmp_path / "etc" / "data" / "m.db"


CREDENTIALS = """\
organisation: {name: Example, connection: federated}
identities:
  live: {certificate: c.pem, chain: ch.pem, private_key_file: key, password_file: password}
endpoints:
  - {id: v, service: view, url: "https://v.example/v", identity: live, connected_from: 2026-09-01}
http: {tokens_file: tokens, tls: {certificate: w.pem, private_key_file: web}}
alerts:
  webhooks:
    - {name: ops, url: "https://h.example/x", secret_file: secret, previous_secret_file: before}
  alertmanager:
    - {url: "https://a.example", ca_file: ca, bearer_token_file: bearer}
    - {url: "https://b.example", username: monitor, password_file: login}
  apprise: [{name: chat, url_file: chat}]
  dead_man: {url_file: ping}
"""


def test_every_file_key_takes_a_credential(tmp_path: Path) -> None:
    """Each `*_file` of the configuration that is a bare name is looked for among the credentials."""
    names = [
        "key",
        "password",
        "tokens",
        "web",
        "secret",
        "before",
        "ca",
        "bearer",
        "login",
        "chat",
        "ping",
    ]
    for name in names:
        write(tmp_path / "credentials", "x", name)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    found = loaded(tmp_path / "etc", CREDENTIALS, environ)
    identity, http, alerts = found.identities["live"], found.http, found.alerts
    first, second = alerts.alertmanager
    assert http.tls is not None
    assert alerts.dead_man is not None
    resolved = {
        ("IdentitySection", "private_key_file"): identity.private_key_file,
        ("IdentitySection", "password_file"): identity.password_file,
        ("HttpSection", "tokens_file"): http.tokens_file,
        ("HttpTlsSection", "private_key_file"): http.tls.private_key_file,
        ("WebhookSection", "secret_file"): alerts.webhooks[0].secret_file,
        ("WebhookSection", "previous_secret_file"): alerts.webhooks[0].previous_secret_file,
        ("AlertmanagerSection", "ca_file"): first.ca_file,
        ("AlertmanagerSection", "bearer_token_file"): first.bearer_token_file,
        ("AlertmanagerSection", "password_file"): second.password_file,
        ("AppriseSection", "url_file"): alerts.apprise[0].url_file,
        ("DeadManSection", "url_file"): alerts.dead_man.url_file,
    }
    schema = config.json_schema()
    keys = {
        (section, key)
        for section, shape in schema["$defs"].items()
        for key in shape.get("properties", {})
        if key.endswith("_file")
    }
    assert set(resolved) == keys, "a key that this test does not hold to it"
    places = [tmp_path / "credentials" / name for name in names]
    assert sorted(map(str, resolved.values())) == sorted(map(str, places))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///var/lib/m.db", "/var/lib/m.db"),
        ("sqlite:////var/lib/m.db", "/var/lib/m.db"),
        ("sqlite://./m.db", "{folder}/m.db"),
        ("sqlite:m.db", "{folder}/m.db"),
    ],
)
def test_the_store_is_absolute_or_beside_the_file(tmp_path: Path, url: str, path: str) -> None:
    """Three slashes begin an absolute path; none or a dot a path beside the configuration."""
    found = loaded(tmp_path, MINIMAL + f"store: {{url: '{url}'}}\n")
    assert str(found.store.path) == path.format(folder=tmp_path)


def test_listen_takes_ipv6_in_brackets(tmp_path: Path) -> None:
    """An IPv6 address loses its brackets, and ::1 is loopback."""
    found = loaded(tmp_path, MINIMAL + "http: {listen: '[::1]:0'}\n")
    assert (found.http.host, found.http.port) == ("::1", 0)


def test_variables_expand_in_values(tmp_path: Path) -> None:
    """`${NAME}` is replaced in any text, also of a secret header; `$${` stands for `${`."""
    text = MINIMAL.replace("name: Example", "name: '${WHO} $${x}'")
    text += "    expect: {headers: {Authorization: 'Bearer ${TOKEN}'}}\n"
    found = loaded(tmp_path, text, {"WHO": "Us", "TOKEN": "abc"})
    assert found.organisation.name == "Us ${x}"
    assert found.endpoints[0].expectation.headers == (("Authorization", "Bearer abc"),)


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    """What an anchor names can be used again, its own keys coming first."""
    text = MINIMAL.replace("  - id", "  - &one\n    id")
    text += "  - {<<: *one, id: second, url: 'https://other.example/view'}\n"
    found = loaded(tmp_path, text)
    assert [endpoint.id for endpoint in found.endpoints] == ["view-main", "second"]
    assert found.endpoints[1].connected_from == date(2026, 9, 1)


def test_loading_needs_no_material(tmp_path: Path) -> None:
    """A file whose identities, secrets and store do not exist loads, so that replay can use it."""
    assert loaded(tmp_path, EXAMPLE.read_text(encoding="utf-8")).endpoints
    assert [path.name for path in tmp_path.iterdir()] == ["monitor.yaml"]


# --- warnings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "warning"),
    [
        ("", ':5:5: endpoints[0]: "view-main" serves no holdername; name it in `serves`'),
        ("    interval: 90s\n", "interval 90s is over 60s"),
        ("    timeout: 31s\n", "timeout 31s is longer than interval 30s"),
        ("    recheck_interval: 31s\n", "recheck_interval is longer than interval"),
        ("slo: {bank_holidays: {remove: [2026-06-16]}}\n", "2026-06-16 is no bank holiday"),
        ("include: [parts/*.yaml]\n", "matches no file"),
        (
            "alerts: {webhooks: [{name: ops, url: 'https://h.example/x'}]}\n",
            "alerts.webhooks[0]: is sent unsigned",
        ),
        (
            "alerts: {apprise: [{name: chat, url_file: u}]}\n",
            "alerts.apprise: is an incident's only path",
        ),
        (
            "alerts: {alertmanager: [{url: 'http://am.example:9093'}]}\n",
            "alerts.alertmanager[0].url: is told in the clear; write it with https://",
        ),
        (
            f"holdernames: [{{guid: {GUID}, name: H}}]\n",
            f'holdername "{GUID}" has no find endpoint',
        ),
    ],
)
def test_what_is_unwise_is_a_warning(tmp_path: Path, extra: str, warning: str) -> None:
    """Unwise values load, and are warned of with their place."""
    text = MINIMAL + extra
    warnings = loaded(tmp_path, text.replace("90s", "1m30s")).warnings
    assert any(warning.replace("90s", "1m30s") in each for each in warnings), warnings


def test_many_endpoints_without_holdername_are_summed_up(tmp_path: Path) -> None:
    """A warning that would repeat itself for thousands of endpoints is given a few times."""
    entry = MINIMAL[MINIMAL.index("  - id") :]
    more = "".join(entry.replace("view", f"view{number}") for number in range(40))
    warnings = loaded(
        tmp_path, (MINIMAL + more).replace("service: view", "service: view #")
    ).warnings
    assert len(warnings) < 15
    assert "31 more live endpoints" in warnings[-1]


def test_bank_holidays_that_run_out_are_warned_of(tmp_path: Path) -> None:
    """With today's date known, a list with no day to come is warned of."""
    later = loaded(tmp_path, MINIMAL, today=date(2026, 12, 1)).warnings
    assert any("no bank holiday is known to come" in each for each in later)
    sooner = loaded(tmp_path, MINIMAL, today=date(2026, 9, 1)).warnings
    assert not any("no bank holiday" in each for each in sooner)


# --- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_mistake_is_told_with_its_place_and_cure(path: Path) -> None:
    """A file with one mistake has one fault: the one its first line expects."""
    expected = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={}, bank_holidays=days)
    assert [str(fault).replace(f"{BAD}/", "") for fault in caught.value.faults] == [expected]
    assert "hunter2" not in str(caught.value)


def test_all_faults_come_at_once_in_file_order(tmp_path: Path) -> None:
    """Syntax of values, unknown keys and clashes between values are told together, top down."""
    text = MINIMAL.replace("/view\n", "/view/\n").replace("federated", "fedrated")
    text += "    intervall: 3\n  - id: view-main\n    service: find\n    url: https://a.example\n"
    text += "    identity: nobody\nhttp: {listen: '0.0.0.0:1'}\nstor: {}\n"
    faults = refused(tmp_path, text)
    assert [fault.split(": ")[1] for fault in faults] == [
        "organisation.connection",
        "endpoints[0].url",
        "endpoints[0].intervall",
        "endpoints[1]",
        "endpoints[1].identity",
        "http.listen",
        "stor",
    ]
    lines = [int(fault.split(":")[1]) for fault in faults]
    assert lines == sorted(lines)


def test_included_faults_follow_those_of_the_main_file(tmp_path: Path) -> None:
    """A fault in an included file names that file and the line in it."""
    write(tmp_path, "endpoints:\n  - id: X\n", "endpoints.d/a.yaml")
    faults = refused(tmp_path, "include: [endpoints.d/*.yaml]\n" + MINIMAL + "stor: {}\n")
    assert faults[0].startswith("monitor.yaml:11:1: stor:")
    assert faults[1].startswith("endpoints.d/a.yaml:2:5: endpoints[0].service: is missing")
    assert faults[-1].startswith("endpoints.d/a.yaml:2:9: endpoints[0].id:")


def test_one_fault_does_not_cause_another(tmp_path: Path) -> None:
    """An identity or endpoint with a fault of its own still counts as configured."""
    text = MINIMAL.replace("{pack: live}", "{pak: live}").replace("/view\n", "/view/\n")
    text += f"holdernames: [{{guid: {GUID}, name: H, serves: [{{endpoints: [view-main], "
    faults = refused(tmp_path, text + "from: 2026-09-01}]}]\n")
    assert len(faults) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"a: \xff\n", "is not UTF-8 text"), (b"a: \x07\n", "is not YAML")],
)
def test_an_unreadable_file_is_one_fault(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    """A file that is absent or not text is a ConfigError that names it."""
    path = tmp_path / "monitor.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load(path, environ={}, bank_holidays=days)
    assert caught.value.faults[0].file == str(path)


def test_an_empty_file_lacks_endpoints(tmp_path: Path) -> None:
    """An empty file is told what to begin with."""
    assert refused(tmp_path, "") == [
        "monitor.yaml:1:1: endpoints: is missing; add `endpoints:` with what to probe"
    ]


# --- secrets ----------------------------------------------------------------------------------

_EXAMPLE_TEXT = EXAMPLE.read_text(encoding="utf-8")
_SCALARS = [
    match.span(1) for match in re.finditer(r"(?m)^ *(?:- )?\w+: ([^\s\[{&#]+)", _EXAMPLE_TEXT)
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    place=st.sampled_from(_SCALARS),
    around=st.sampled_from(
        ["{}", "https://{}/", "http://h.example/{}", "https://h.example/{}/", "a{}"]
    ),
    secret=st.text("abcXYZ0189", min_size=10, max_size=20),
)
def test_no_message_shows_a_value_from_the_environment(
    tmp_path: Path, place: tuple[int, int], around: str, secret: str
) -> None:
    """Wherever a variable is used, faults and warnings show its name, never its value."""
    value = "'" + around.format("${SECRET}") + "'"
    text = _EXAMPLE_TEXT[: place[0]] + value + _EXAMPLE_TEXT[place[1] :]
    try:
        shown = "\n".join(loaded(tmp_path, text, {"SECRET": secret}).warnings)
    except ConfigError as error:
        shown = str(error)
    assert secret.lower() not in shown.lower()


@pytest.mark.parametrize(
    "secret", ["*hunter2", "!hunter2 x", "'hunter2", "[hunter2", "%hunter2: :"]
)
def test_a_secret_that_breaks_the_syntax_is_not_shown(tmp_path: Path, secret: str) -> None:
    """What YAML cannot read is told by its place, not by its text."""
    faults = refused(tmp_path, MINIMAL + f"alerts: {{secret: {secret}\n")
    assert "hunter2" not in "\n".join(faults)


# --- digests, reload, facts -------------------------------------------------------------------


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    """Spelling, comments and defaults written out leave the digest; a threshold does not."""
    plain = loaded(tmp_path, MINIMAL)
    spelt = loaded(tmp_path, "# a comment\n" + MINIMAL + "defaults: {interval: 30000ms}\n")
    other = loaded(tmp_path, MINIMAL + "defaults: {interval: 20s}\n")
    assert plain.digest == spelt.digest != other.digest
    assert plain.rules_digest == other.rules_digest
    assert re.fullmatch("[0-9a-f]{64}", plain.digest)


def test_the_digest_leaves_secrets_out(tmp_path: Path) -> None:
    """Rotating a token changes no digest."""
    text = MINIMAL + "    expect: {headers: {Authorization: '${T}'}}\n"
    text += "alerts: {dead_man: {url: 'https://ping.example/${T}'}}\n"
    one, two = (loaded(tmp_path, text, {"T": token}) for token in ("first", "second"))
    assert one != two
    assert one.digest == two.digest


def test_the_rules_digest_covers_bank_holidays(tmp_path: Path) -> None:
    """A bank holiday more is another set of rules."""
    added = loaded(tmp_path, MINIMAL + "slo: {bank_holidays: {add: [2026-06-15]}}\n")
    assert added.rules_digest != loaded(tmp_path, MINIMAL).rules_digest


def test_differences_name_what_a_reload_changes(tmp_path: Path) -> None:
    """Endpoints added, removed and changed, and what needs a restart."""
    entry = MINIMAL[MINIMAL.index("  - id") :]
    two = MINIMAL + entry.replace("view-main", "second")
    old = loaded(tmp_path, two)
    changed = two.replace("second", "third").replace(
        "  - id: view-main\n", "  - id: view-main\n    timeout: 12s\n"
    )
    new = loaded(tmp_path, changed + "http: {listen: '127.0.0.1:1'}\nstore: {url: 'sqlite:m.db'}\n")
    found = config.differences(old, new)
    assert (found.added, found.removed, found.changed) == (("third",), ("second",), ("view-main",))
    assert found.restart == ("store.url", "http.listen")
    assert config.differences(old, old) == config.Differences((), (), (), ())


def test_the_accounting_survives_as_a_fact(tmp_path: Path) -> None:
    """A configuration fact is JSON from which the same rules, cadences and mapping come back."""
    found = loaded(tmp_path, _EXAMPLE_TEXT)
    document = json.loads(json.dumps(config.accounting_document(found)))
    rules, endpoints, holdernames = config.accounting_from_document(document, HOLIDAYS)
    assert rules == found.rules
    assert holdernames == found.holdernames
    assert endpoints == tuple(
        replace(
            each,
            url="",
            identity="",
            trust=None,
            expectation=DEFAULTS[each.service],
            hypercare_interval=None,
            security_every=None,
        )
        for each in found.endpoints
    )
    assert document["rules"]["bank_holidays_digest"] == config.bank_holidays_digest(HOLIDAYS)
    assert "https:" not in json.dumps(document)


@given(st.integers(min_value=0, max_value=36500 * 86_400_000))
def test_durations_read_back(milliseconds: int) -> None:
    """What `format_duration` writes is what `parse_duration` reads."""
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@given(st.text("0123456789dhms. -", max_size=8))
def test_other_durations_are_refused(text: str) -> None:
    """Only units in falling order, each once, make a duration."""
    if re.fullmatch(r"(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?", text) and text:
        with suppress(Wrong):  # longer than a hundred years
            assert parse_duration(text) >= timedelta()
    else:
        with pytest.raises(Wrong):
            parse_duration(text)


# --- the example and the schema ---------------------------------------------------------------


def schema_keys(
    schema: dict[str, Any], definition: dict[str, Any], path: str = ""
) -> Iterator[str]:
    """Every path that the schema knows: `endpoints[].expect.status`."""
    for part in [definition, *definition.get("anyOf", ())]:
        if "$ref" in part:
            yield from schema_keys(schema, schema["$defs"][part["$ref"].split("/")[-1]], path)
        for name, option in part.get("properties", {}).items():
            yield f"{path}.{name}".lstrip(".")
            yield from schema_keys(schema, option, f"{path}.{name}")
        if isinstance(part.get("items"), dict):
            yield from schema_keys(schema, part["items"], f"{path}[]")
        for option in part.get("patternProperties", {}).values():
            yield from schema_keys(schema, option, f"{path}.*")


def data_keys(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield f"{path}.{name}".lstrip(".")
            yield from data_keys(part, f"{path}.{'*' if path == '.identities' else name}")
    elif isinstance(value, list):
        for part in value:
            yield from data_keys(part, f"{path}[]")


def test_the_example_loads_without_a_warning() -> None:
    """The file in config/ is good as it stands."""
    assert load(EXAMPLE, environ={}, bank_holidays=days).warnings == ()


def test_the_example_names_every_option() -> None:
    """No option is missing from the example; what slo shares may stand under defaults."""
    schema = config.json_schema()
    elsewhere = {
        f"slo.{name}" for name in ("confirm_down", "confirm_up", "recheck_interval", "gap_after")
    }
    known = set(schema_keys(schema, schema))
    assert {"endpoints[].expect.status", "identities.*.pack", "alerts.dead_man.every"} <= known
    shown = set(data_keys(YAML(typ="safe").load(EXAMPLE)))
    instead = {"alerts.apprise[].url", "alerts.dead_man.url_file"}  # of what stands there
    assert known - shown == elsewhere | instead | {"slo.slo_zone"}
    assert all(text in _EXAMPLE_TEXT for text in ("or url: ${CHAT_URL}", "or url_file: PATH"))
    for key in elsewhere | {"slo.slo_zone"}:
        assert key.removeprefix("slo.") in _EXAMPLE_TEXT


def test_every_option_of_the_schema_is_described() -> None:
    """Each option says what it is for, as editors show it."""
    schema = config.json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    for definition in [schema, *schema["$defs"].values()]:
        for name, option in definition.get("properties", {}).items():
            shape = schema["$defs"].get(option.get("$ref", "").split("/")[-1], {})
            assert option.get("description") or shape.get("description"), name
        if "properties" in definition:
            assert definition["additionalProperties"] is False


def test_the_defaults_of_the_schema_are_those_that_hold(tmp_path: Path) -> None:
    """Writing out every default that the schema prints changes nothing."""
    options = config.json_schema()["properties"]
    sections = ("slo", "defaults", "store", "http", "alerts", "probing")
    assert options["slo"]["default"]["objective"] == "0.995"
    assert options["defaults"]["default"]["interval"] == "30s"
    assert options["store"]["default"]["retain_observations"] == "400d"
    written = "".join(f"{name}: {json.dumps(options[name]['default'])}\n" for name in sections)
    plain = loaded(tmp_path, MINIMAL)
    assert loaded(tmp_path, MINIMAL + written) == plain


# --- what only some callers ask -----------------------------------------------------------------


def test_an_endpoint_presents_the_identity_of_its_environment(tmp_path: Path) -> None:
    """Without a word about it, a live endpoint presents `live` and a test endpoint `test`."""
    text = MINIMAL.replace("    identity: live\n", "").replace(
        "identities:\n", "identities:\n  test: {pack: test}\n"
    )
    text += "  - {id: t, service: find, url: https://t.example/find, environment: test}\n"
    assert [each.identity for each in loaded(tmp_path, text).endpoints] == ["live", "test"]


def test_accounting_needs_no_identity(tmp_path: Path) -> None:
    """Where nothing is to be probed, identities may be missing altogether."""
    text = MINIMAL.replace("identities:\n  live: {pack: live}\n", "")
    assert any('"live" is not configured' in fault for fault in refused(tmp_path, text))
    path = write(tmp_path, text)
    found = load(path, environ={}, bank_holidays=days, accounting_only=True)
    assert [each.id for each in found.endpoints] == ["view-main"]


def test_a_short_timeout_shortens_the_limit_that_nobody_set(tmp_path: Path) -> None:
    """Slow and dead stay distinct without a second option."""
    found = loaded(tmp_path, MINIMAL + "defaults: {timeout: 6s}\n")
    assert found.endpoints[0].expectation.impaired_above == timedelta(seconds=4)


def test_the_fingerprint_tells_of_changed_and_of_new_files(tmp_path: Path) -> None:
    """A changed file, a changed include and a new include each change the fingerprint."""
    part = (
        "endpoints: [{id: a, service: find, url: https://a.example/f, connected_from: 2026-09-01}]"
    )
    write(tmp_path, part, "endpoints.d/a.yaml")
    found = loaded(tmp_path, MINIMAL + "include: [endpoints.d/*.yaml]\n")
    seen = [config.fingerprint(found)]
    write(tmp_path, part + " ", "endpoints.d/a.yaml")
    seen.append(config.fingerprint(found))
    write(tmp_path, part.replace("id: a", "id: b"), "endpoints.d/b.yaml")
    seen.append(config.fingerprint(found))
    write(tmp_path, MINIMAL)
    seen.append(config.fingerprint(found))
    (tmp_path / "monitor.yaml").unlink()
    seen.append(config.fingerprint(found))
    assert len(set(seen)) == 5
