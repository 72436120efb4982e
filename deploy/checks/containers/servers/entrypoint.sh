#!/bin/sh
# Runs PostgreSQL and Redis as their public images do: user, password and database from POSTGRES_*, Redis open to its network.
set -eu

if [ "$1" = redis-server ]; then
    exec "$@" --protected-mode no
fi
if [ "$1" != postgres ]; then
    exec "$@"
fi
shift
data="${PGDATA:-/var/lib/postgresql/data}"
user="${POSTGRES_USER:-postgres}"
as() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

mkdir -p "$data" /run/postgresql
chown -R postgres:postgres "$data" /run/postgresql
if [ ! -s "$data/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" >/tmp/password
    chown postgres /tmp/password
    as initdb -D "$data" -U "$user" --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust >/dev/null
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
    as pg_ctl -D "$data" -w -o "-c listen_addresses=" start >/dev/null
    if [ "${POSTGRES_DB:-$user}" != postgres ]; then
        as createdb -U "$user" "${POSTGRES_DB:-$user}"
    fi
    as pg_ctl -D "$data" -m fast stop >/dev/null
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -D "$data" -c listen_addresses='*' "$@"
