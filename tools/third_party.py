"""Writes the notices about third-party code: ``third-party/NOTICES.txt`` and ``third-party/c-libraries.cdx.json``.

The first file has the licences of every crate and every C library in the wheel, each text once. The second one lists
the C libraries as components of CycloneDX 1.5, because maturin's list has only crates. Both are generated from the
sources that Cargo has downloaded. ``--check`` fails if a file is out of date.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "third-party"
TEXTS = re.compile(r"(?i)(licen[cs]e|copying|notice|unlicense|copyright)")
HEAD = """\
ccstream's wheel contains the crates and C libraries below in compiled form. Each text is followed by the names of those
to which it applies.
"""


@dataclass(frozen=True)
class Library:
    """Describes a C library within a crate.

    Args:
        name: the library's name.
        crate: the crate that contains it.
        folder: the folder of its sources in the crate.
        licence: the SPDX identifier of its licence.
        version: a file with its version, and an expression with a group for each part. None takes the version from the
            build metadata of the crate's version.
    """

    name: str
    crate: str
    folder: str
    licence: str
    version: tuple[str, str] | None = None


LIBRARIES = (
    Library("librdkafka", "rdkafka-sys", "librdkafka", "BSD-2-Clause"),
    Library(
        "lz4",
        "rdkafka-sys",
        "librdkafka/src",
        "BSD-2-Clause",
        ("lz4.h", r"LZ4_VERSION_(?:MAJOR|MINOR|RELEASE) +(\d+)"),
    ),
    Library("openssl", "openssl-src", "openssl", "Apache-2.0"),
    Library("zlib", "libz-sys", "src/zlib", "Zlib", ("zlib.h", r'ZLIB_VERSION "([\d.]+)"')),
    Library("zstd", "zstd-sys", "zstd", "BSD-3-Clause"),
)


def packages() -> list[dict[str, Any]]:
    """Returns the crates that are linked into the wheel on any system, except our own."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--features", "ccstream/vendored"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    by_id = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    wanted = [next(one["id"] for one in metadata["packages"] if one["name"] == "ccstream")]
    seen: set[str] = set()
    while wanted:
        package = wanted.pop()
        if package in seen:
            continue
        seen.add(package)
        for dependency in nodes[package]["deps"]:
            # Build dependencies are not in the wheel, except the crates that contain C sources.
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            if None in kinds or by_id[dependency["pkg"]]["name"] in {library.crate for library in LIBRARIES}:
                wanted.append(dependency["pkg"])
    found = [by_id[one] for one in seen if by_id[one]["source"]]
    return sorted(found, key=lambda one: (one["name"], one["version"]))


def texts(folder: Path) -> list[str]:
    """Returns the licence texts in a folder, with normalised line ends and margins."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and TEXTS.search(path.name))
    return [
        "\n".join(line.rstrip() for line in path.read_text(errors="replace").splitlines()).strip() for path in files
    ]


def notices(found: list[dict[str, Any]], libraries: dict[Library, str]) -> str:
    """Returns each licence text once, with the names of the crates and libraries to which it applies."""
    of: dict[str, list[str]] = {}
    for package in found:
        name = f"{package['name']} {package['version']} ({package['license'] or 'see its text'})"
        authors = ", ".join(re.sub(r" *<[^>]*>", "", author) for author in package["authors"])
        own = texts(Path(package["manifest_path"]).parent) or [f"{name}: no text, by {authors or 'its authors'}"]
        for text in own:
            of.setdefault(text, []).append(name)
    for library, version in libraries.items():
        for text in texts(source(library, found)):
            of.setdefault(text, []).append(f"{library.name} {version} ({library.licence})")
    line = "-" * 80
    parts = [f"{line}\n\n{text}\n\n{line}\napplies to: {', '.join(sorted(set(names)))}\n" for text, names in of.items()]
    return HEAD + "\n" + "\n".join(sorted(parts, key=lambda part: part.rpartition("applies to: ")[2]))


def source(library: Library, found: list[dict[str, Any]]) -> Path:
    """Returns the folder of a library's sources."""
    package = next(one for one in found if one["name"] == library.crate)
    return Path(package["manifest_path"]).parent / library.folder


def version(library: Library, found: list[dict[str, Any]]) -> str:
    """Returns a library's version."""
    if library.version:
        file, expression = library.version
        return ".".join(re.findall(expression, (source(library, found) / file).read_text())[:3])
    package = next(one for one in found if one["name"] == library.crate)
    return re.sub(r"^\D*", "", package["version"].partition("+")[2])


def parts_of_librdkafka(found: list[dict[str, Any]]) -> list[str]:
    """Returns the names of the third-party code in librdkafka's sources, according to its collected licences."""
    listed = (source(LIBRARIES[0], found) / "LICENSES.txt").read_text()
    known = {library.name for library in LIBRARIES}
    return [name for name in re.findall(r"(?m)^LICENSE\.(\w+)$", listed) if name not in known]


def components(libraries: dict[Library, str], parts: list[str]) -> str:
    """Returns the C libraries as CycloneDX. The code within librdkafka's sources has no version."""
    listed: list[dict[str, Any]] = [
        {
            "type": "library",
            "name": library.name,
            "version": number,
            "purl": f"pkg:generic/{library.name}@{number}",
            "licenses": [{"license": {"id": library.licence}}],
        }
        for library, number in libraries.items()
    ]
    listed += [
        {"type": "library", "name": name, "purl": f"pkg:generic/{name}", "description": "within librdkafka's sources"}
        for name in parts
    ]
    return (
        json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": listed}, indent=2)
        + "\n"
    )


def main() -> int:
    """Writes both files, or compares them with ``--check``."""
    found = packages()
    libraries = {library: version(library, found) for library in LIBRARIES}
    wanted = {
        "NOTICES.txt": notices(found, libraries),
        "c-libraries.cdx.json": components(libraries, parts_of_librdkafka(found)),
    }
    stale = [name for name, text in wanted.items() if _read(FOLDER / name) != text]
    if "--check" in sys.argv:
        for name in stale:
            print(f"third-party/{name} does not match the dependencies; run make generate", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (FOLDER / name).write_text(wanted[name])
    return 0


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
