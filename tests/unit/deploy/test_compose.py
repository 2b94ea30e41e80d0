"""Holds docker-compose.yml, Prometheus and the dashboard against the code."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from cli.main import app
from consumers.configuration import load
from consumers.runtime.metrics import StageMetrics
from consumers.stages import STAGES
from storefront.configuration import load_storefront

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
DASHBOARD: dict[str, Any] = json.loads(
    (ROOT / "deploy/grafana/dashboards/overview.json").read_text(encoding="utf-8")
)
QUERIES = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]


def exposed() -> dict[str, set[str]]:
    """Every sample name that a stage can serve, and its labels."""
    samples: dict[str, set[str]] = {}
    for collector in StageMetrics("stage").registry._collector_to_names:
        labels = set(collector._labelnames)
        for name in collector.describe():
            suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}[
                name.type
            ]
            for suffix in suffixes:
                samples[name.name + suffix] = labels | ({"le"} if suffix == "_bucket" else set())
    return samples


@pytest.mark.parametrize("name", list(STAGES))
def test_every_stage_is_a_service(name: str) -> None:
    service = SERVICES[name]
    assert service["command"] == ["run", name]
    assert service["image"] == SERVICES["topics"]["image"]


@pytest.mark.parametrize("name", [*STAGES, "topics"])
def test_the_environment_is_one_that_the_configuration_takes(name: str, tmp_path: Path) -> None:
    configuration = load(SERVICES[name]["environment"], tmp_path)
    assert configuration.kafka.bootstrap_servers == "kafka:19092"
    assert configuration.runtime.metrics_port == 9100
    assert configuration.runtime.metrics_host == "0.0.0.0"  # else Prometheus, in another container, has no answer


def test_the_shop_is_served_from_the_pictures_that_are_embedded(tmp_path: Path) -> None:
    shop = SERVICES["shop"]
    configuration = load_storefront(shop["environment"], tmp_path)
    assert shop["command"] == ["serve"]
    assert shop["volumes"] == SERVICES["image-features"]["volumes"]
    assert shop["ports"] == [f"127.0.0.1:8080:{configuration.api.port}"]
    assert configuration.api.host == "0.0.0.0"  # the port is published on the host's loopback alone
    assert str(configuration.images.fetch.images_dir) == shop["volumes"][0].split(":")[-2]


def test_the_topics_are_made_by_a_command_that_there_is() -> None:
    command: Any = get_command(app)
    for word in SERVICES["topics"]["command"]:
        command = command.commands[word]
    assert command.name == "topics"


def test_what_compose_reads_on_the_host_is_no_setting_of_recsys(tmp_path: Path) -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    variables = re.findall(r"\$\{(\w+)", text)
    assert variables
    load(dict.fromkeys(variables, "/srv/images"), tmp_path)


def test_ports_are_published_on_loopback_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_there_is_no_secret_in_it() -> None:
    variables = [name for service in SERVICES.values() for name in service.get("environment", {})]
    assert not [name for name in variables if re.search("PASSWORD|SECRET|TOKEN", name)]
    assert SERVICES["grafana"]["environment"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


def test_prometheus_scrapes_every_stage_where_it_serves() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    (discovery,) = config["scrape_configs"][0]["dns_sd_configs"]
    assert set(discovery["names"]) == set(STAGES)
    assert {int(SERVICES[name]["environment"]["RECSYS_RUNTIME__METRICS_PORT"]) for name in STAGES} == {
        discovery["port"]
    }
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["prometheus"]["volumes"])
    assert mounts["./deploy/prometheus/prometheus.yml"] == "/etc/prometheus/prometheus.yml"


def test_grafana_finds_the_dashboard_and_its_source() -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/recsys.yml").read_text())["providers"]
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["grafana"]["volumes"])
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == provider["options"]["path"] + "/overview.json"
    users = [user for panel in DASHBOARD["panels"] for user in (panel, *panel["targets"])]
    assert {user["datasource"]["uid"] for user in users} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_query_names_metrics_and_labels_that_stages_expose(title: str, query: str) -> None:
    metrics = set(re.findall(r"recsys_\w+", query))
    assert metrics, title
    samples = exposed()
    assert metrics <= samples.keys(), title
    labels = set().union(*(samples[metric] for metric in metrics))
    named = {word for group in re.findall(r"by \(([^)]*)\)", query) for word in re.split(r",\s*", group)}
    named |= set(re.findall(r"(\w+)!?=", query))
    assert named <= labels, title


def test_a_legend_names_labels_that_its_query_keeps() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            kept = {
                word
                for group in re.findall(r"by \(([^)]*)\)", target["expr"])
                for word in re.split(r",\s*", group)
            }
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept, panel["title"]


def test_the_image_holds_every_package_locked_and_runs_without_privileges() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]:
        package = pattern.rstrip("*")
        assert f"COPY {package} {package}\n" in dockerfile
    assert "--require-hashes -r requirements/default.txt" in dockerfile
    assert dockerfile.index("USER recsys") < dockerfile.index("ENTRYPOINT")
