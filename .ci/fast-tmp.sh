#!/bin/sh
# Prints the folder for what tests write and throw away: memory where there is plenty of it, since
# a thousand databases are made, synced and removed; otherwise the usual one.
set -eu
if [ -d /dev/shm ] && [ -w /dev/shm ]; then
    free=$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')
    memory=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
    if [ "$free" -gt 6000000 ] && [ "${memory:-0}" -gt 10000000 ]; then
        echo /dev/shm
        exit 0
    fi
fi
echo "${TMPDIR:-/tmp}"
