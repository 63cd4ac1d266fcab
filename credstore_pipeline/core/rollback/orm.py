"""Tables of the store's own models with the web application's tags: nothing that the target holds is lost in them.

Source: docs/legacy-formats.md, "Tables".
"""

_STATISTICS = """
    success_count INTEGER,
    failure_count INTEGER,
    last_used DATETIME,
    last_success DATETIME,
    last_failure DATETIME,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)"""

STATEMENTS = (
    """CREATE TABLE tags (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(50) NOT NULL,
    description TEXT,
    color VARCHAR(7),
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
)""",
    "CREATE UNIQUE INDEX ix_tags_name ON tags (name)",
    "CREATE INDEX ix_tags_id ON tags (id)",
    f"""CREATE TABLE credentials (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    username VARCHAR(255) NOT NULL,
    password VARCHAR(1024),
    use_keys BOOLEAN,
    key_file VARCHAR(1024),{_STATISTICS}
)""",
    "CREATE INDEX ix_credentials_name ON credentials (name)",
    f"""CREATE TABLE credential_tags (
    id VARCHAR(36) NOT NULL,
    credential_id VARCHAR(36) NOT NULL,
    tag_id VARCHAR(36) NOT NULL,
    priority FLOAT,{_STATISTICS},
    FOREIGN KEY(credential_id) REFERENCES credentials (id) ON DELETE CASCADE
)""",
)
