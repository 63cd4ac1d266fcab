"""The tables of every legacy flavour, as their makers created them (docs/legacy-formats.md, "Tables").

A schema is a list of statements; `SCHEMAS` names the combinations that real files show.
"""

ORM_CREDENTIALS = [
    """CREATE TABLE credentials (
\tid VARCHAR(36) NOT NULL,
\tname VARCHAR(255) NOT NULL,
\tdescription TEXT,
\tusername VARCHAR(255) NOT NULL,
\tpassword VARCHAR(1024),
\tuse_keys BOOLEAN,
\tkey_file VARCHAR(1024),
\tsuccess_count INTEGER,
\tfailure_count INTEGER,
\tlast_used DATETIME,
\tlast_success DATETIME,
\tlast_failure DATETIME,
\tcreated_at DATETIME,
\tupdated_at DATETIME,
\tPRIMARY KEY (id)
)""",
    "CREATE INDEX ix_credentials_name ON credentials (name)",
]

WEB_CREDENTIALS = [*ORM_CREDENTIALS, "CREATE INDEX ix_credentials_id ON credentials (id)"]

SCRIPT_CREDENTIALS = [
    """CREATE TABLE credentials (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    username TEXT NOT NULL,
    password TEXT NOT NULL,
    description TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    success_count INTEGER DEFAULT 0,
    failure_count INTEGER DEFAULT 0
)"""
]

HAND_MADE_CREDENTIALS = [
    """CREATE TABLE credentials (
    id,
    name,
    description,
    username,
    password,
    use_keys BOOLEAN,
    key_file,
    success_count,
    failure_count,
    last_used DATETIME,
    last_success DATETIME,
    last_failure DATETIME,
    created_at DATETIME,
    updated_at DATETIME
)"""
]
"""No types, no keys, no constraints: each value keeps the type it was bound with."""


def _orm_links(keys: str) -> str:
    return f"""CREATE TABLE credential_tags (
\tid VARCHAR(36) NOT NULL,
\tcredential_id VARCHAR(36) NOT NULL,
\ttag_id VARCHAR(36) NOT NULL,
\tpriority FLOAT,
\tsuccess_count INTEGER,
\tfailure_count INTEGER,
\tlast_used DATETIME,
\tlast_success DATETIME,
\tlast_failure DATETIME,
\tcreated_at DATETIME,
\tupdated_at DATETIME,
\tPRIMARY KEY (id),
\tFOREIGN KEY(credential_id) REFERENCES credentials (id) ON DELETE CASCADE{keys}
)"""


TO_TAGS = ",\n\tFOREIGN KEY(tag_id) REFERENCES tags (id) ON DELETE CASCADE"
ORM_LINKS = [_orm_links("")]
FIRST_ORM_LINKS = [_orm_links(TO_TAGS)]
WEB_LINKS = [_orm_links(TO_TAGS), "CREATE INDEX ix_credential_tags_id ON credential_tags (id)"]

SCRIPT_LINKS = [
    """CREATE TABLE credential_tags (
    credential_id TEXT,
    tag_id TEXT,
    priority INTEGER DEFAULT 0,
    success_count INTEGER DEFAULT 0,
    failure_count INTEGER DEFAULT 0,
    PRIMARY KEY (credential_id, tag_id),
    FOREIGN KEY (credential_id) REFERENCES credentials(id),
    FOREIGN KEY (tag_id) REFERENCES tags(id)
)"""
]

HAND_MADE_LINKS = [
    """CREATE TABLE credential_tags (
    id TEXT,
    credential_id TEXT,
    tag_id TEXT,
    priority FLOAT,
    success_count,
    failure_count,
    last_used DATETIME,
    last_success DATETIME,
    last_failure DATETIME,
    created_at DATETIME,
    updated_at DATETIME
)"""
]

WEB_TAGS = [
    """CREATE TABLE tags (
\tid VARCHAR(36) NOT NULL,
\tname VARCHAR(50) NOT NULL,
\tdescription TEXT,
\tcolor VARCHAR(7),
\tcreated_at DATETIME,
\tupdated_at DATETIME,
\tPRIMARY KEY (id)
)""",
    "CREATE UNIQUE INDEX ix_tags_name ON tags (name)",
    "CREATE INDEX ix_tags_id ON tags (id)",
]

