from pathlib import Path
import os
import pytest
from support.desk import Desk
from support.engine.bridge import Bridge
from support.engine.cluster import MemoryCluster
from support.engine.project import Project

pytestmark = [pytest.mark.timeout(900, func_only=True)]

def test_it(command, tmp_path, monkeypatch):
    desk = Desk(tmp_path, monkeypatch, "kind", "kubectl", "docker")
    desk.set("CHURN_BUILD", "docker build")
    cluster = MemoryCluster()
    project = Project("dev", command=command, folder=tmp_path / "stack", cluster=cluster)
    with project.open(Path(os.environ["KUBECONFIG"])) as opened, Bridge(opened, tmp_path).on_path(desk.bin):
        print(desk.churn("cluster", "up"))
        tag = desk.settings("churn:images")["tag"]
        images = {c["image"] for m in cluster.objects.values() if m["kind"] == "Deployment" for c in m["spec"]["template"]["spec"]["containers"]}
        assert f"churn.invalid/api:{tag}" in images
        desk.churn("cluster", "down")
        assert {k for k in cluster.objects} == set()
