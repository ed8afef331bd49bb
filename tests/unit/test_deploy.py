"""The files in deploy/ are understood by the tools that will read them."""

import json
import re
import subprocess
from importlib import resources, util
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import kubernetes_validate
import pytest
import typer
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

import hub.cli
import node.cli
from tests.support.processes import ROOT
from tests.support.tools import tool

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
TIMERS = sorted((DEPLOY / "systemd").glob("*.timer"))
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
# Of systemd-analyze security, where 10 is everything open; what it still counts is the network, which Sepe needs.
EXPOSURE_MAX = 1.6
KUBERNETES = "1.34"


def complaints(unit: Path, tmp_path: Path) -> list[str]:
    """What systemd says of a unit; a misspelt key only shows on stderr, the exit code stays 0."""
    program = tmp_path / "sepe"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    # The program is not installed at its place here, which is not what is under test.
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"ExecStart=/opt/\S+", f"ExecStart={program}", unit.read_text()))
    # A timer is read together with what it starts.
    for other in UNITS if unit.suffix == ".timer" else ():
        (tmp_path / other.name).write_text(
            re.sub(r"ExecStart=/opt/\S+", f"ExecStart={program}", other.read_text())
        )
    command = ["systemd-analyze", "verify", "--man=no", copy]
    result = subprocess.run(command, capture_output=True, text=True)
    return [line for line in result.stderr.splitlines() if copy.name.partition("@")[0] in line]


@pytest.mark.parametrize("unit", [*UNITS, *TIMERS], ids=lambda unit: unit.name)
def test_systemd_understands_every_line_of_a_unit(unit: Path, tmp_path: Path) -> None:
    assert complaints(unit, tmp_path) == []


