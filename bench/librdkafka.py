"""Runs librdkafka's benchmark ``rdkafka_performance``, built from the sources in ccstream. It measures the ceiling."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def performance() -> Path:
    """Returns the program. It is compiled once, with the library of the release build."""
    made = ROOT / "target" / "bench" / "rdkafka_performance"
    if made.exists():
        return made
    libraries = sorted((ROOT / "target" / "release" / "build").glob("rdkafka-sys-*/out/src/librdkafka.a"))
    if not libraries:
        raise SystemExit("there is no librdkafka.a in target/release: run `make release` first")
    out = libraries[-1].parent.parent
    settings = (out / "Makefile.config").read_text()
    flags = [
        flag
        for name in ("LDFLAGS", "LIBS")
        for line in re.findall(rf"^{name}\+=(.*)$", settings, re.MULTILINE)
        for flag in line.split()
    ]
    made.parent.mkdir(parents=True, exist_ok=True)
    source = [str(out / "examples" / "rdkafka_performance.c"), str(libraries[-1])]
    subprocess.run(
        [shutil.which("gcc") or "gcc", "-O2", "-w", f"-I{out / 'src'}", *source, *flags, "-o", str(made)], check=True
    )
    return made


def _rate(count: int, *arguments: str) -> float:
    command = [str(performance()), "-q", "-c", str(count), *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    # The last of its lines is about the whole run.
    found: list[str] = re.findall(r"(\d+) msgs/s", done.stdout + done.stderr)
    # It may report a failure at its end, if the last delivery report arrives while it checks.
    complete = done.returncode == 0 or f" {count} delivered" in done.stdout + done.stderr
    if not complete or not found:
        raise RuntimeError(f"rdkafka_performance ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return float(found[-1])


def consume(broker: str, topic: str, count: int, partitions: int) -> float:
    """Returns the messages a second of a client that reads partitions from their beginnings and drops the messages."""
    places = [part for number in range(partitions) for part in ("-p", str(number))]
    return _rate(count, "-C", "-t", topic, *places, "-b", broker, "-o", "beginning", "-B", "1000")


def produce(broker: str, topic: str, count: int, size: int, settings: dict[str, str]) -> float:
    """Returns the messages a second of a client that sends prepared payloads of one size, with delivery reports."""
    options = [part for name, value in settings.items() for part in ("-X", f"{name}={value}")]
    return _rate(count, "-P", "-t", topic, "-b", broker, "-s", str(size), *options)
