#!/bin/sh
# Lists all tools that a build needs and that are missing. If none is missing, it prints the Python to use.
# `check-tools.sh python` checks only for Python.
set -u
missing=
need() { missing="$missing
  $1"; }

python=
for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || need "Python 3.11 or later with venv (Debian: apt install python3 python3-venv)"
if [ "${1-}" != python ]; then
    command -v cargo >/dev/null || need "Rust's cargo (https://rustup.rs)"
    command -v gcc >/dev/null || need "gcc (Debian: apt install gcc)"
    command -v g++ >/dev/null || need "g++ (Debian: apt install g++)"
    command -v make >/dev/null || need "make (Debian: apt install make)"
    perl -MFindBin -MIPC::Cmd -e 1 2>/dev/null || need "perl with its core modules (Debian: apt install perl)"
fi

if [ -n "$missing" ]; then
    echo "ccstream cannot be built here; missing:$missing" >&2
    exit 1
fi
echo "$python"
