"""docs/serve-operate.md and examples/serve against the gateway: settings, metrics, alerts."""

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.rollouts.openai_server import MODEL, OpenAIServer, plain
from tests.serve.running import running
from tests.serve.test_server import get, post
from tests.snippets import SNIPPETS

from bontea._settings import from_dict
from bontea.cli._flags import read_yaml
from bontea.serve import ServeSettings
from bontea.serve.number import STOPPED
from bontea.tails.fit import TailVerdict

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serve-operate.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "examples" / "serve"
AFTER = 10
"""Seconds after `drain` in which the gateway ends requests and learns from the last ones."""


def table(*head):
    """The rows of the tables of the page that begin so, without the head."""
    first = "| " + " | ".join(head)
    rows, inside = [], False
    for line in PAGE.splitlines():
        if line.startswith(first):
            inside = True
        elif inside and line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        else:
            inside = False
    return [row for row in rows if not set(row[0]) <= set("-|")]


def example(name):
    return (EXAMPLES / name).read_text(encoding="utf-8")


def documents(name):
    return [found for found in yaml.safe_load_all(example(name)) if found is not None]


def of_kind(kind):
    (found,) = [one for one in documents("kubernetes.yaml") if one["kind"] == kind]
    return found


def settings_of(text, tmp_path):
    """The settings in a YAML file, read as the command reads them."""
    path = tmp_path / "serve.yaml"
    path.write_text(text, encoding="utf-8")
    return from_dict(ServeSettings, read_yaml(str(path)), "serve.yaml").resolved()


@pytest.fixture(scope="module")
def families():
    """The metrics of a server that answered one request and refused another."""
    with OpenAIServer(complete=plain) as behind:
        given = {"endpoint": behind.url, "reward": "tests.serve.rewards:length", "port": 0}
        with running({**given, "n": 2}) as (url, _):
            assert post(url, {"model": MODEL, "messages": [{"role": "user", "content": "a"}]})[0]
            assert post(url, {})[0] == 400
            page = get(url, "/metrics")[1]
    found = list(text_string_to_metric_families(page))
    return [one for one in found if not one.name.endswith("_created")]


