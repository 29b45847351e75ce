"""The stages of a fit, and the run folder they write."""

from plait.pipeline.fit import run_fit
from plait.pipeline.options import FitOptions
from plait.pipeline.run import RunFolder, read_manifest

__all__ = ["FitOptions", "RunFolder", "read_manifest", "run_fit"]
