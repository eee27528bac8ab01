#!/bin/sh
# Makes the database at the first start, then becomes the server. The variables are those of the
# official image: POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, PGDATA.
set -eu
umask 077

case ${1:-postgres} in
postgres) [ $# -eq 0 ] || shift ;;
-*) ;;
*) exec "$@" ;;
esac

make() {
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    new=$PGDATA/.new
    # Without PG_VERSION nothing here was ever served: it is what an interrupted start left.
    rm -rf "$new" "${PGDATA:?}"/*
    mkdir -p "$new"
    password=$PGDATA/.password
    if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
        cat "$POSTGRES_PASSWORD_FILE" > "$password"
    else
        printf '%s\n' "${POSTGRES_PASSWORD:-}" > "$password"
    fi
    if ! grep -q . "$password"; then
        echo "no password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE" >&2
        exit 1
    fi
    initdb --pgdata="$new" --username="$user" --pwfile="$password" --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256
    rm "$password"
    if [ "$database" != postgres ]; then
        quoted=$(printf %s "$database" | sed 's/"/""/g')
        echo "CREATE DATABASE \"$quoted\"" | postgres --single -D "$new" postgres > /dev/null
    fi
    echo "host all all all scram-sha-256" >> "$new/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$new/postgresql.conf"
    for entry in "$new"/*; do
        [ "$entry" = "$new/PG_VERSION" ] || mv "$entry" "$PGDATA/"
    done
    # Last, since it says that the rest is whole.
    mv "$new/PG_VERSION" "$PGDATA/"
    rmdir "$new"
}

mkdir -p "$PGDATA"
chmod 700 "$PGDATA" 2> /dev/null || true
[ -s "$PGDATA/PG_VERSION" ] || make
exec postgres -D "$PGDATA" "$@"
