#!/usr/bin/env bash
# Builds an ONNX Runtime library that has the training API, from source, and puts it where `pipe` looks for it.
#
#   scripts/build-onnxruntime-training.sh [--cuda] [--sources DIR] [--work DIR] [--output FILE] [--jobs N]
#
#   --cuda         with the CUDA execution provider; needs nvcc and cuDNN. GSL, CUTLASS 3.5.1 and the cuDNN frontend 1.7.0, which no
#                  Debian package has as this version wants them, are taken from --sources or else fetched by CMake.
#   --sources DIR  a folder with the sources as archives, for a machine that reaches no package mirror; what is missing there is fetched.
#                  `--only-fetch` on another machine fills such a folder.
#   --only-fetch   fetches the sources into --sources and stops
#   --work DIR     where sources are unpacked and built, about 1 GB (default: a folder of its own in the user's cache); a build that was
#                  interrupted goes on there
#   --output FILE  where the library goes (default: runtimes/training/libonnxruntime.so in the folder that PIPE_HOME names, or in ~/.cache/pipe)
#   --jobs N       compilers at a time (default: one a processor, and no more than one for each 2 GiB of memory)
#
# Runs on Debian and Ubuntu. Tools that are missing are installed with apt-get, which needs root. The sources are Debian's source packages:
# on Debian from the mirror that apt already uses, elsewhere from the folder given. Their digests are checked by apt.
# Two processors take about 40 minutes.
set -euo pipefail

version=1.21.0
release=trixie # the Debian release whose packages fit this version
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { printf '\n== %s\n' "$*" >&2; }
die() { # what is wrong, the way out
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

cuda=0 only_fetch=0 sources='' work='' output='' jobs=''
while [ $# -gt 0 ]; do
    case $1 in
        --cuda) cuda=1 ;;
        --only-fetch) only_fetch=1 ;;
        --sources | --work | --output | --jobs)
            [ $# -ge 2 ] || die "\`$1\` needs a value"
            case $1 in
                --sources) sources=$2 ;;
                --work) work=$2 ;;
                --output) output=$2 ;;
                --jobs) jobs=$2 ;;
            esac
            shift
            ;;
        -h | --help) sed -n '2,/^set -e/{/^set -e/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
        *) die "unknown option \`$1\`" '`--help` lists them' ;;
    esac
    shift
done
[ -z "$sources" ] || [ "$only_fetch" = 1 ] || [ -d "$sources" ] || die "\`$sources\` is not a folder"
[ "$only_fetch" = 0 ] || [ -n "$sources" ] || die '`--only-fetch` needs `--sources DIR` to fetch into'
command -v apt-get >/dev/null || die 'this script needs apt-get' 'it runs on Debian and Ubuntu; a container with one of them will do'
if [ "$cuda" = 1 ] && [ "$only_fetch" = 0 ]; then
    PATH=$PATH:/usr/local/cuda/bin
    command -v nvcc >/dev/null || die '`--cuda` needs nvcc, which is not on the path' 'install the CUDA toolkit, or build without `--cuda`'
fi

home=${PIPE_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/pipe}
work=${work:-${XDG_CACHE_HOME:-$HOME/.cache}/pipe-build-onnxruntime-training}
output=${output:-$home/runtimes/training/libonnxruntime.so}
if [ -z "$jobs" ]; then
    jobs=$(nproc)
    by_memory=$(awk '/MemTotal/ { print int($2 / 2097152) }' /proc/meminfo)
    [ "$jobs" -le "$by_memory" ] || jobs=$((by_memory > 1 ? by_memory : 1))
fi
mkdir -p "$work"
work=$(cd "$work" && pwd)
case $work in *' '*) die "the compiler's options cannot hold the space in \`$work\`" 'give another folder with `--work`' ;; esac
build=$work/build-cpu
[ "$cuda" = 0 ] || build=$work/build-cuda
fetched=$work/fetched
if [ -n "$sources" ]; then
    mkdir -p "$sources"
    fetched=$(cd "$sources" && pwd)
fi
mkdir -p "$fetched"

# Archives by the start of their names: Debian's source packages, and packages of headers.
source_packages=(onnxruntime abseil protobuf re2 onnx)
header_packages=(libflatbuffers-dev libflatbuffers23.5.26 libsafeint-dev libmsgsl-dev libeigen3-dev libhowardhinnant-date-dev libdate-tz3 nlohmann-json3-dev libboost1.83-dev)

# Prints the archive of a package in the folder of sources; fails where there is none.
archive() { # package
    local found
    for found in "$fetched/$1"_*.orig.tar.* "$fetched/$1"_*.deb; do
        [ -f "$found" ] && { printf '%s\n' "$found"; return; }
    done
    return 1
}

