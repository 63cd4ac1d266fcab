"""The application's tables as its versions left them behind, written out by hand."""

STATISTICS = """
    success_count integer, failure_count integer,
    last_used timestamp, last_success timestamp, last_failure timestamp, created_at timestamp, updated_at timestamp
"""

TAGS = """
CREATE TABLE {schema}.tags (
    id varchar(36) PRIMARY KEY, name varchar(50) NOT NULL, description text, color varchar(7),
    created_at timestamp, updated_at timestamp
);
CREATE INDEX ix_tags_id ON {schema}.tags (id);
CREATE UNIQUE INDEX ix_tags_name ON {schema}.tags (name);
"""

TAGS_OF_THE_FIRST_MIGRATION = """
CREATE TABLE {schema}.tags (
    id varchar(36) PRIMARY KEY, name varchar(50) NOT NULL, description varchar(255), color varchar(7),
    created_at timestamp NOT NULL, updated_at timestamp NOT NULL
);
CREATE UNIQUE INDEX ix_tags_name ON {schema}.tags (name);
"""

CREDENTIALS = (
    """
CREATE TABLE {schema}.credentials (
    id varchar(36) PRIMARY KEY, name varchar(255) NOT NULL, description text, username varchar(255) NOT NULL,
    password varchar(1024), use_keys boolean, key_file varchar(1024),"""
    + STATISTICS
    + """);
CREATE INDEX ix_credentials_name ON {schema}.credentials (name);
"""
)

CREDENTIAL_TAGS = (
    """
CREATE TABLE {schema}.credential_tags (
    id varchar(36) PRIMARY KEY,
    credential_id varchar(36) NOT NULL REFERENCES {schema}.credentials (id) ON DELETE CASCADE,
    tag_id varchar(36) NOT NULL, priority double precision,"""
    + STATISTICS
    + ");"
)

F7B7109_STORE = CREDENTIALS + CREDENTIAL_TAGS
F7B7109 = TAGS + F7B7109_STORE
W5FF43A7 = (
    F7B7109
    + """
CREATE INDEX ix_credentials_id ON {schema}.credentials (id);
CREATE INDEX ix_credential_tags_id ON {schema}.credential_tags (id);
ALTER TABLE {schema}.credential_tags ADD FOREIGN KEY (tag_id) REFERENCES {schema}.tags (id) ON DELETE CASCADE;
"""
)

NEWEST = """
CREATE TABLE {schema}.credentials (
    id serial PRIMARY KEY, username varchar NOT NULL, password varchar NOT NULL, priority integer,
    last_used timestamptz, success_rate double precision, description varchar, is_system boolean DEFAULT false
);
CREATE TABLE {schema}.tags (id serial PRIMARY KEY, name varchar NOT NULL, type varchar, description varchar);
CREATE TABLE {schema}.credential_tag_association (
    credential_id integer REFERENCES {schema}.credentials (id) ON DELETE CASCADE,
    tag_id integer REFERENCES {schema}.tags (id) ON DELETE CASCADE,
    PRIMARY KEY (credential_id, tag_id)
);
"""
