"""compose.yaml: its form, its promises, and that what it starts finds one another.

There is no container engine here. The form is held to the schema of the compose specification; the
promises are read off; the daemon, the sandbox, Prometheus and Alertmanager are started with the very
arguments and files, on the very ports and names, in a network of their own. Grafana is not.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.compose import FILE, OWN, ROOT, load, mounts, services
from tests.tools import need, need_root

VARIANTS = [pytest.param({}, id="demo"), pytest.param(OWN, id="own")]
NAMES = ["alertmanager", "grafana", "monitor", "prometheus", "sandbox"]


def test_the_form_is_that_of_the_compose_specification() -> None:
    """The file fits the specification's own schema."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(FILE)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_service_is_confined(name: str) -> None:
    """Read-only, without capabilities or new privileges, bounded, on loopback, watched."""
    service = services({})[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert not {"privileged", "network_mode", "cap_add", "devices", "pid"} & set(service)
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in service["ports"])
    # The images of the other two have a user of their own.
    if name not in ("alertmanager", "grafana"):
        assert service["user"].startswith("10001:")


@pytest.mark.parametrize("environ", VARIANTS)
def test_what_is_mounted_is_there(environ: dict[str, str]) -> None:
    """Files of the machine exist and are read-only; what is written goes into a declared volume."""
    whole = load(environ)
    for name, service in whole["services"].items():
        for mount in mounts(service):
            if mount.bound:
                assert (ROOT / mount.source).exists(), f"{name}: {mount.source}"
                assert mount.read_only, f"{name}: {mount.source}"
            else:
                assert mount.source in whole["volumes"], f"{name}: {mount.source}"


def test_your_facts_and_those_of_the_demo_are_kept_apart() -> None:
    """With a configuration of one's own the store is another, and nothing is taken from the sandbox."""
    assert load({})["volumes"]["store"] != load(OWN)["volumes"]["store"]
    own = services(OWN)
    assert [m.source for name in own if name != "sandbox" for m in mounts(own[name])].count(
        "sandbox"
    ) == 0


def test_images_have_a_version_and_it_can_be_chosen() -> None:
    """No image is `latest`; each version is a variable with a default."""
    text = FILE.read_text(encoding="utf-8")
    images = re.findall(r"^    ?image: (.+)$|^  image: (.+)$", text, re.MULTILINE)
    given = ["".join(pair) for pair in images]
    assert len(given) == 4
    assert all(re.search(r"\$\{[A-Z_]+:-[^}]*\d+\.\d+\.\d+\}$", image) for image in given)


def test_services_wait_for_what_they_need() -> None:
    """Each waits until what it needs is healthy; the sandbox only where there is one."""
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in services({}).items()
    }
    assert waits == {
        "monitor": {"sandbox": "service_healthy"},
        "sandbox": {},
        "prometheus": {"monitor": "service_healthy", "alertmanager": "service_healthy"},
        "alertmanager": {},
        "grafana": {"prometheus": "service_healthy"},
    }
    assert services({})["monitor"]["depends_on"]["sandbox"]["required"] is False
    assert [name for name, one in services({}).items() if "profiles" in one] == ["sandbox"]


def test_grafana_finds_its_data_and_its_dashboards() -> None:
    """The provisioned data source is the Prometheus here; dashboards are where they are looked for."""
    grafana = services({})["grafana"]
    targets = {mount.target: mount.source for mount in mounts(grafana)}
    provisioning = ROOT / targets["/etc/grafana/provisioning"]
    (source,) = _yaml(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = _yaml(provisioning / "dashboards" / "monitor.yaml")["providers"]
    folder = provider["options"]["path"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert Path(home).parent == Path(folder)
    assert (ROOT / targets[folder] / Path(home).name).is_file()


def _yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def test_what_it_starts_finds_one_another(tmp_path: Path) -> None:
    """With its arguments, files, names and ports: all is scraped, and an incident is told."""
    need("prometheus", "prometheus-alertmanager", "unshare")
    need_root()
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {' '.join(NAMES)}\n")
    enter = [
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-c",
        'mount --bind "$1" /etc/hosts; shift; exec "$@"',
    ]
    inside = [sys.executable, "-m", "tests.compose_inside", str(tmp_path)]
    done = subprocess.run(
        [*enter, "sh", str(hosts), *inside],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["healthy"] == ["alertmanager", "monitor", "prometheus", "sandbox"]
    assert found["targets"] == {"alertmanager": "up", "monitor": "up", "prometheus": "up"}
    assert found["alertmanagers"] == ["http://alertmanager:9093/api/v2/alerts"]
    assert found["rules"] > 0
    assert found["open"] == "1"
    assert "MonitorIncident" in found["told"]
