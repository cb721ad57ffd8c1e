"""The dashboard: every query is PromQL, and asks for series that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from relay.observe.metrics import CATALOGUE
from tests.support.promtool import PROMETHEUS, ROOT, known_series, names_in, promtool

DASHBOARD: Final[dict[str, Any]] = json.loads(
    (ROOT / "deploy" / "grafana" / "truc.json").read_text(encoding="utf-8")
)
PANELS: Final[list[dict[str, Any]]] = [one for one in DASHBOARD["panels"] if one["type"] != "row"]
QUERIES: Final = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]


def recorded() -> set[str]:
    read = yaml.safe_load((PROMETHEUS / "recording.yaml").read_text(encoding="utf-8"))
    return {rule["record"] for group in read["groups"] for rule in group["rules"]}


def test_promtool_takes_each_query(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, (_, query) in enumerate(QUERIES)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), encoding="utf-8")
    assert f"{len(QUERIES)} rules found" in promtool("check", "rules", str(file))


@pytest.mark.parametrize(("title", "query"), QUERIES, ids=[f"{n}-{q[0]}" for n, q in enumerate(QUERIES)])
def test_each_query_asks_for_series_that_exist(title: str, query: str) -> None:
    asked = names_in(query)
    assert asked, title
    assert asked <= known_series() | recorded()


def test_every_metric_of_ours_is_shown_somewhere() -> None:
    rules = yaml.safe_load((PROMETHEUS / "recording.yaml").read_text(encoding="utf-8"))
    by_name = {rule["record"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}
    shown = {name for _, query in QUERIES for name in names_in(query)}
    shown |= {name for record in shown & set(by_name) for name in names_in(by_name[record])}
    # of these the dashboard shows what comes of them
    beside = {"truc_keeper_rounds_total", "truc_directory_agencies", "truc_directory_reloads_total",
              "truc_registry_disk_size_bytes", "truc_clock_jumps_total", "truc_queue_consumers",
              "truc_agency_queue_consumers", "truc_material_unusable"}  # fmt: skip
    missing = {one.name for one in CATALOGUE if not any(name.startswith(one.name) for name in shown)} - beside
    assert not missing


def test_panels_lie_side_by_side_and_have_a_unit() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS)


def test_no_data_source_is_named_that_others_lack() -> None:
    (source,) = DASHBOARD["templating"]["list"]
    assert source["type"] == "datasource"
    for panel in PANELS:
        assert {one["datasource"]["uid"] for one in (panel, *panel["targets"])} == {"${source}"}