missing=()
for package in "${source_packages[@]}" "${header_packages[@]}"; do
    archive "$package" >/dev/null || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
    say "fetching ${missing[*]}"
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Identifier: Packages' | awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }')
    way_out='on a Debian machine, `--only-fetch --sources DIR` fills a folder; give it here with `--sources`'
    [ -n "$mirror" ] || die "apt knows no Debian mirror to take ${missing[*]} from" "on Debian, \`apt-get update\` makes its mirrors known; elsewhere: $way_out"
    [ -f "$keyring" ] || die "\`$keyring\` is missing" 'install `debian-archive-keyring`'
    # A configuration of its own: the system's stays as it is.
    apt=$work/apt
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/parts"
    printf '%s [signed-by=%s] %s %s main\n' deb "$keyring" "$mirror" "$release" deb-src "$keyring" "$mirror" "$release" >"$apt/sources.list"
    options=(
        -qq -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/parts" -o Dir::State::Lists="$apt/lists"
        -o Dir::Cache="$apt" -o Dir::Cache::Archives="$apt/archives" -o APT::Sandbox::User=root
    )
    apt-get "${options[@]}" update || die "the package lists of $release cannot be fetched" "$way_out"
    # An archive gets its place when it is whole: apt writes some under their final names from the first byte on.
    partial=$fetched/partial
    for package in "${missing[@]}"; do
        rm -rf "$partial"
        mkdir "$partial"
        case " ${source_packages[*]} " in
            *" $package "*) (cd "$partial" && apt-get "${options[@]}" source --tar-only --download-only "$package") ;;
            *) (cd "$partial" && apt-get "${options[@]}" download "$package") ;;
        esac || die "\`$package\` cannot be fetched" "$way_out"
        mv "$partial"/* "$fetched/"
    done
    rm -rf "$partial"
fi
if [ "$only_fetch" = 1 ]; then
    say "the sources are in $fetched"
    exit 0
fi

tools=()
for pair in g++:g++ patch:patch protoc:protobuf-compiler python3:python3 xz:xz-utils strip:binutils; do
    command -v "${pair%%:*}" >/dev/null || tools+=("${pair##*:}")
done
python3 -m venv --help >/dev/null 2>&1 && python3 -c 'import ensurepip' 2>/dev/null || tools+=(python3-venv)
if [ ${#tools[@]} -gt 0 ]; then
    say "installing ${tools[*]}"
    root=()
    [ "$(id -u)" -eq 0 ] || root=(sudo)
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends "${tools[@]}"
fi
protoc --version | grep -q ' 3\.21\.' ||
    die "$(protoc --version) was found; 3.21 is needed" 'install the package `protobuf-compiler` of Debian 12 or 13, or of Ubuntu 24.04'
if [ ! -x "$work/tools/bin/ninja" ]; then
    # ONNX Runtime wants a newer CMake than Debian 12 has.
    python3 -m venv "$work/tools"
    "$work/tools/bin/pip" install --quiet 'cmake>=3.28,<4' ninja
fi

say 'unpacking the sources'
# Unpacks an archive to a folder without its first level, once; applies a patch.
unpack() { # package, folder, patch
    [ -f "$2/.unpacked" ] && return
    rm -rf "$2"
    mkdir -p "$2"
    tar -xf "$(archive "$1")" -C "$2" --strip-components=1
    [ -z "${3:-}" ] || patch --quiet --binary --ignore-whitespace -d "$2" -p1 <"$3"
    touch "$2/.unpacked"
}
runtime=$work/onnxruntime
unpack onnxruntime "$runtime"
patches=$runtime/cmake/patches
unpack abseil "$work/abseil"
unpack protobuf "$work/protobuf" "$patches/protobuf/protobuf_cmake.patch"
unpack re2 "$work/re2"
unpack onnx "$work/onnx" "$patches/onnx/onnx.patch"
mkdir -p "$work/utf8_range"
: >"$work/utf8_range/CMakeLists.txt" # protobuf 3.21 names it and does not use it
for package in "${header_packages[@]}"; do
    [ -f "$work/headers/.$package" ] && continue
    dpkg-deb --extract "$(archive "$package")" "$work/headers"
    touch "$work/headers/.$package"
done

# Debian's Eigen 3.4.0 in place of a snapshot: it has no `PropagateNaN`, so Min and Max do not propagate NaN in this build.
printf 'find_package(Eigen3 CONFIG REQUIRED)\n' >"$runtime/cmake/external/eigen.cmake"
sed -i -E 's/\.template (min|max)<Eigen::PropagateNaN>\(/.\1(/' "$runtime/onnxruntime/core/providers/cpu/math/element_wise_ops.cc"
# A later SafeInt ends a program unless it is told that its errors may be thrown.
safeint=$runtime/onnxruntime/core/common/safeint.h
grep -q SAFEINT_CPP_THROW "$safeint" || sed -i '0,/#include "SafeInt.hpp"/s//#define SAFEINT_CPP_THROW noexcept(false)\n#include "SafeInt.hpp"/' "$safeint"

options=(
    -G Ninja
    -DCMAKE_MAKE_PROGRAM="$work/tools/bin/ninja"
    -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_PREFIX_PATH="$work/headers/usr"
    -DCMAKE_CXX_FLAGS="-ffile-prefix-map=$work=. -w"
    -DCMAKE_C_FLAGS="-ffile-prefix-map=$work=. -w"
    -DCMAKE_POLICY_VERSION_MINIMUM=3.5
    -Donnxruntime_BUILD_SHARED_LIB=ON
    -Donnxruntime_BUILD_UNIT_TESTS=OFF
    -Donnxruntime_ENABLE_CPUINFO=OFF
    -Donnxruntime_ENABLE_TRAINING_APIS=ON
    -Donnxruntime_USE_FULL_PROTOBUF=OFF
    -DONNX_CUSTOM_PROTOC_EXECUTABLE="$(command -v protoc)"
    -DFETCHCONTENT_SOURCE_DIR_ABSEIL_CPP="$work/abseil"
    -DFETCHCONTENT_SOURCE_DIR_PROTOBUF="$work/protobuf"
    -DFETCHCONTENT_SOURCE_DIR_RE2="$work/re2"
    -DFETCHCONTENT_SOURCE_DIR_ONNX="$work/onnx"
    -DFETCHCONTENT_SOURCE_DIR_UTF8_RANGE="$work/utf8_range"
    -Dsafeint_SOURCE_DIR="$(dirname "$(find "$work/headers" -name SafeInt.hpp | head -n 1)")"
    -Dflatbuffers_DIR="$(dirname "$(find "$work/headers" -iname 'flatbuffers*config.cmake' | head -n 1)")"
)
if [ "$cuda" = 1 ]; then
    toolkit=$(dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")")
    cudnn=${CUDNN_HOME:-/usr}
    options+=(
        -Donnxruntime_USE_CUDA=ON -Donnxruntime_CUDA_HOME="$toolkit" -Donnxruntime_CUDNN_HOME="$cudnn" -DCMAKE_CUDA_COMPILER="$toolkit/bin/nvcc"
        -Donnxruntime_USE_FLASH_ATTENTION=OFF -Donnxruntime_USE_MEMORY_EFFICIENT_ATTENTION=OFF
    )
    for pair in GSL:GSL CUTLASS:cutlass CUDNN_FRONTEND:cudnn-frontend; do
        for found in "$fetched/${pair##*:}"-*.tar.gz; do
            [ -f "$found" ] || continue
            mkdir -p "$work/${pair##*:}"
            tar -xf "$found" -C "$work/${pair##*:}" --strip-components=1
            options+=(-DFETCHCONTENT_SOURCE_DIR_"${pair%%:*}"="$work/${pair##*:}")
        done
    done
else
    options+=(-DFETCHCONTENT_FULLY_DISCONNECTED=ON)
fi

say "configuring (log: $work/configure.log)"
"$work/tools/bin/cmake" -S "$runtime/cmake" -B "$build" "${options[@]}" >"$work/configure.log" 2>&1 ||
    { tail -n 30 "$work/configure.log" >&2; die 'CMake failed' "its whole log is $work/configure.log"; }
say "building with $jobs at a time"
targets=(onnxruntime)
[ "$cuda" = 0 ] || targets+=(onnxruntime_providers_cuda onnxruntime_providers_shared)
"$work/tools/bin/cmake" --build "$build" --parallel "$jobs" --target "${targets[@]}" >&2

say "installing to $output"
mkdir -p "$(dirname "$output")"
strip --strip-unneeded -o "$output.new" "$build/libonnxruntime.so.$version"
mv "$output.new" "$output"
# What an earlier build with CUDA left beside it would make this one look as if it had CUDA.
[ "$output" != "$home/runtimes/training/libonnxruntime.so" ] || rm -f "$home"/runtimes/training/libonnxruntime_providers_{cuda,shared}.so
if [ "$cuda" = 1 ]; then
    for provider in cuda shared; do
        strip --strip-unneeded -o "$(dirname "$output")/libonnxruntime_providers_$provider.so" "$build/libonnxruntime_providers_$provider.so"
    done
fi
say "done; \`pipe runtime\` says \"training API: yes\". $work may be removed"
