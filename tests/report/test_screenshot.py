"""The script that takes pictures of reports: it cuts to the page, keeps rare colours, and says what it lacks."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from contents import content
from PIL import Image

from plait.report.page import write_report

SCRIPT = Path(__file__).parents[2] / "scripts" / "screenshot.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("screenshot", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(*words: object, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    environment = {**os.environ, "PATH": path if path is not None else os.environ["PATH"]}
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)


def test_it_cuts_to_the_page(script: ModuleType) -> None:
    image = Image.new("RGB", (40, 500), "white")
    image.putpixel((7, 100), (0, 0, 0))
    assert script.trimmed(image, None).size == (40, 101 + script.MARGIN)
    assert script.trimmed(image, 50).size == (40, 50)


def test_few_colours_keep_the_rare_ones(script: ModuleType, tmp_path: Path) -> None:
    image = Image.linear_gradient("L").resize((600, 600)).convert("RGB")
    image.paste((200, 60, 85), (10, 10, 16, 16))
    assert script.save(image, tmp_path / "a.png", 100_000) <= 100_000
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.convert("RGB").getpixel((12, 12)) == (200, 60, 85)
    with pytest.raises(SystemExit, match="smaller --height"):
        script.save(image, tmp_path / "a.png", 50)
    assert not (tmp_path / "a.png").exists()


def test_without_a_browser_it_says_so(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", content())
    done = call(tmp_path / "report.html", tmp_path / "a.png", path=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("No Chromium on PATH")
    assert not (tmp_path / "a.png").exists()


def test_without_a_page_it_says_so(tmp_path: Path) -> None:
    done = call(tmp_path / "report.html", tmp_path / "a.png")
    assert done.returncode == 1
    assert "plait report RUN" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), reason="no Chromium")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (400, True)])
def test_a_browser_shows_the_report(tmp_path: Path, width: int, dark: bool) -> None:
    write_report(tmp_path / "report.html", content())
    done = call(tmp_path / "report.html", tmp_path / "a.png", "--width", width, *(["--dark"] if dark else []))
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == width
        assert image.height > 2000
        corner = image.convert("RGB").getpixel((0, 0))
    assert isinstance(corner, tuple)
    assert (sum(corner) < 200) == dark
