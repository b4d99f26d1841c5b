#!/usr/bin/env bash
# usage: on-full-disk.sh FOLDER COMMAND...; runs COMMAND with a file system of 64 KB
# mounted at FOLDER, lists what it left there, and exits with its code.
folder=$1
shift
exec unshare -rm bash -c '
  folder=$1
  shift
  mkdir -p "$folder" && mount -t tmpfs -o size=64k tmpfs "$folder" || exit 99
  "$@"
  code=$?
  echo "left: $(ls -A "$folder" | tr "\n" " ")"
  exit $code' bash "$folder" "$@"
