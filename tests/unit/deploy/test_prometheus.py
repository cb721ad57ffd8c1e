"""What an operator's Prometheus is given: valid, tested rule by rule, in both languages, and about series that exist."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any, Final

import pytest
import yaml

from relay.observe.metrics import CATALOGUE
from tests.support.promtool import PROMETHEUS, ROOT, known_series, names_in, promtool

LETTERS: Final = re.compile(
    r"[ạảãâấầẩẫậăắằẳẵặđêếềểễệôốồổỗộơớờởỡợưứừửữựẹẻẽịỉĩọỏõụủũỳỵỷỹáàéèíìóòúùý]", re.IGNORECASE
)


TESTS: Final = ("tests-work.yaml", "tests-ground.yaml", "tests-evidence.yaml")


def _read(file: str) -> dict[str, Any]:
    found = yaml.safe_load((PROMETHEUS / file).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def groups(file: str) -> list[dict[str, Any]]:
    return [rule for group in _read(file)["groups"] for rule in group["rules"]]


ALERTS: Final = groups("alerts.yaml") + groups("alerts-trust.yaml") + groups("alerts-evidence.yaml")
RECORDED: Final = groups("recording.yaml")
PAGES: Final = {rule["alert"]: "operations.md" for rule in ALERTS} | {
    rule["alert"]: "operating-evidence.md" for rule in groups("alerts-evidence.yaml")
}


def test_promtool_takes_configuration_and_rules() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "alerts.yaml", "alerts-trust.yaml", "alerts-evidence.yaml", "recording.yaml")


def test_each_rule_fires_on_its_cause_and_on_nothing_else() -> None:
    promtool("test", "rules", *TESTS, "tests-days.yaml", limit=300)


def test_each_alert_is_shown_firing_and_calm_before_and_after() -> None:
    shown: dict[str, list[bool]] = defaultdict(list)
    for test in (one for file in TESTS for one in _read(file)["tests"]):
        asked = sorted(test.get("promql_expr_test", ()), key=lambda one: int(one["eval_time"].rstrip("mh")))
        for one in asked:
            if named := re.search(r'alertname="(\w+)"', one["expr"]):
                shown[named[1]].append(bool(one.get("exp_samples")))
    assert shown == {rule["alert"]: [False, True, False] for rule in ALERTS}


def test_names_are_used_once() -> None:
    names = [rule["alert"] for rule in ALERTS] + [rule["record"] for rule in RECORDED]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_says_in_both_languages_what_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    said = rule["annotations"]
    assert set(said) == {"summary", "summary_vi", "description", "description_vi", "runbook"}
    assert said["runbook"] == f"docs/{PAGES[rule['alert']]}#alert-{rule['alert'].lower()}"
    assert rule["labels"]["severity"] in {"page", "ticket"}
    for key in ("summary", "description"):
        assert not LETTERS.search(said[key])
        assert LETTERS.search(said[f"{key}_vi"])
        # the same values stand in both
        assert set(re.findall(r"{{.*?}}", said[key])) == set(re.findall(r"{{.*?}}", said[f"{key}_vi"]))


@pytest.mark.parametrize("rule", [*ALERTS, *RECORDED], ids=lambda rule: rule.get("alert") or rule["record"])
def test_each_rule_asks_for_series_that_exist(rule: dict[str, Any]) -> None:
    asked = names_in(rule["expr"])
    assert asked
    assert asked <= known_series() | {one["record"] for one in RECORDED}


def test_the_names_in_an_expression_are_found() -> None:
    text = (
        'histogram_quantile(0.99, sum by (le, stage) (rate(truc_a_bucket{x="b{c}"}[5m]))) > 8 * 86400 and on (job)'
        " truc:b:rate5m offset 1d unless absent(c == 1)"
    )
    assert names_in(text) == {"truc_a_bucket", "truc:b:rate5m", "c"}


def test_jobs_of_the_rules_are_those_of_the_example() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {one["job_name"] for one in config["scrape_configs"]}
    asked = {job for rule in ALERTS for job in re.findall(r'job="([^"]+)"', rule["expr"])}
    assert asked <= jobs
    assert jobs == {"truc-worker", "truc-keeper", "rabbitmq"}


def test_the_page_lists_each_alert_in_a_line() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    for rule in ALERTS:
        name, severity = rule["alert"], rule["labels"]["severity"]
        assert f"| [`{name}`]({PAGES[name]}#alert-{name.lower()}) | {severity} |" in page


def test_each_alert_has_its_page_for_three_in_the_morning() -> None:
    for name in set(PAGES.values()):
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        wanted = {alert for alert, where in PAGES.items() if where == name}
        assert set(re.findall(r"\n### alert-(\w+)\n", page)) == wanted


def test_pages_name_metrics_that_exist() -> None:
    known = known_series() | {metric.name for metric in CATALOGUE}
    named = {
        (page.name, name)
        for page in sorted((ROOT / "docs").rglob("*.md"))
        for name in re.findall(r"`(truc_[a-z0-9_]+)[`{]", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert not {(page, name) for page, name in named if name not in known}
