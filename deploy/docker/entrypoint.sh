#!/bin/sh
# Runs the command as the unprivileged user. Started as root, it first gives that user what another image may have
# written as root; started as anybody else (Kubernetes), it only runs the command.
set -eu

user=1001

if [ "$(id -u)" -eq 0 ]; then
    for folder in "${PLUGIN_DATA_PATH:-/app/storage}" "${PLUGIN_STORAGE_LOCAL_ROOT:-/app/storage}" \
        "${PLUGIN_WORKING_PATH:-/app/storage/cwd}"; do
        mkdir -p "$folder"
        if [ -n "$(find "$folder" -xdev ! -user "$user" -print -quit)" ]; then
            echo "entrypoint: giving $folder to user $user, as which the daemon runs" >&2
            # links themselves, never what they point to
            find "$folder" -xdev ! -user "$user" -exec chown -h "$user:$user" {} +
        fi
    done
    exec setpriv --reuid="$user" --regid="$user" --clear-groups --no-new-privs "$@"
fi
exec "$@"