SCRIPT_TAGS = [
    """CREATE TABLE tags (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT,
    color TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
)"""
]

MIGRATION_TAGS = [
    """CREATE TABLE tags (
\tid VARCHAR(36) NOT NULL,
\tname VARCHAR(50) NOT NULL,
\tdescription VARCHAR(255),
\tcolor VARCHAR(7),
\tcreated_at DATETIME NOT NULL,
\tupdated_at DATETIME NOT NULL,
\tPRIMARY KEY (id),
\tUNIQUE (name)
)""",
    "CREATE UNIQUE INDEX ix_tags_name ON tags (name)",
]

HAND_MADE_TAGS = [
    "CREATE TABLE tags (id TEXT, name, description TEXT, color TEXT, created_at DATETIME, updated_at DATETIME)"
]

WEB_NEIGHBOURS = [
    """CREATE TABLE device_tags (
\tdevice_id VARCHAR(36) NOT NULL,
\ttag_id VARCHAR(36) NOT NULL,
\tcreated_at DATETIME,
\tPRIMARY KEY (device_id, tag_id),
\tFOREIGN KEY(tag_id) REFERENCES tags (id) ON DELETE CASCADE
)""",
    """CREATE TABLE tag_rules (
\tid VARCHAR(36) NOT NULL,
\tname VARCHAR(100) NOT NULL,
\tdescription TEXT,
\trule_criteria TEXT NOT NULL,
\tis_active BOOLEAN,
\tcreated_at DATETIME,
\tupdated_at DATETIME,
\ttag_id VARCHAR(36) NOT NULL,
\tPRIMARY KEY (id),
\tFOREIGN KEY(tag_id) REFERENCES tags (id)
)""",
]
"""Tables of the web application in the same file; not part of the credential store."""

HEAD = [
    """CREATE TABLE credentials (
\tid INTEGER NOT NULL,
\tusername VARCHAR NOT NULL,
\tpassword VARCHAR NOT NULL,
\tpriority INTEGER,
\tlast_used DATETIME,
\tsuccess_rate FLOAT,
\tdescription VARCHAR,
\tis_system BOOLEAN,
\tPRIMARY KEY (id)
)""",
    """CREATE TABLE tags (
\tid INTEGER NOT NULL,
\tname VARCHAR NOT NULL,
\ttype VARCHAR,
\tdescription VARCHAR,
\tPRIMARY KEY (id)
)""",
    "CREATE UNIQUE INDEX ix_tags_name ON tags (name)",
    """CREATE TABLE credential_tag_association (
\tcredential_id INTEGER NOT NULL,
\ttag_id INTEGER NOT NULL,
\tPRIMARY KEY (credential_id, tag_id),
\tFOREIGN KEY(credential_id) REFERENCES credentials (id),
\tFOREIGN KEY(tag_id) REFERENCES tags (id)
)""",
]
"""The application's newest schema: other columns, integer ids. To be recognised and refused."""

SCHEMAS: dict[str, list[str]] = {
    "script": [*SCRIPT_CREDENTIALS, *SCRIPT_TAGS, *SCRIPT_LINKS],
    "script without credentials": [*SCRIPT_TAGS, *SCRIPT_LINKS],
    "orm with foreign keys to tags": [*ORM_CREDENTIALS, *WEB_TAGS, *FIRST_ORM_LINKS],
    "orm": [*ORM_CREDENTIALS, *ORM_LINKS],
    "orm and web tags": [*WEB_TAGS, *WEB_NEIGHBOURS, *ORM_CREDENTIALS, *ORM_LINKS],
    "web": [*WEB_TAGS, *WEB_NEIGHBOURS, *WEB_CREDENTIALS, *WEB_LINKS],
    "orm and migration tags": [*MIGRATION_TAGS, *ORM_CREDENTIALS, *ORM_LINKS],
    "hybrid, script first": [*SCRIPT_TAGS, *SCRIPT_LINKS, *ORM_CREDENTIALS],
    "hybrid, orm first": [*ORM_CREDENTIALS, *ORM_LINKS, *SCRIPT_TAGS],
    "hand-made": [*HAND_MADE_CREDENTIALS, *HAND_MADE_TAGS, *HAND_MADE_LINKS],
    "head": HEAD,
}
"""Tables by flavour; the words are those of `expected.json`."""
