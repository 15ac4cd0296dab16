"""Warns in one line if the compiled extension is older than its sources. `make check` ends with this."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def newest_source() -> Path:
    """Returns the Rust source that was changed last."""
    folders = (ROOT / "src", ROOT / "crates")
    sources = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".rs", ".toml"}]
    return max([*sources, ROOT / "Cargo.toml", ROOT / "Cargo.lock"], key=lambda path: path.stat().st_mtime)


def main() -> None:
    """Prints the warning, if there is one."""
    built = list((ROOT / "python" / "ccstream").glob("_ccstream.*.so"))
    source = newest_source()
    if not built:
        print("The extension is not built: run make build")
    elif max(path.stat().st_mtime for path in built) < source.stat().st_mtime:
        print(f"The installed extension is older than {source.relative_to(ROOT)}: run make build (or make check-all)")


if __name__ == "__main__":
    main()
