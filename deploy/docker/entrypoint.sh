#!/bin/sh
# Runs the command as the unprivileged user. Started as root, it first gives that user what another image may have
# written as root; started as anybody else (Kubernetes), it only runs the command.
set -eu

if [ "$(id -u)" -eq 0 ]; then
    for folder in "${PLUGIN_STORAGE_LOCAL_ROOT:-/app/storage}" "${PLUGIN_WORKING_PATH:-/app/storage/cwd}"; do
        mkdir -p "$folder"
        if [ -n "$(find "$folder" -xdev ! -user 1001 -print -quit)" ]; then
            echo "entrypoint: giving $folder to the user that runs the daemon" >&2
            chown -R 1001:1001 "$folder"
        fi
    done
    exec setpriv --reuid=1001 --regid=1001 --clear-groups --no-new-privs "$@"
fi
exec "$@"
