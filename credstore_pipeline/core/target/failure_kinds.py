"""What each SQLSTATE means here, and what an operator does about it."""

import re

from credstore_pipeline.core.errors import TargetError, TargetUnreachable

RIGHTS = "Grant the right named, or let the tables' owner run this."

STATES: dict[str, tuple[str, str]] = {
    "08": ("the connection was lost.", "Is the server running, and the network up? Run again."),
    "0A": (
        "PostgreSQL does not support this on the table as it is.",
        "Do views or rules stand on it? Drop them first.",
    ),
    "22": ("a value does not fit its column.", "This is a fault of the pipeline's row rules; please report it."),
    "22021": ("a text is not valid in the database's encoding.", "The database has to be encoded in UTF8."),
    "22P05": ("a character does not exist in the database's encoding.", "The database has to be encoded in UTF8."),
    "23": ("a row breaks a constraint.", "Is the constraint the application's? If not, drop it or mend the row."),
    "23503": ("a row refers to one that does not exist.", "Was a row deleted in the target meanwhile? Run again."),
    "23505": ("a row is there already.", "Does the target have a unique index that the application does not make?"),
    "25006": ("the database is read-only.", "Name the primary server, or set default_transaction_read_only to off."),
    "25P03": ("the server ended an idle transaction.", "Set idle_in_transaction_session_timeout to 0 for this role."),
    "28000": ("the server refuses this user.", "Check user, database and pg_hba.conf."),
    "28P01": (
        "wrong password or unknown user.",
        "Check CREDSTORE_POSTGRES_URL or POSTGRES_USER and POSTGRES_PASSWORD.",
    ),
    "3D000": ("the database does not exist.", "Create it, or mend CREDSTORE_POSTGRES_URL or POSTGRES_DB."),
    "3F000": ("the schema does not exist.", "Check CREDSTORE_TARGET_SCHEMA."),
    "40001": ("other transactions were in the way.", "Run again."),
    "40P01": ("this and another transaction waited for each other.", "Run again."),
    "42501": ("a right is missing.", RIGHTS),
    "42P01": ("a table is missing.", "Was it dropped while this ran? Run again."),
    "42P07": (
        "the name of a table or index is taken.",
        "Rename what has it, or choose another CREDSTORE_TARGET_SCHEMA.",
    ),
    "53100": ("the server's disk is full.", "Make room, and run again."),
    "53200": ("the server is out of memory.", "Give it more, and run again."),
    "53300": ("the server has no connection left.", "Close some, or raise max_connections; then run again."),
    "55P03": ("a lock was not given in time.", "Another session holds it; see pg_locks. Run again."),
    "57014": ("the statement was cancelled.", "Somebody cancelled it, or a timeout did. Run again."),
    "57P01": ("an administrator ended the connection.", "Run again when the server is up."),
    "57P02": ("the server crashed.", "See its log. Run again when it is up."),
    "57P03": ("the server is starting or stopping.", "Run again when it is up."),
    "58": ("the server's disk failed.", "See the server's log."),
    "XX": ("the server found a fault of its own.", "See the server's log."),
}
"""SQLSTATE, or its class -> what is wrong, what to do."""

TRANSIENT = frozenset({"08", "40", "53300", "55P03", "57P01", "57P02", "57P03"})
"""SQLSTATEs and classes after which the same transaction may succeed."""

UNREACHABLE: dict[str, type[TargetError]] = {
    "28000": TargetUnreachable,
    "28P01": TargetUnreachable,
    "3D000": TargetUnreachable,
}

LOGIN_WORDS: tuple[tuple[str, str | None, str, str], ...] = (
    ("password authentication failed", "28P01", *STATES["28P01"]),
    ("no password supplied", "28P01", "no password was given.", STATES["28P01"][1]),
    ("pg_hba.conf", "28000", *STATES["28000"]),
    ("is not permitted to log in", "28000", *STATES["28000"]),
    ("permission denied for database", "42501", "this user may not connect to the database.", RIGHTS),
    ("too many clients", "53300", *STATES["53300"]),
    ("too many connections", "53300", *STATES["53300"]),
    ("remaining connection slots", "53300", *STATES["53300"]),
    ("starting up", "57P03", *STATES["57P03"]),
    ("shutting down", "57P03", *STATES["57P03"]),
    ("recovery mode", "57P03", *STATES["57P03"]),
    ("could not translate host name", None, "the host name is unknown.", "Check the host in CREDSTORE_POSTGRES_URL."),
    ("Connection refused", None, "nothing listens there.", "Is the server running? Check host and port."),
    (
        "No such file or directory",
        None,
        "there is no such socket.",
        "Is the server running? Check the socket's folder.",
    ),
    ("timeout expired", None, "the server did not answer in time.", "Check host, port and firewall."),
    ("certificate", None, "the server's certificate is not accepted.", "Check CREDSTORE_POSTGRES_SSLROOTCERT."),
    ("SSL", None, "no encrypted connection can be made.", "Check CREDSTORE_POSTGRES_SSLMODE."),
    ("does not exist", "3D000", "the database or user does not exist.", STATES["3D000"][1]),
)
"""Words in a failed login -> SQLSTATE, what is wrong, what to do: the driver reports logins without a SQLSTATE."""

CONNECTING = re.compile(r"connection to server (?:at|on) |could not connect |could not translate host name ")
"""How the driver begins what it says of a login; the same words later tell of a connection that was lost."""

LOST_WORDS = (
    "server closed the connection",
    "connection already closed",
    "connection has been closed",
    "connection not open",
    "connection pointer is NULL",
    "could not receive data",
    "could not send data",
    "no connection to the server",
    "cursor already closed",
    "SSL error",
    "SSL SYSCALL error",
    "GSSAPI unwrap error",
    "GSSAPI wrap error",
    "terminating connection",
    "lost synchronization",
    "error with status PGRES_",
)
"""Words of a connection that was lost after the login, in the clear or encrypted."""
