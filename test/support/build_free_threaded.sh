#!/usr/bin/env bash
# Builds CPython without the global lock from Debian's source, into build/free-threaded: some minutes on two cores, so CI
# leaves it out. The tests run on it where OFFHEAP_PYTHONS names it. Needs a C compiler, dpkg-source and xz.
#
#   test/support/build_free_threaded.sh [SUITE VERSION]        trixie 3.13
set -euo pipefail
cd "$(dirname "$0")/../.."

suite=${1:-trixie} version=${2:-3.13}
prefix=$PWD/build/free-threaded/$version
python=$prefix/bin/python${version}t
# An installation that was cut short has an interpreter already.
whole=$prefix/whole
if [[ ! -e $whole ]]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work"/{lists,cache/archives}/partial "$prefix"
    cd "$work"

    # The mirror that this machine uses.
    mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
        sed -En '/security/d; s/^URIs: *//p; s/^deb (\[[^]]*\] )?([^ ]+) .* main.*/\2/p' | sed -n 1p || true)
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >sources
    apt() {
        apt-get -q -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o Dir::Etc::sourcelist="$work/sources" \
            -o Dir::Etc::sourceparts=- -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
    }
    apt update
    apt source --download-only "python$version/$suite"
    mkdir source
    tar -xJf python"$version"_*.orig.tar.xz -C source --strip-components=1

    cd source
    ./configure -q --prefix="$prefix" --disable-gil --disable-test-modules --without-ensurepip
    make -s -j"$(nproc)"
    make -s altinstall
    touch "$whole"
fi
echo "OFFHEAP_PYTHONS=$python"
