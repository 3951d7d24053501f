#!/usr/bin/env bash
# Unpacks the interpreters of Debian's other releases into build/pythons, for test/python-frames.test.ts; installs nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$PWD/build/pythons
[[ -d $target ]] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,cache/archives,debs}/partial "$work/out"
cd "$work"

# The mirror that this machine uses.
mirror=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
    sed -En '/security/d; s/^URIs: *//p; s/^deb (\[[^]]*\] )?([^ ]+) .* main.*/\2/p' | sed -n 1p || true)
for suite in bullseye trixie sid; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
done >sources

apt() {
    apt-get -q -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o Dir::Etc::sourcelist="$work/sources" \
        -o Dir::Etc::sourceparts=- -o Acquire::Languages=none -o APT::Sandbox::User=root \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

# fetch SUITE VERSION PACKAGE…: the interpreter, and the libraries that are older here.
fetch() {
    local suite=$1 version=$2 package
    shift 2
    mkdir -p "$work/debs/$suite" "$work/out/$suite"
    cd "$work/debs/$suite"
    apt download "$@" "python$version-minimal/$suite" "libpython$version-minimal/$suite" "libpython$version-stdlib/$suite"
    for package in *.deb; do dpkg -x "$package" "$work/out/$suite"; done
}

apt update
fetch bullseye 3.9
fetch trixie 3.13 libc6/trixie libexpat1/trixie zlib1g/trixie libffi8/trixie
fetch sid 3.14 libpython3.14-dev/sid libc6/sid libexpat1/sid zlib1g/sid libffi8/sid
mkdir -p "${target%/*}"
mv "$work/out" "$target"
