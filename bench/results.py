"""RESULTS.md: one part for each bench, written over by its next run and left alone by the others."""

from __future__ import annotations

import datetime
import platform
import subprocess
import sys
from pathlib import Path

import psutil

RESULTS = Path(__file__).with_name("RESULTS.md")


def write_part(path: Path, name: str, text: str) -> None:
    """Put a bench's text between its marks, in its old place or at the end."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    old = path.read_text("utf-8") if path.exists() else "# Measured figures\n"
    before, mark, rest = old.partition(begin)
    after = rest.partition(end)[2] if mark else ""
    if not mark:
        before = before.rstrip("\n") + "\n\n"
    path.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", "utf-8")


def origin(module: str) -> str:
    """Tell how, when, at which commit and on which machine figures were measured."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False)
    command = " ".join([f"python -m {module}", *sys.argv[1:]])
    date = datetime.date.today().isoformat()
    where = f"{cpu_name()}, {psutil.cpu_count()} cores, {round(psutil.virtual_memory().total / 2**30)} GiB"
    edits = " with changes" if changed.stdout.strip() else ""
    return f"Written by `{command}` on {date}, commit {commit}{edits}.\n\nMachine: {where}, {platform.platform(terse=True)}"


def cpu_name() -> str:
    """Return the processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
