#!/bin/sh
# Becomes the server, with the password from REDIS_PASSWORD or the file REDIS_PASSWORD_FILE, which
# reaches it by standard input and so stands in no process list.
set -eu

case ${1:-redis-server} in
redis-server | valkey-server) [ $# -eq 0 ] || shift ;;
-*) ;;
*) exec "$@" ;;
esac

password=${REDIS_PASSWORD:-}
[ -z "${REDIS_PASSWORD_FILE:-}" ] || password=$(cat "$REDIS_PASSWORD_FILE")
if [ -z "$password" ]; then
    exec redis-server --bind '*' --protected-mode no --dir /data "$@"
fi
unset REDIS_PASSWORD
password=$(printf %s "$password" | sed 's/[\\"]/\\&/g')
exec redis-server - --bind '*' --protected-mode no --dir /data "$@" << END
requirepass "$password"
END
