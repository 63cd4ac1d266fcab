#!/bin/sh
# Dagster reads its database's password from the environment alone; it comes as a file.
set -eu
if [ -n "${DAGSTER_POSTGRES_PASSWORD_FILE:-}" ]; then
  if [ ! -r "$DAGSTER_POSTGRES_PASSWORD_FILE" ]; then
    echo "credstore-entrypoint: DAGSTER_POSTGRES_PASSWORD_FILE: this user ($(id -u)) cannot read the file" >&2
    exit 1
  fi
  DAGSTER_POSTGRES_PASSWORD=$(cat "$DAGSTER_POSTGRES_PASSWORD_FILE")
  export DAGSTER_POSTGRES_PASSWORD
fi
# The one code server starts: runs that the last one took with it are at work no more.
if [ "${1:-} ${2:-} ${3:-}" = "dagster api grpc" ] && [ -n "${DAGSTER_POSTGRES_HOST:-}" ]; then
  python -m credstore_pipeline.lost_runs
fi
exec "$@"