def test_a_misspelt_key_would_be_noticed(tmp_path: Path) -> None:
    unit = tmp_path / "wrong.service"
    unit.write_text(UNITS[0].read_text().replace("ProtectHome=", "ProtectHouse="))
    folder = tmp_path / "copy"
    folder.mkdir()
    assert any("ProtectHouse" in line for line in complaints(unit, folder))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_service_is_open_to_little(unit: Path) -> None:
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        f"--threshold={int(EXPOSURE_MAX * 10)}",
    ]
    done = subprocess.run([*command, unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_no_file_of_deploy_holds_a_secret() -> None:
    secret = re.compile(r"(SU[A-Z2-7]{56}|-----BEGIN|postgres(ql)?://[^/\s@:]+:[^@\s]+@|PASSWORD=\S)")
    held = [
        path for path in DEPLOY.rglob("*") if path.is_file() and secret.search(path.read_text(encoding="utf-8"))
    ]
    assert held == []


def test_compose_fits_the_schema_of_its_specification() -> None:
    # Apache-2.0, as check-jsonschema brings it.
    schemas = resources.files("check_jsonschema") / "builtin_schemas/vendor"
    validator = jsonschema.validators.validator_for(
        schema := json.loads((schemas / "compose-spec.json").read_text())
    )(schema)
    text = (DEPLOY / "compose/compose.yaml").read_text()
    assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []
    wrong = yaml.safe_load(text.replace("healthcheck:", "healthcheque:", 1))
    assert list(validator.iter_errors(wrong))


def test_the_containerfile_has_nothing_that_hadolint_minds(tmp_path: Path) -> None:
    file = DEPLOY / "container/Containerfile"
    done = subprocess.run([tool("hadolint"), file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^USER 10001", file.read_text(), re.MULTILINE)
    assert (
        "--require-hashes -r boot.lock" in file.read_text() and "--require-hashes runtime.lock" in file.read_text()
    )
    wrong = tmp_path / "Containerfile"
    wrong.write_text(file.read_text() + "RUN cd /tmp && sudo apt-get install vim\n")
    assert subprocess.run([tool("hadolint"), wrong], capture_output=True).returncode != 0


def test_kubernetes_knows_every_field_of_the_manifests() -> None:
    for path in MANIFESTS:
        for manifest in yaml.safe_load_all(path.read_text()):
            kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    wrong = yaml.safe_load(MANIFESTS[-1].read_text().partition("---")[0].replace("maxSurge", "maxSurges"))
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def pods() -> dict[str, dict[str, object]]:
    documents = [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())]
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in documents
        if one["kind"] in ("Deployment", "StatefulSet")
    }


@pytest.mark.parametrize("name", sorted(pods()))
def test_every_pod_is_bounded_probed_and_without_rights(name: str) -> None:
    pod: dict[str, object] = pods()[name]
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["automountServiceAccountToken"] is False
    for container in (*pod["containers"], *pod.get("initContainers", [])):
        held = container["securityContext"]
        assert held["readOnlyRootFilesystem"] and not held["allowPrivilegeEscalation"]
        assert held["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]
    for container in pod["containers"]:
        assert "readinessProbe" in container and "startupProbe" in container


def test_the_cluster_gets_the_same_settings_as_everybody() -> None:
    maps = {
        one["metadata"]["name"]: one["data"]
        for path in MANIFESTS
        for one in yaml.safe_load_all(path.read_text())
        if one["kind"] == "ConfigMap"
    }
    assert maps["nats-settings"]["nats.conf"] == (DEPLOY / "nats/cluster.conf").read_text()
    assert maps["postgres-settings"]["sepe.conf"] == (DEPLOY / "postgresql/sepe.conf").read_text()


@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_takes_the_settings_and_the_alerts_do_what_their_tests_say(command: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_leads_to_a_page_that_exists() -> None:
    pages = re.findall(r"(docs/[\w/.-]+\.md)(?:#([\w-]+))?", (DEPLOY / "prometheus/alerts.yml").read_text())
    assert pages
    for page, section in pages:
        headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not section or section in anchors, f"{page}#{section}"


def test_grafana_knows_every_key_of_the_dashboard_and_its_maker_made_it() -> None:
    text = (DEPLOY / "grafana/sepe.json").read_text()
    document = json.loads(text)
    plugins.register_default_plugins()
    # Grafana's own types drop what they do not know.
    again = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(document)))
    assert kept(document, again) == []
    spec = util.spec_from_file_location("make_dashboard", DEPLOY / "grafana/make_dashboard.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert json.dumps(module.dashboard(), indent=1) + "\n" == text, "python deploy/grafana/make_dashboard.py"


def kept(before: object, after: object, place: str = "") -> list[str]:
    """What of ``before`` is missing or different in ``after``."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            fault
            for key, value in before.items()
            for fault in ([f"{place}/{key}"] if key not in after else kept(value, after[key], f"{place}/{key}"))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            fault
            for n, (one, two) in enumerate(zip(before, after, strict=True))
            for fault in kept(one, two, f"{place}[{n}]")
        ]
    return [] if before == after else [place]


def test_the_windows_service_is_well_formed_and_names_only_what_winsw_knows() -> None:
    root = ElementTree.parse(DEPLOY / "windows/sepe-node.xml").getroot()
    known = {
        "id", "name", "description", "executable", "arguments", "workingdirectory", "startmode", "delayedAutoStart",
        "serviceaccount", "stoptimeout", "onfailure", "resetfailure", "logpath", "log",
    }  # fmt: skip
    assert root.tag == "service" and {child.tag for child in root} <= known
    assert {"id", "executable"} <= {child.tag for child in root}


def programs_called() -> list[list[str]]:
    """Every `sepe …` that a unit, the Compose file or a manifest starts, in words."""
    units = [
        line.partition("/bin/sepe ")[2].split(";")[0].split()
        for unit in UNITS
        for line in unit.read_text().splitlines()
        if line.startswith("ExecStart=") and "/bin/sepe " in line
    ]
    services = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"]
    compose = [list(map(str, services[name]["command"])) for name in ("hub", "worker")]
    containers = [
        container["args"]
        for pod in pods().values()
        for container in pod["containers"]
        if container["image"].startswith("sepe") and "args" in container
    ]
    return [*units, *compose, *containers]


@pytest.mark.parametrize("words", programs_called(), ids=lambda words: " ".join(words[:2]))
def test_every_option_that_deploy_gives_to_sepe_exists(words: list[str]) -> None:
    command: object = typer.main.get_command({"hub": hub.cli.app, "node": node.cli.app}[words[0]])
    command = command.commands[words[1]]
    known = {option for parameter in command.params for option in parameter.opts}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= known, given - known
