"""Over TLS a lost connection is told in other words than in the clear, and is a lost connection all the same."""

import socket
import threading

import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from credstore_pipeline.core.deployment import Target
from credstore_pipeline.core.errors import CommitUnknown, TargetUnreachable, TransientTargetError
from credstore_pipeline.core.target.connect import make_engine, transaction
from credstore_pipeline.core.target.failures import boundary, commit_boundary
from credstore_pipeline.core.target.retry import retrying
from credstore_pipeline_tests.core.target.test_failures import refused, run, shut_down
from credstore_pipeline_tests.core.target.tls import encrypted
from credstore_pipeline_tests.pipeline.proxy import lossy

LOST = (
    "SSL SYSCALL error: EOF detected\n",
    "SSL SYSCALL error: Connection reset by peer\n",
    "SSL SYSCALL error: Connection timed out\n",
    "SSL connection has been closed unexpectedly\n",
    "SSL error: unexpected eof while reading\n",
    "SSL error: decryption failed or bad record mac\n",
    "unrecognized SSL error code: 5\n",
    "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n",
    "could not receive data from server: Connection refused\n",
    "terminating connection due to administrator command\nSSL connection has been closed unexpectedly\n",
)
"""What libpq says of a connection that was lost after the login."""

NOT_MADE = (
    ('connection to server at "h" (::1), port 1 failed: SSL error: certificate verify failed\n', "certificate"),
    ('connection to server at "h" (::1), port 1 failed: server does not support SSL, but SSL was required\n', "encryp"),
    ('connection to server at "h" (::1), port 1 failed: SSL error: unexpected eof while reading\n', "encrypted"),
    ('connection to server at "h" (::1), port 1 failed: server closed the connection unexpectedly\n', "not answer"),
)
"""What it says of one that was never made."""


@pytest.mark.parametrize("words", LOST)
def test_words_of_a_lost_connection_say_that_it_may_be_tried_again_and_that_a_commit_was_unheard(words):
    """Those with SSL in them passed for a connection that cannot be encrypted."""
    with refused(TransientTargetError, None, "connection was lost"), boundary("a test"):
        raise psycopg2.OperationalError(words)
    with refused(CommitUnknown, None, "lost during COMMIT"), commit_boundary("a test"):
        raise psycopg2.OperationalError(words)


@pytest.mark.parametrize(("words", "told"), NOT_MADE)
def test_words_of_a_failed_login_say_what_the_login_lacks(words, told):
    with refused(TargetUnreachable, None, told), boundary("a test"):
        raise psycopg2.OperationalError(words)


def test_a_commit_whose_failure_nobody_knows_was_not_answered():
    with refused(CommitUnknown, None, "unknown"), commit_boundary("a test"):
        raise psycopg2.OperationalError("words of a later driver")


def test_an_encrypted_connection_that_is_lost_under_way_is_tried_again(database):
    """It passed for "no encrypted connection can be made", which nobody tries again."""
    tries = []

    def once() -> None:
        with transaction(make_engine(encrypted_target, "run"), "a test") as connection:
            tries.append(connection.connection.driver_connection.info.ssl_in_use)
            if len(tries) == 1:
                shut_down(connection.connection.driver_connection.fileno())
            connection.execute(sa.text("SELECT 1"))

    with encrypted(database) as encrypted_target:
        retrying(once, sleep=lambda seconds: None)
    assert tries == [True, True]


@pytest.mark.parametrize("says_goodbye", [True, False], ids=["closed", "torn"])
def test_an_encrypted_connection_that_the_server_ends_may_be_tried_again(database, says_goodbye):
    # The driver reads the server's last words only sometimes before it sees the closed line.
    with (
        encrypted(database, says_goodbye=says_goodbye) as target,
        pytest.raises(TransientTargetError, match="connection"),
        transaction(make_engine(target, "run"), "a test") as connection,
    ):
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        run(database, "SELECT pg_terminate_backend(:pid, 1000)", pid=pid)
        connection.execute(sa.text("SELECT 1"))


@pytest.mark.parametrize("says_goodbye", [True, False], ids=["closed", "torn"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_encrypted_connection_lost_during_commit_leaves_the_outcome_open(database, when, says_goodbye):
    """A COMMIT that went unheard passed for one that was refused, and its outcome was never asked for."""
    run(database, "CREATE TABLE public.kept (n integer)")
    with (
        lossy(database, when, marks=b"INSERT INTO public.kept") as proxy,
        encrypted(proxy.target, says_goodbye=says_goodbye) as target,
        refused(CommitUnknown, None, "lost during COMMIT", "unknown"),
        transaction(make_engine(target, "run"), "a test") as connection,
    ):
        assert connection.connection.driver_connection.info.ssl_in_use
        connection.execute(sa.text("INSERT INTO public.kept VALUES (1)"))
    assert proxy.reached.is_set()
    with transaction(make_engine(database, "run"), "a test") as connection:
        kept = connection.execute(sa.text("SELECT count(*) FROM public.kept")).scalar_one()
    assert kept == (when == "after")


def test_a_server_without_tls_is_told_as_one_that_cannot_encrypt():
    def answer() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(8, socket.MSG_WAITALL)
            client.sendall(b"N")
            client.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        place = URL.create("postgresql", "u", host="127.0.0.1", port=listener.getsockname()[1], database="d")
        target = Target(place.update_query_dict({"sslmode": "require", "gssencmode": "disable"}))
        with refused(TargetUnreachable, None, "no encrypted connection"):
            run(target, "SELECT 1")
