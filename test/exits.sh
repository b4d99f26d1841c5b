#!/usr/bin/env bash
# usage: exits.sh CODE COMMAND...; succeeds when COMMAND exits with CODE.
expected=$1
shift
"$@"
actual=$?
[ "$actual" = "$expected" ] || { echo "exit code $actual, expected $expected" >&2; exit 1; }
