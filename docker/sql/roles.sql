-- Two roles with no more rights than they need; run once, as an administrator, in the application's database.
-- Safe to run again: it creates what is missing and grants what is not granted.
--
--   credstore_migrator   the pipeline and credstore-init: makes the tables, migrates, re-syncs, seeds
--   credstore_app        the application: reads and writes the rows of the three tables
--
-- Neither has a password yet, so neither can log in: ALTER ROLE … PASSWORD …, or docker/sql/logins.sh.
-- An application that keeps its own role: GRANT credstore_app TO that role.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'credstore_migrator') THEN
        CREATE ROLE credstore_migrator LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'credstore_app') THEN
        CREATE ROLE credstore_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    END IF;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO credstore_migrator', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO credstore_app', current_database());
END
$$;

-- PostgreSQL before version 15 lets everyone create tables in it.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO credstore_migrator;
GRANT USAGE ON SCHEMA public TO credstore_app;

-- The pipeline's own books: nobody else's business, the application's least of all.
CREATE SCHEMA IF NOT EXISTS credstore_sync AUTHORIZATION credstore_migrator;
REVOKE ALL ON SCHEMA credstore_sync FROM PUBLIC;

-- Tables that are there already, made by the application or by an administrator. Ownership is not granted:
-- CREDSTORE_PASSWORD_COLUMN=widen and credstore-init --indexes need the tables' owner.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tags', 'credentials', 'credential_tags'] LOOP
        IF to_regclass('public.' || name) IS NOT NULL THEN
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES ON public.%I TO credstore_migrator', name);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO credstore_app', name);
        END IF;
    END LOOP;
END
$$;

-- Tables that the migrator will make: it owns them, the application works with them.
ALTER DEFAULT PRIVILEGES FOR ROLE credstore_migrator IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO credstore_app;
