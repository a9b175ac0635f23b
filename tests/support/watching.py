"""The alert rules and the dashboard of `deploy/`, as tests read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
ALERTS_TEST = ALERTS.with_name("alerts_test.yaml")
_DASHBOARD = DEPLOY / "grafana" / "kazoo-media.json"
_VARIABLES = {"$__rate_interval": "5m", "$job": "kazoo-media", "$instance": ".*"}
_METRIC = re.compile(r"\b(?:kazoo_media|envoy)_[a-z_0-9]+\b(?!=)")
_LABELS = re.compile(r"\b(?:by|without) \([^)]*\)")


def alert_rules() -> list[dict[str, Any]]:
    """Return all alert rules."""
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def dashboard_expressions() -> list[str]:
    """Return the expressions of the dashboard, with values for Grafana's variables."""
    found = list(_expressions(json.loads(_DASHBOARD.read_text())["panels"]))
    for name, value in _VARIABLES.items():
        found = [each.replace(name, value) for each in found]
    return found


def watched_metrics() -> set[str]:
    """Return the names of all metrics that rules and the dashboard read."""
    expressions = [*(each["expr"] for each in alert_rules()), *dashboard_expressions()]
    return {name for each in expressions for name in _METRIC.findall(_LABELS.sub("", each))}


def _expressions(panels: list[dict[str, Any]]) -> Iterator[str]:
    for panel in panels:
        for target in panel.get("targets", ()):
            yield target["expr"]
