"""deploy/: every variable, flag, port, path and metric that its files name is there, and what must fit does."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from rules import load
from server.configuration import read_settings
from server.settings import ServerSettings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCUMENTS = sorted([*DEPLOY.glob("*.yaml"), *DEPLOY.glob("*.yml")])

Tree = dict[str, Any]


class OnceLoader(yaml.SafeLoader):
    """Takes no key twice: the first one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        repeated = {key for key in keys if keys.count(key) > 1}
        assert not repeated, f"{node.start_mark}: {repeated}"
        return super().construct_mapping(node, deep)


def documents(name: str) -> list[Tree]:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    return list(yaml.load_all(text, OnceLoader))


def of_kind(kind: str) -> Tree:
    (found,) = (document for document in documents("kubernetes.yaml") if document["kind"] == kind)
    return found


@pytest.fixture(scope="module")
def compose() -> Tree:
    (found,) = documents("docker-compose.yaml")
    return found


@pytest.fixture(scope="module")
def pod() -> Tree:
    return of_kind("Deployment")["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def dockerfile() -> list[list[str]]:
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    return [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def steps(dockerfile: list[list[str]], word: str) -> list[str]:
    return [rest for name, rest in dockerfile if name == word]


def set_by(dockerfile: list[list[str]]) -> dict[str, str]:
    pairs = (pair.partition("=") for line in steps(dockerfile, "ENV") for pair in shlex.split(line))
    return {name: value for name, _, value in pairs}


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, Path]:
    """Files as they are mounted, by the last part of their name."""
    contents = {"upstream_key": "none", "upstream-key": "none", "database": "postgresql+psycopg://w:w@postgres/w"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    return {name: tmp_path / name for name in contents}


def placed(text: str, secrets: dict[str, Path]) -> str:
    """Settings with the places of secrets as they are on this machine."""
    return re.sub(r"/run/secrets/(?:wardlaw/)?([\w-]+)", lambda match: str(secrets[match[1]]), text)


@pytest.fixture
def in_compose(compose: Tree, dockerfile: list[list[str]], secrets: dict[str, Path]) -> ServerSettings:
    """The settings of the server in compose: the image's variables, and compose's over them."""
    given = {"UPSTREAM": "http://model:8000/v1"}
    environment = {
        name: placed(re.sub(r"\$\{(\w+):[-?]([^}]*)\}", lambda one: given.get(one[1], one[2]), str(value)), secrets)
        for name, value in compose["services"]["wardlaw"]["environment"].items()
    }
    return read_settings(None, {**set_by(dockerfile), **environment})


@pytest.fixture
def in_kubernetes(tmp_path: Path, dockerfile: list[list[str]], secrets: dict[str, Path]) -> ServerSettings:
    """The settings of the server on Kubernetes: the image's variables over the file of the ConfigMap."""
    path = tmp_path / "settings.yaml"
    path.write_text(placed(of_kind("ConfigMap")["data"]["settings.yaml"], secrets), encoding="utf-8")
    return read_settings(path, set_by(dockerfile))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_file_is_yaml_without_repeated_keys(path: Path) -> None:
    assert documents(path.name)


def test_compose_sets_only_what_can_be_set_and_needs_keys(in_compose: ServerSettings) -> None:
    assert in_compose.upstream.url == "http://model:8000/v1"
    assert in_compose.database.startswith("postgresql+psycopg://")
    assert in_compose.auth == "keys"


def test_kubernetes_sets_only_what_can_be_set_and_needs_keys(in_kubernetes: ServerSettings) -> None:
    assert in_kubernetes.upstream.key is not None
    assert in_kubernetes.database.startswith("postgresql+psycopg://")
    assert in_kubernetes.auth == "keys"


def test_the_image_and_kubernetes_mean_the_same_folder(in_kubernetes: ServerSettings, pod: Tree) -> None:
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert str(in_kubernetes.folder) in mounts


def test_the_rules_that_are_mounted_load(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(of_kind("ConfigMap")["data"]["rules.yaml"], encoding="utf-8")
    assert len(load(path).constitution) > 20
    assert len(load(DEPLOY / "rules" / "rules.yaml").constitution) > 20


def test_the_flags_that_are_used_are_those_of_serve(pod: Tree, dockerfile: list[list[str]]) -> None:
    from server.cli.serve import command

    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    name, *rest = pod["containers"][0]["args"]
    assert steps(dockerfile, "ENTRYPOINT") == ['["wardlaw"]']
    assert name == "serve"
    assert {flag for flag in rest if flag.startswith("-")} <= known


def test_ports_are_those_that_the_server_listens_on(
    compose: Tree, pod: Tree, dockerfile: list[list[str]], in_compose: ServerSettings, in_kubernetes: ServerSettings
) -> None:
    (port,) = pod["containers"][0]["ports"]
    assert port["containerPort"] == in_kubernetes.port
    assert of_kind("Service")["spec"]["ports"][0]["targetPort"] == port["name"]
    assert steps(dockerfile, "EXPOSE") == [str(in_compose.port)]
    assert all(entry.endswith(f":{in_compose.port}") for entry in compose["services"]["wardlaw"]["ports"])
    (prometheus,) = documents("prometheus.yml")
    assert prometheus["scrape_configs"][0]["static_configs"][0]["targets"] == [f"wardlaw:{in_compose.port}"]


def test_a_drain_ends_before_the_process_is_killed(
    compose: Tree, pod: Tree, in_compose: ServerSettings, in_kubernetes: ServerSettings
) -> None:
    assert in_kubernetes.drain_s + in_kubernetes.drain_delay_s < pod["terminationGracePeriodSeconds"]
    grace = compose["services"]["wardlaw"]["stop_grace_period"]
    assert in_compose.drain_s + in_compose.drain_delay_s < int(grace.removesuffix("s"))


def test_a_pod_is_taken_out_before_it_stops_taking_requests(pod: Tree, in_kubernetes: ServerSettings) -> None:
    probe = pod["containers"][0]["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] <= in_kubernetes.drain_delay_s


def test_the_server_runs_as_nobody_in_particular_and_writes_only_where_it_may(
    compose: Tree, pod: Tree, dockerfile: list[list[str]]
) -> None:
    assert steps(dockerfile, "USER") == [
        f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    ]
    assert pod["securityContext"]["runAsNonRoot"] is True
    inside = pod["containers"][0]["securityContext"]
    assert (inside["readOnlyRootFilesystem"], inside["allowPrivilegeEscalation"]) == (True, False)
    assert inside["capabilities"] == {"drop": ["ALL"]}
    assert compose["services"]["wardlaw"]["read_only"] is True
    assert compose["services"]["wardlaw"]["cap_drop"] == ["ALL"]


def test_every_selector_and_volume_finds_what_it_names(pod: Tree) -> None:
    deployment = of_kind("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        of_kind("Service")["spec"]["selector"],
        of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    mounts = pod["containers"][0]["volumeMounts"]
    assert {mount["name"] for mount in mounts} == {volume["name"] for volume in pod["volumes"]}
    assert not any("subPath" in mount for mount in mounts)
    target = of_kind("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert of_kind("PodDisruptionBudget")["spec"]["minAvailable"] < deployment["spec"]["replicas"]


def test_every_object_says_what_it_is(compose: Tree) -> None:
    for document in documents("kubernetes.yaml"):
        assert {"apiVersion", "kind", "metadata"} <= document.keys()
        assert re.fullmatch(r"[a-z0-9-]+", document["metadata"]["name"])
    for service in compose["services"].values():
        assert "image" in service
        assert set(service.get("secrets", ())) <= compose["secrets"].keys()
        named = [mount.partition(":")[0] for mount in service.get("volumes", ())]
        assert all(name in compose["volumes"] or (DEPLOY / name).exists() for name in named)


def test_no_secret_stands_in_a_file(compose: Tree) -> None:
    assert not [document for document in documents("kubernetes.yaml") if document["kind"] == "Secret"]
    assert all(secret["file"].startswith("./secrets/") for secret in compose["secrets"].values())
    assert "/secrets/" in (DEPLOY / ".gitignore").read_text().splitlines()
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?i)(password|api_?key|token)\s*[:=]\s*['\"]?[\w/+-]{6,}", text), path


def test_the_image_is_made_of_files_that_are_there_and_let_in(dockerfile: list[list[str]]) -> None:
    let_in = {
        line[1:].rstrip("/")
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = [name for line in steps(dockerfile, "COPY") if not line.startswith("--from") for name in line.split()[:-1]]
    assert copied
    assert set(copied) == let_in
    assert [name for name in copied if not (ROOT / name).exists()] == []


def metrics_in(expression: str) -> Iterator[str]:
    yield from re.findall(r"\bwardlaw_\w+", expression)


def test_alerts_watch_kinds_of_faults_that_the_server_tells() -> None:
    from server.dialects.chat_completions.faults import _WORDS

    (alerts,) = documents("alerts.yml")
    named = [
        kind
        for group in alerts["groups"]
        for rule in group["rules"]
        for kinds in re.findall(r'kind[=!]~?"([^"]+)"', rule["expr"])
        for kind in kinds.split("|")
    ]
    assert named
    assert set(named) <= {*_WORDS, "client_gone"}


def test_alerts_watch_metrics_that_the_server_has() -> None:
    from server.telemetry.metrics import Metrics

    families = {family.name: family.type for family in Metrics().registry.collect()}
    known = {f"{name}_total" if kind == "counter" else name for name, kind in families.items()}
    (alerts,) = documents("alerts.yml")
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    assert {name for rule in rules for name in metrics_in(rule["expr"])} <= known
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "action"}
    (prometheus,) = documents("prometheus.yml")
    assert prometheus["rule_files"] == ["alerts.yml"]


class Mounted:
    """A ConfigMap as the kubelet mounts it: files that are links into `..data`, itself a link that is replaced."""

    def __init__(self, folder: Path, data: dict[str, str]) -> None:
        self.folder = folder
        self.versions = 0
        self.put(data)
        for name in data:
            (folder / name).symlink_to(f"..data/{name}")

    def put(self, data: dict[str, str]) -> None:
        self.versions += 1
        version = self.folder / f"..version_{self.versions}"
        version.mkdir(parents=True)
        for name, text in data.items():
            (version / name).write_text(text, encoding="utf-8")
        (self.folder / "..new").symlink_to(version.name)
        (self.folder / "..new").replace(self.folder / "..data")


@dataclass
class Pod:
    mounted: Mounted
    data: dict[str, str]
    process: subprocess.Popen[bytes]
    address: str = ""

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(self.address + path, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def digest(self) -> str:
        return json.loads(self.get("/healthz")[1])["constitutions"]["default"]["digest"]


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """The manifest's server as a process here, with port, places and upstream of its own."""
    folder = tmp_path_factory.mktemp("pod")
    data = dict(of_kind("ConfigMap")["data"])
    settings = yaml.safe_load(data["settings.yaml"])
    settings |= {"host": "127.0.0.1", "port": 0, "folder": str(folder / "data"), "drain_delay_s": 0, "auth": "none"}
    settings |= {"constitutions": {"default": [str(folder / "etc" / "rules.yaml")]}, "gate": {"meaning": False}}
    settings["upstream"] = {"url": "http://127.0.0.1:9/v1"}
    del settings["database_file"]
    data["settings.yaml"] = yaml.safe_dump(settings)
    mounted = Mounted(folder / "etc", data)
    args = of_kind("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    args = [argument.replace("/etc/wardlaw", str(mounted.folder)) for argument in args]
    log = (folder / "log").open("w+b")
    process = subprocess.Popen([sys.executable, "-m", "server.cli.main", *args], cwd=ROOT, stderr=log, stdout=log)
    pod = Pod(mounted, data, process)
    try:
        for _ in range(600):
            found = re.search(r"listens on (http://[\d.:]+)", (folder / "log").read_text())
            if found or process.poll() is not None:
                break
            time.sleep(0.05)
        assert found, (folder / "log").read_text()
        pod.address = found[1]
        yield pod
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def test_every_path_that_is_probed_or_scraped_answers(container: Pod, pod: Tree) -> None:
    inside = pod["containers"][0]
    assert container.get(inside["livenessProbe"]["httpGet"]["path"])[0] == 200
    assert container.get(inside["startupProbe"]["httpGet"]["path"])[0] == 200
    # There is no model behind it: it lives, and wants no requests.
    assert container.get(inside["readinessProbe"]["httpGet"]["path"])[0] == 503
    scraped = of_kind("Deployment")["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"]
    status, page = container.get(scraped)
    assert status == 200
    assert b"wardlaw_constitution_in_force" in page


def test_a_changed_configmap_comes_into_force(container: Pod) -> None:
    before = container.digest()
    rule = {"id": "bluebird", "rule": "Do not name it.", "why": "It has not been announced yet.", "title": "Naming it"}
    rules = yaml.safe_load(container.data["rules.yaml"])
    rules["rules"] = [{**rule, "detect": {"patterns": [{"literal": "project bluebird"}], "meaning": None}}]
    container.mounted.put({**container.data, "rules.yaml": yaml.safe_dump(rules)})
    for _ in range(300):
        if container.digest() != before:
            return
        time.sleep(0.05)
    pytest.fail(f"still {before}: {container.get('/healthz')[1]!r}")
