"""Take a picture of a report, or of any local HTML page, with a Chromium found on PATH; cut to the page, kept small."""

from __future__ import annotations

import argparse
import html
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TALLEST = 12_000
"""Pixels; what a page has below is not in the picture."""

MARGIN = 24
COLOURS = (256, 128, 64, 32)
SECONDS = 120


def find_browser() -> str:
    """Path of a Chromium, or an end with advice."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    sys.exit(
        f"No Chromium on PATH (looked for {', '.join(BROWSERS)}): install one, for example `apt install chromium`."
    )


def framed(page: Path, width: int, folder: Path) -> Path:
    """A page that shows `page` at exactly `width` pixels: browser windows have a least width of their own."""
    frame = folder / "frame.html"
    style = f"border:0;width:{width}px;height:{TALLEST}px"
    source = html.escape(page.resolve().as_uri())
    frame.write_text(f'<body style="margin:0"><iframe src="{source}" style="{style}"></iframe>', encoding="utf-8")
    return frame


def take(page: Path, width: int, dark: bool) -> Image.Image:
    """The page as an image, as tall as the browser was told to be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [
            find_browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--no-first-run", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}",
            f"--window-size={width},{TALLEST}", f"--screenshot={folder / 'page.png'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            framed(page, width, folder).as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            sys.exit(f"{command[0]} took more than {SECONDS} seconds over {page}; try again on a quieter machine.")
        if not (folder / "page.png").exists():
            sys.exit(f"{command[0]} made no picture of {page}:\n{done.stderr.strip()[-500:]}")
        with Image.open(folder / "page.png") as image:
            return image.convert("RGB").crop((0, 0, width, image.height))


def trimmed(image: Image.Image, height: int | None) -> Image.Image:
    """Without the empty rest below the page, and at most `height` pixels tall."""
    corner = image.getpixel((0, image.height - 1))
    box = ImageChops.difference(image, Image.new("RGB", image.size, corner)).getbbox()
    bottom = min(image.height, (box[3] if box else image.height) + MARGIN)
    return image.crop((0, 0, image.width, min(bottom, height or bottom)))


def save(image: Image.Image, out: Path, most: int) -> int:
    """Write a PNG of at most `most` bytes, with as many colours as that allows; returns its size in bytes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    for colours in COLOURS:
        # Maximum coverage keeps rare colours, such as those of a few dots, where a median cut would lose them.
        few = image.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(out, optimize=True)
        if out.stat().st_size <= most:
            return out.stat().st_size
    out.unlink()
    sys.exit(f"The picture has more than {most:,} bytes even with {COLOURS[-1]} colours: give a smaller --height.")


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, help="an HTML file, such as RUN/report.html")
    parser.add_argument("out", type=Path, help="the PNG to write")
    parser.add_argument("--width", type=int, default=1200, help="of the page, in pixels (default 1200)")
    parser.add_argument("--height", type=int, help="cut below this many pixels; by default the whole page")
    parser.add_argument("--dark", action="store_true", help="as on a screen set to dark colours")
    parser.add_argument("--most", type=int, default=400_000, help="bytes that the PNG may have (default 400,000)")
    given = parser.parse_args()
    if not given.page.is_file():
        sys.exit(f"There is no page {given.page}; `plait report RUN` draws a run's.")
    image = trimmed(take(given.page, given.width, given.dark), given.height)
    size = save(image, given.out, given.most)
    print(f"{given.out}: {image.width} x {image.height} pixels, {size:,} bytes")


if __name__ == "__main__":
    main()
