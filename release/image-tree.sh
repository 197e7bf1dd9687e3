#!/bin/sh
# What the image runs, as one tree: a virtual environment with exactly requirements.runtime.lock and the project's wheel, without pip.
# With its bytecode, since nothing can be written where it runs. What builds stays outside of it. Wheels only, by hash: no setup script of a dependency runs.
#
#   release/image-tree.sh VENV    in a folder with what the Dockerfile copies; VENV is made, and must be absolute
set -eu
venv=$1
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# pip itself is PYTHON's.
install() {
    "$python" -m pip --python "$1/bin/python" install --quiet --require-hashes --only-binary :all: -r "$2"
}

"$python" -m venv --without-pip "$work/build"
install "$work/build" requirements.build.lock
"$python" -m pip --python "$work/build/bin/python" wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work/dist" .

"$python" -m venv --without-pip "$venv"
install "$venv" requirements.runtime.lock
"$python" -m pip --python "$venv/bin/python" install --quiet --no-deps --no-index "$work"/dist/*.whl
