"""The stage that finishes a run: `plait.json` and the page."""

from __future__ import annotations

from typing import Any, ClassVar

from plait.data.atomic import write_json
from plait.pipeline._base import COMPARED, Fit, Stage
from plait.pipeline.manifest import manifest
from plait.pipeline.run import MANIFEST
from plait.report.page import write_report


class ReportStage(Stage):
    """`plait.json`, with which the run is finished, and `report.html`."""

    name = "report"
    after: ClassVar[tuple[str, ...]] = ("split", "decode", *COMPARED, "choose", "thresholds", "refit", "test")

    def files(self, fit: Fit) -> list[str]:
        """Both."""
        return [MANIFEST, "report.html"]

    def work(self, fit: Fit) -> dict[str, Any]:
        """Write both; the manifest first, so that no fault of the page can cost the predictor."""
        content = manifest(fit, fit.results["test"])
        write_json(fit.run.path / MANIFEST, content)
        write_report(fit.run.path / "report.html", content)
        return {}

    def adopt(self, fit: Fit, result: dict[str, Any]) -> None:
        """Nothing to take over."""
