#!/bin/sh
# Builds the wheel inside an image of manylinux or musllinux: `make wheel-linux` starts it there. These images have Python and
# C++ compilers, but neither Rust nor all of Perl, which OpenSSL's build needs.
set -eu
if command -v apk >/dev/null; then
    apk add --no-cache perl linux-headers
else
    dnf install -y -q perl-core
fi
curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -q -y --profile minimal
PATH="$HOME/.cargo/bin:$PATH"
export PATH
# The checkout belongs to another user than the container's, which git refuses otherwise.
git config --global --add safe.directory "$PWD"
PYTHON=/opt/python/cp311-cp311/bin/python make wheel
