# SPDX-License-Identifier: Apache-2.0
#
# Sourced by the scripts: says and installs what is missing, and nothing else.

say() { printf '== %s\n' "$*"; }

# is_there WHAT: a command, a <header> that g++ finds, or pkg:NAME that pkg-config knows.
is_there() {
    case "$1" in
        \<*) g++ -x c++ -fsyntax-only - 2>/dev/null <<<"#if !__has_include($1)
#error missing
#endif" ;;
        pkg:*) pkg-config --exists "${1#pkg:}" ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

# need WHAT PACKAGE ...: pairs; the packages of what is not there are installed together.
need() {
    local missing=()
    while [ $# -ge 2 ]; do
        is_there "$1" || missing+=("$2")
        shift 2
    done
    [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
}

apt_install() {
    local root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    if ! is_there apt-get || ! is_there "${root[0]:-true}"; then
        echo "error: missing: $* (Debian's names). Hint: install them with your package manager" >&2
        return 1
    fi
    say "installing with apt: $*"
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null </dev/null
}

# What every build needs. The compiler comes first: it is asked for the headers of the others.
need_compiler() { need g++ g++ cmake cmake ninja ninja-build pkg-config pkg-config; }

# What the qtk program is built from.
need_libraries() {
    need '<xtensor/xtensor.hpp>' libxtensor-dev '<xsimd/xsimd.hpp>' libxsimd-dev \
        '<nlohmann/json.hpp>' nlohmann-json3-dev '<CLI/CLI.hpp>' libcli11-dev \
        '<fmt/format.h>' libfmt-dev pkg:libpcre2-8 libpcre2-dev pkg:openblas libopenblas-dev \
        pkg:stb libstb-dev
}

# What draws the charts of a report; without it reports have tables alone.
need_charts() { need gnuplot gnuplot-nox; }

# What trains networks: quant-energy train, and attacks that follow gradients. Large (some hundred megabytes), and
# nothing else needs it.
need_torch() { need '<torch/csrc/api/include/torch/torch.h>' libtorch-dev; }

# build_program NAME: qtk, quant-fairness or quant-energy, in build/quickstart. What is said goes to standard error.
build_program() {
    {
        need_compiler
        need_libraries
        need_charts
        mkdir -p build
        say "building the program $1 in build/quickstart"
        if ! cmake -S . -B build/quickstart -G Ninja -DCMAKE_BUILD_TYPE=Release -DQTK_BUILD_TESTS=OFF \
            -DQTK_BUILD_BENCH=OFF >build/quickstart.log 2>&1; then
            cat build/quickstart.log
            return 1
        fi
        cmake --build build/quickstart --target "${1//-/_}_app" --parallel "$(nproc)"
    } >&2
}

# What tests and benches add.
need_test_tools() {
    need python3 python3 '<doctest/doctest.h>' doctest-dev '<benchmark/benchmark.h>' libbenchmark-dev \
        '<rapidcheck.h>' librapidcheck-dev clang-format clang-format ccache ccache \
        pkg:ompi libopenmpi-dev mpirun openmpi-bin mandoc mandoc
}

# What the benches need: the library of rows, the peer that they are compared with (OpenBLAS is a library already).
need_bench_tools() {
    need python3 python3 '<benchmark/benchmark.h>' libbenchmark-dev '<oneapi/dnnl/dnnl.hpp>' libdnnl-dev ccache ccache
}

# need_conan: Conan in the virtual environment .venv of the checkout.
need_conan() {
    if .venv/bin/conan --version >/dev/null 2>&1; then return 0; fi
    say "installing Conan with pip into .venv"
    # Debian ships venv apart from python3; another python3 brings it along.
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    python3 -m venv --clear .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r scripts/requirements.txt
}

# need_nvcc: CUDA's compiler and disassembler on the PATH, else from PyPI in .venv (after need_conan). Where
# neither is to be had, the kernels are tested on the CPU alone.
need_nvcc() {
    if is_there nvcc && is_there nvdisasm; then return 0; fi
    cuda_from_venv
    local packages=()
    is_there nvcc || packages+=(-r scripts/requirements-cuda.txt)
    is_there nvdisasm || packages+=('nvidia-cuda-nvdisasm>=13.0,<14')
    [ ${#packages[@]} -gt 0 ] || return 0
    say "installing CUDA's compiler tools with pip into .venv"
    .venv/bin/pip install --quiet --disable-pip-version-check "${packages[@]}" ||
        say "not to be had: ${packages[*]}"
    cuda_from_venv
}
cuda_from_venv() {
    local bin
    for bin in "$PWD"/.venv/lib/python3*/site-packages/nvidia/cu*/bin; do
        case ":$PATH:" in
            *":$bin:"*) ;;
            *) [ ! -d "$bin" ] || PATH="$PATH:$bin" ;;
        esac
    done
}
