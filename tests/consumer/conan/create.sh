#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `conan create .` without network, against the packages of Debian that scripts/conan/profiles/default names. Conan's home
# is the one of .conanrc, which no environment variable overrides.
# $1: conan, $2: the source tree, $3: a scratch folder for the test package.
set -euo pipefail
cd "$2"
"$1" config install scripts/conan
"$1" create . --no-remote -c "tools.cmake.cmake_layout:test_folder=$3"
