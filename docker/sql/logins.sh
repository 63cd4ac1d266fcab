#!/bin/sh
# Gives the roles of roles.sql their passwords, and Dagster a database and a role of its own. Run by the PostgreSQL
# image after roles.sql, once, before the server listens; outside of it: POSTGRES_USER and POSTGRES_DB as there.
set -eu

for name in MIGRATOR APP DAGSTER; do
  eval "file=\${${name}_PASSWORD_FILE:-}"
  if [ ! -s "$file" ]; then echo "logins.sh: ${name}_PASSWORD_FILE names no file with a password" >&2; exit 1; fi
done

# Through standard input and psql's own variables: on a command line every process could read them.
psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\set migrator `cat "$MIGRATOR_PASSWORD_FILE"`
\set app `cat "$APP_PASSWORD_FILE"`
\set dagster `cat "$DAGSTER_PASSWORD_FILE"`
-- The server would log a statement that fails, passwords and all.
SET log_min_error_statement = panic;
SET log_statement = none;
ALTER ROLE credstore_migrator PASSWORD :'migrator';
ALTER ROLE credstore_app PASSWORD :'app';
SELECT 'CREATE ROLE dagster LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dagster') \gexec
ALTER ROLE dagster PASSWORD :'dagster';
SELECT 'CREATE DATABASE dagster OWNER dagster' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'dagster') \gexec
REVOKE ALL ON DATABASE dagster FROM PUBLIC;
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SQL
