#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `conan create .` without network, against the packages of Debian that scripts/conan/profiles/default names.
# $1: conan, $2: the source tree, $3: a Conan home of its own.
set -euo pipefail
export CONAN_HOME=$3
cd "$2"
"$1" config install scripts/conan
"$1" create . --no-remote -c "tools.cmake.cmake_layout:test_folder=$3/test_package"
