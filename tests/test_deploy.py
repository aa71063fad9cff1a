"""The files of deploy/ fit the service: names of settings, schemas of Kubernetes, sizes that belong together."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec
import pytest
import yaml

from amplifier.settings import Settings
from tests.support.paths import ROOT

KUBERNETES = ROOT / "deploy/kubernetes"
NOT_IN_CORE = ("kustomization.yaml", "servicemonitor.yaml")
MANIFESTS = [file for file in sorted(KUBERNETES.glob("*.yaml")) if file.name not in NOT_IN_CORE]
KNOWN = {field.encode_name for field in msgspec.structs.fields(Settings)}
BICEP = (ROOT / "deploy/azure/modules/service.bicep").read_text()


def documents(file: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(file.read_text()) if one]


def settings_of(file: Path) -> dict[str, str]:
    """Returns the settings of a file of lines NAME=value."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.name)
def test_manifest_fits_schema(file: Path) -> None:
    for document in documents(file):
        kubernetes_validate.validate(document, "1.29", strict=True)


def test_kustomization_takes_every_manifest() -> None:
    kustomization = KUBERNETES / "kustomization.yaml"
    optional = set(re.findall(r"^  # - (\S+)", kustomization.read_text(), re.MULTILINE))
    assert optional == {"retention-cronjob.yaml"}, "an operator decides what is deleted"
    assert set(documents(kustomization)[0]["resources"]) | optional == {file.name for file in MANIFESTS}


def test_settings_of_deployments_exist() -> None:
    variables = {variable["name"] for pod in pods() for variable in pod["containers"][0].get("env", [])}
    files = [KUBERNETES / "settings.env", ROOT / "deploy/azure/aks/settings.env"]
    assert {name for file in files for name in settings_of(file)} | variables <= KNOWN
    bicep = set(re.findall(r"^  ([A-Z_]+): ", BICEP, re.MULTILINE))
    assert {"DATABASE_AUTH", "SECRET_KEY"} <= bicep <= KNOWN | {"AZURE_CLIENT_ID"}


def test_pods_have_time_to_stop() -> None:
    settings = settings_of(KUBERNETES / "settings.env")
    needed = int(settings["SHUTDOWN_DELAY"]) + int(settings["SHUTDOWN_GRACE"])
    [grace] = {pod["terminationGracePeriodSeconds"] for pod in pods() if "terminationGracePeriodSeconds" in pod}
    assert grace > needed
    [grace] = re.findall(r"terminationGracePeriodSeconds: (\d+)", BICEP)
    assert int(grace) > sum(
        int(re.findall(rf"{name}: '(\d+)'", BICEP)[0]) for name in ("SHUTDOWN_DELAY", "SHUTDOWN_GRACE")
    )


def test_pods_are_unprivileged() -> None:
    assert pods()
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 10001
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= set(container["resources"]["limits"])


def test_probes_name_routes() -> None:
    [api] = [pod["containers"][0] for pod in pods() if pod["containers"][0]["name"] == "api"]
    paths = {name: api[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/health/live", "liveness": "/health/live", "readiness": "/health/ready"}
    assert re.findall(r"path: '(.*)'", BICEP) == list(paths.values())


def pods() -> list[dict[str, Any]]:
    """Returns the specification of each pod in the manifests."""
    workloads = [one["spec"] for file in MANIFESTS for one in documents(file) if "spec" in one]
    workloads = [spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec for spec in workloads]
    return [spec["template"]["spec"] for spec in workloads if "template" in spec]
