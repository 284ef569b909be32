# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the scripts: says and installs what is missing, and nothing else.

say() { printf '== %s\n' "$*"; }

# need COMMAND-OR-FILE PACKAGE ...: pairs; packages whose command or file is absent are installed together.
need() {
    local missing=()
    while [ $# -ge 2 ]; do
        if ! command -v "$1" >/dev/null 2>&1 && ! compgen -G "$1" >/dev/null; then missing+=("$2"); fi
        shift 2
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "error: missing: ${missing[*]} (Debian's names). Hint: install them with your package manager" >&2
        return 1
    fi
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    say "installing with apt: ${missing[*]}"
    "${root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null
}

# What every build needs: a compiler, CMake, Ninja.
need_compiler() { need g++ g++ cmake cmake ninja ninja-build pkg-config pkg-config python3 python3; }

# What the qtk program is built from.
need_libraries() {
    need '/usr/include/xtensor/xtensor.hpp' libxtensor-dev '/usr/include/xsimd/xsimd.hpp' libxsimd-dev \
        '/usr/include/nlohmann/json.hpp' nlohmann-json3-dev '/usr/include/CLI/CLI.hpp' libcli11-dev \
        '/usr/include/fmt/format.h' libfmt-dev '/usr/include/pcre2.h' libpcre2-dev \
        '/usr/include/*/openblas-pthread/cblas.h' libopenblas-dev
}

# What tests and benches add.
need_test_tools() {
    need '/usr/include/doctest/doctest.h' doctest-dev '/usr/include/benchmark/benchmark.h' libbenchmark-dev \
        clang-format clang-format ccache ccache
}

# need_conan: Conan in the virtual environment .venv of the checkout.
need_conan() {
    if [ -x .venv/bin/conan ]; then return 0; fi
    say "installing Conan with pip into .venv"
    # Debian splits venv from python3; another python3 may bring it.
    python3 -c 'import ensurepip, venv' 2>/dev/null || need /nonexistent python3-venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r scripts/requirements.txt
}