class TestSettings:
    def test_every_setting_is_on_the_page_once(self):
        names = [row[0].strip("`") for row in table("setting", "default", "meaning")]
        assert sorted(names) == sorted(f.name for f in dataclasses.fields(ServeSettings))

    def test_defaults(self):
        defaults = {f.name: f.default for f in dataclasses.fields(ServeSettings)}
        for name, default, _ in table("setting", "default", "meaning"):
            value = None if default == "none" else yaml.safe_load(default)
            assert value == defaults[name.strip("`")], name

    def test_the_example_is_on_the_page_and_loads(self, tmp_path):
        (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
        assert shown == example("serve.yaml")
        found = settings_of(shown, tmp_path)
        assert found.endpoints == ["http://vllm:8000/v1"]
        assert (found.budget, found.max_n, found.reference_n) == (16, 64, 16)

    def test_what_is_commented_out_would_load(self, tmp_path):
        text = re.sub(r"^# (log\w*:)", r"\1", example("serve.yaml"), flags=re.M)
        text = text.replace("/var/lib/bontea/", f"{tmp_path}/")
        assert settings_of(text, tmp_path).log == f"{tmp_path}/served.jsonl"


class TestMetrics:
    def test_the_table_is_what_the_server_gives(self, families):
        shown = {row[0].strip("`"): row[1] for row in table("metric", "type", "meaning")}
        given = {
            one.name + ("_total" if one.type == "counter" else ""): one.type for one in families
        }
        assert shown == given

    def test_reasons_to_stop(self):
        (row,) = [r for r in table("metric", "type", "meaning") if r[0] == "`bontea_stops_total`"]
        assert set(re.findall(r"`([\w ]+)`", row[2])) == {*STOPPED, "why"}

    @pytest.mark.parametrize("name", ["alerts.yaml", "serve-operate.md"])
    def test_expressions_use_what_is_there(self, families, name):
        """Every metric in an alert or a query exists, and so does every label it asks for."""
        if name == "alerts.yaml":
            rules = [rule for group in documents(name)[0]["groups"] for rule in group["rules"]]
            queries = [rule["expr"] for rule in rules]
            recorded = {rule["record"] for rule in rules if "record" in rule}
        else:
            blocks = [one.code for one in SNIPPETS if one.page.endswith(name) and not one.language]
            queries = [text for text in blocks if "bontea_" in text]
            recorded = set()
        assert len(queries) >= 3
        samples = {}
        for one in families:
            for sample in one.samples:
                samples.setdefault(sample.name, set()).update(sample.labels.items())
        used = set()
        for query in queries:
            for metric, labels in re.findall(r"\b(bontea[\w:]*)(?:\{([^}]*)\})?", query):
                if metric in recorded or metric == "bontea":
                    continue
                assert metric in samples, metric
                used.add(metric)
                for label, how, value in re.findall(r'(\w+)(=~|=)"([^"]*)"', labels):
                    assert label in {key for key, _ in samples[metric]}, (metric, label)
                    if how == "=" and label == "by":
                        assert (label, value) in samples[metric]
        assert len(used) >= 5

    def test_health(self):
        (shown,) = [
            one.code for one in SNIPPETS if "serve-op" in one.page and '"status"' in one.code
        ]
        with OpenAIServer(complete=plain) as behind:
            given = {"endpoint": behind.url, "reward": "tests.serve.rewards:length", "port": 0}
            with running(given) as (url, _):
                found = json.loads(get(url, "/healthz")[1])
        assert list(json.loads(shown)) == list(found)
        assert json.loads(shown)["rule"] in get_args(TailVerdict)

    def test_alerts_are_on_the_page(self):
        rules = [rule for group in documents("alerts.yaml")[0]["groups"] for rule in group["rules"]]
        names = [rule["alert"] for rule in rules if "alert" in rule]
        assert [row[0].strip("`") for row in table("alert", "what it says")] == names

    @pytest.mark.skipif(
        shutil.which("promtool") is None, reason="promtool, of Prometheus, is not here"
    )
    def test_alerts_fire(self):
        done = subprocess.run(
            ["promtool", "test", "rules", "alerts_test.yaml"],
            cwd=EXAMPLES,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def test_every_alert_is_tried(self):
        fired = set(
            re.findall(r'alertname="(\w+)", \w+="\w+"}\', value: 1', example("alerts_test.yaml"))
        )
        assert fired == {row[0].strip("`") for row in table("alert", "what it says")}

    def test_the_job_is_the_one_that_the_alerts_ask_for(self):
        (config,) = documents("prometheus.yml")
        (job,) = config["scrape_configs"]
        assert f'up{{job="{job["job_name"]}"}}' in example("alerts.yaml")
        assert config["rule_files"] == ["alerts.yaml"]
        port = documents("serve.yaml")[0]["port"]
        assert job["static_configs"][0]["targets"] == [f"bontea:{port}"]


class TestContainers:
    def test_kubernetes(self, tmp_path):
        found = settings_of(of_kind("ConfigMap")["data"]["serve.yaml"], tmp_path)
        pod = of_kind("Deployment")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["ports"] == [{"name": "http", "containerPort": found.port}]
        # A probe that sees what fails behind would restart the gateway, or take all pods away.
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"] == {"path": "/livez", "port": "http"}
        before = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
        assert pod["terminationGracePeriodSeconds"] > before + found.drain + AFTER
        secret = of_kind("Secret")
        named = {one["valueFrom"]["secretKeyRef"]["key"] for one in container["env"]}
        files = {
            item["key"] for v in pod["volumes"] if "secret" in v for item in v["secret"]["items"]
        }
        assert named | files == set(secret["stringData"])
        assert found.api_key_env in {one["name"] for one in container["env"]}
        assert Path(found.client_keys_file).parent.as_posix() in {
            mount["mountPath"] for mount in container["volumeMounts"]
        }
        labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]
        assert of_kind("Service")["spec"]["selector"] == labels
        assert of_kind("PodMonitor")["spec"]["selector"]["matchLabels"] == labels

    def test_compose(self, tmp_path):
        found = settings_of(example("serve.yaml"), tmp_path)
        services = documents("compose.yaml")[0]["services"]
        own = services["bontea"]
        assert float(own["stop_grace_period"].removesuffix("s")) > found.drain + AFTER
        assert own["ports"] == [f"127.0.0.1:{found.port}:{found.port}"]
        assert found.api_key_env in own["environment"]
        mounted = dict(volume.split(":")[:2] for volume in own["volumes"])
        assert mounted["./client-keys"] == found.client_keys_file
        for url in [*found.endpoints, found.reward]:
            assert url.split("/")[2].split(":")[0] in services
        for service in services.values():
            for volume in service.get("volumes", ()):
                source = volume.split(":")[0]
                if source.startswith("./") and source != "./client-keys":
                    assert (EXAMPLES / source).is_file()

    def test_dockerfile(self):
        text = example("Dockerfile")
        for source in re.findall(r"^COPY (.*) \S+$", text, re.M):
            assert all((ROOT / name).exists() for name in source.split())
        assert re.search(r"^USER \d+$", text, re.M)
        port = documents("serve.yaml")[0]["port"]
        assert f"127.0.0.1:{port}/livez" in text
        assert f"EXPOSE {port}" in text
        folder = re.search(r"install -d -o bontea (\S+)", text)[1]
        assert f"# log: {folder}/" in example("serve.yaml")

    @pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "kubernetes.yaml"])
    def test_what_was_not_run_says_so(self, name):
        assert "NOT RUN" in example(name)[:400]
        (row,) = [r for r in table("file", "what it is") if r[0] == f"`{name}`"]
        assert "**not" in row[2]
