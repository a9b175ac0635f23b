"""The alert rules and the dashboard: Prometheus accepts them, and rules fire when they should."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from tests.support.watching import (
    ALERTS,
    ALERTS_TEST,
    alert_rules,
    dashboard_expressions,
    watched_metrics,
)


def promtool(*arguments: str | Path) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_the_rules() -> None:
    assert f"{len(alert_rules())} rules found" in promtool("check", "rules", ALERTS)


def test_every_rule_fires_when_it_should_and_is_silent_before() -> None:
    promtool("test", "rules", ALERTS_TEST)
    expected: dict[str, set[bool]] = {each["alert"]: set() for each in alert_rules()}
    for test in yaml.safe_load(ALERTS_TEST.read_text())["tests"]:
        for case in test["promql_expr_test"]:
            name = re.search(r'alertname="(\w+)"', case["expr"])
            assert name is not None
            expected[name[1]].add(bool(case["exp_samples"]))
    assert {name for name, outcomes in expected.items() if outcomes != {True, False}} == set()


def test_every_rule_says_what_to_do() -> None:
    for rule in alert_rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        assert len(rule["annotations"]["runbook"]) > 60


def test_prometheus_accepts_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": each}
        for number, each in enumerate(dashboard_expressions())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", path)
    assert len(watched_metrics()) > 25
