# SPDX-License-Identifier: MIT
# Sourced by the set-up scripts: an error is one line that says what and why, and a hint.

fail() { # WHAT WHY HINT
	echo "vnet-bpf: $1: $2" >&2
	echo "hint: $3" >&2
	exit 1
}

# Runs a command as root: directly, or through sudo.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		fail "root" "is needed for $1, and there is no sudo" "run the same command as root"
	fi
}
