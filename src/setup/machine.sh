#!/bin/sh
# SPDX-License-Identifier: MIT
# What no package can fix: the operating system, its kernel and Node.
# machine.sh [--for-root]: also what only running the loop needs, a kernel and a way to be root.
set -eu
. "$(dirname "$0")/say.sh"

[ "$(uname -s)" = Linux ] || fail "operating system" "this is $(uname -s), not Linux" "use a Linux machine or a virtual one"

if [ "${1:-}" = --for-root ]; then
	release=$(uname -r)
	major=${release%%.*}
	minor=${release#*.}
	minor=${minor%%[!0-9]*}
	if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 1 ]; }; then
		fail "kernel $release" "Linux 6.1 or later is needed" "boot a newer kernel: Debian 12, Ubuntu 24.04 and later have one"
	fi
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null || fail "root" "is needed, and there is no sudo" "run the same command as root"
fi

command -v node >/dev/null || fail "Node.js" "not found in PATH" "install Node.js 20 or later"
version=$(node --version) # v20.11.1
major=${version#v}
major=${major%%.*}
[ "$major" -ge 20 ] || fail "Node.js $version" "version 20 or later is needed" "install Node.js 20 or later"
command -v npm >/dev/null || fail "npm" "not found in PATH, though Node.js is" "install npm: apt-get install npm, or Node.js with its npm"
