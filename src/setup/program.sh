#!/bin/sh
# SPDX-License-Identifier: MIT
# program.sh PACKAGE PROGRAM DIRECTORY: puts a program there, such as usr/bin/promtool of the package prometheus, unless
# the machine has it. For packages that would start a daemon when they are installed: only the one program is taken out.
# Without it a test skips, and says so.
set -eu
. "$(dirname "$0")/say.sh"

package=$1
program=$2
directory=$3
name=${program##*/}
if command -v "$name" >/dev/null || [ -x "$directory/$name" ]; then exit 0; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt-get downloads as a user of its own.
chmod 755 "$work"

download() { (cd "$work" && apt-get download "$package" </dev/null >log 2>&1); }

echo "setup: $name"
if ! download; then
	(as_root apt-get update </dev/null >"$work/log" 2>&1) || true
	download || { echo "setup: could not download $name; going on without it"; exit 0; }
fi
if ! dpkg-deb --fsys-tarfile "$work/${package}"_*.deb | tar -x -C "$work" "./$program" 2>/dev/null; then
	echo "setup: $package has no $program here; going on without it"
	exit 0
fi
mkdir -p "$directory"
mv "$work/$program" "$directory/$name"
