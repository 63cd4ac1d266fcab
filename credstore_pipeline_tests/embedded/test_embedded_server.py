"""The embedded server as processes use it: started once, shared, left, killed."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

from credstore_pipeline.core.errors import EmbeddedServerError
from credstore_pipeline.embedded import embedded_server
from credstore_pipeline.embedded.account import server_account
from credstore_pipeline.embedded.binaries import find_binaries
from credstore_pipeline.embedded.cluster import Cluster
from credstore_pipeline.embedded.home import open_home
from credstore_pipeline_tests.conftest import THROWAWAY
from credstore_pipeline_tests.ports import free_port
from credstore_pipeline_tests.waiting import await_true, process_state

CANARY = "canary-4d1f0a77-key-of-the-environment"

USER = """
import os, sys
from pathlib import Path
from credstore_pipeline.embedded import embedded_server
with embedded_server(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    sys.stdin.read()
"""


def base_folder(name):
    return Path(os.environ["CREDSTORE_TESTS_SERVER"]) / f"{name}-{os.getpid()}"


@pytest.fixture(scope="module")
def base():
    """Make a cluster that these tests start and stop."""
    folder = base_folder("own")
    with embedded_server(folder, settings=THROWAWAY):
        pass
    return folder


@contextlib.contextmanager
def another_user(base):
    """Hold the server from another process; yields that process and the server's pid."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", USER, str(base)], **pipes) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.stdin.close()


def runs(pid):
    """Whether a process runs; one that nobody has waited for yet does not."""
    return process_state(pid) not in (None, "Z")


def answers(url):
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return connection.execute(sa.text("SELECT 1")).scalar() == 1


def test_a_url_leads_to_a_database_that_is_made_when_it_is_missing(base):
    with embedded_server(base, settings=THROWAWAY) as server:
        for name in ("netraven", 'odd "name"', "netraven"):
            url = server.url(name)
            assert url.drivername == "postgresql+psycopg2"
            assert answers(url)


def test_it_stops_when_the_last_user_leaves_and_not_before(base):
    with embedded_server(base, settings=THROWAWAY) as first:
        with embedded_server(base) as second:
            assert second.pid == first.pid
        with another_user(base) as (_, pid):
            assert pid == first.pid
        assert answers(first.url())
    assert not runs(first.pid)


def test_another_process_keeps_it_running(base):
    with another_user(base) as (_, pid):
        with embedded_server(base) as server:
            assert server.pid == pid
        assert runs(pid)
    assert not runs(pid)


def test_it_starts_again_with_its_data(base):
    with embedded_server(base, settings=THROWAWAY) as server:
        engine = sa.create_engine(server.url(), poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE IF NOT EXISTS kept (n integer)"))
            connection.execute(sa.text("INSERT INTO kept VALUES (1)"))
    with embedded_server(base, settings=THROWAWAY) as server, engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM kept")).scalar() >= 1


def test_a_killed_user_counts_no_more_and_its_server_is_taken_over(base):
    with another_user(base) as (user, pid):
        os.kill(user.pid, signal.SIGKILL)
        user.wait()
        assert runs(pid), "nobody was left to stop it"
        with embedded_server(base) as server:
            assert server.pid == pid
    assert not runs(pid)


def test_a_killed_server_starts_again(base):
    """Its pid file is left, and may name a process that lives."""
    with embedded_server(base, settings=THROWAWAY) as server:
        os.kill(server.pid, signal.SIGKILL)
        await_true(lambda: not runs(server.pid), max_s=60)
        with embedded_server(base, settings=THROWAWAY) as again:
            assert again.pid != server.pid
            assert answers(again.url())


def test_a_pid_file_that_names_another_program_is_no_obstacle(base):
    pid_file = base / "server" / "data" / "postmaster.pid"
    with embedded_server(base, settings=THROWAWAY):
        lines = pid_file.read_text().splitlines()
    # Of the server's own user: only such a process keeps it from starting.
    owner = (base / "server").stat()
    user = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "600"], cwd="/", **user) as program:
        pid_file.write_text("\n".join([str(program.pid), *lines[1:]]) + "\n")
        with embedded_server(base, settings=THROWAWAY) as server:
            assert answers(server.url())
        assert program.poll() is None
        program.kill()


def test_a_server_that_died_is_not_taken_for_the_program_that_has_its_number_now(base):
    pid_file = base / "server" / "data" / "postmaster.pid"
    owner = (base / "server").stat()
    user = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    with subprocess.Popen(["sleep", "600"], cwd="/", **user) as program:
        with embedded_server(base, settings=THROWAWAY) as server:
            os.kill(server.pid, signal.SIGKILL)
            await_true(lambda: not runs(server.pid), max_s=60)
            pid_file.write_text("\n".join([str(program.pid), *pid_file.read_text().splitlines()[1:]]) + "\n")
        assert program.poll() is None, "leaving has sent it the signal to stop"
        program.kill()


def test_a_lock_file_that_a_full_disk_left_empty_is_no_obstacle(base):
    (base / "server" / "data" / "postmaster.pid").touch()
    with embedded_server(base, settings=THROWAWAY) as server:
        assert answers(server.url())


def test_a_server_that_is_being_stopped_is_waited_for_and_started_again(base):
    """As after a last user that was killed while it stopped it."""
    with another_user(base) as (user, pid):
        os.kill(user.pid, signal.SIGKILL)
        user.wait()
        checkpointer = next(
            int(found.parent.name)
            for found in Path("/proc").glob("[0-9]*/cmdline")
            if b"checkpointer" in _read(found) and _parent(found.parent) == pid
        )
        os.kill(checkpointer, signal.SIGSTOP)
        os.kill(pid, signal.SIGINT)
        await_true(lambda: "stopping" in (base / "server" / "data" / "postmaster.pid").read_text(), max_s=60)
        with ThreadPoolExecutor(1) as pool:
            entering = pool.submit(_pid_and_answer, base)
            await_true(lambda: _waits(base / "start.lock"), max_s=60)
            os.kill(checkpointer, signal.SIGCONT)
            again, answered = entering.result(timeout=60)
    assert answered
    assert again != pid


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _parent(process):
    return int((process / "stat").read_text().rpartition(")")[2].split()[1])


def _pid_and_answer(base):
    with embedded_server(base, settings=THROWAWAY) as server:
        return server.pid, answers(server.url())


def _waits(lock):
    """Whether somebody holds it."""
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_server_whose_user_was_killed_does_not_run_on_for_somebody_who_cannot_use_it(base):
    port = free_port()
    with another_user(base) as (user, pid):
        os.kill(user.pid, signal.SIGKILL)
        user.wait()
        with pytest.raises(EmbeddedServerError, match="without a TCP port"), embedded_server(base, port=port):
            pass
        assert not runs(pid)
    with embedded_server(base, port=port, settings=THROWAWAY) as server:
        assert answers(server.url())


def test_without_a_port_there_is_no_tcp_and_with_one_only_loopback(base):
    port = free_port()
    with embedded_server(base, settings=THROWAWAY) as server:
        assert server.port is None
        assert listening(server) == ""
        with (
            pytest.raises(EmbeddedServerError, match="runs already, and without a TCP port"),
            embedded_server(base, port=port),
        ):
            pass
        assert answers(server.url()), "a user that was refused does not stop it"
    with embedded_server(base, port=port, settings=THROWAWAY) as server, embedded_server(base) as second:
        assert server.url().host == second.url().host == "127.0.0.1"
        assert server.url().port == port
        assert listening(server) == "127.0.0.1"
        assert answers(server.url())


def listening(server):
    with sa.create_engine(server.url(), poolclass=sa.NullPool).connect() as connection:
        return connection.execute(sa.text("SHOW listen_addresses")).scalar()


def test_nobody_gets_in_without_the_password(base):
    with embedded_server(base, settings=THROWAWAY) as server:
        url = server.url().set(drivername="postgresql")
        none = sa.URL.create("postgresql", url.username, database=url.database, query=url.query)
        for wrong in (url.set(password="wrong"), none, url.set(username="postgres")):
            with pytest.raises(psycopg2.OperationalError):
                psycopg2.connect(wrong.render_as_string(hide_password=False), passfile="/dev/null")
        rules = (base / "server" / "data" / "pg_hba.conf").read_text().splitlines()
        methods = {line.split()[-1] for line in rules if line and not line.startswith("#")}
        assert methods == {"scram-sha-256"}


def test_nothing_of_it_can_be_read_by_others(base):
    with embedded_server(base, settings=THROWAWAY) as server:
        modes = {
            path: path.stat().st_mode & 0o777
            for path in (base, base / "password", base / "server", base / "server" / "data", server.socket_dir)
        }
        log_mode = server.log_path.stat().st_mode & 0o777
        socket_mode = next(server.socket_dir.glob(".s.PGSQL.*[0-9]")).stat().st_mode & 0o777
    passable = 0o711 if os.geteuid() == 0 else 0o700
    assert list(modes.values()) == [passable, 0o600, 0o700, 0o700, 0o700]
    assert (log_mode, socket_mode) == (0o600, 0o700)
    assert len((base / "password").read_text()) >= 40


def test_its_url_and_itself_do_not_show_the_password(base):
    with embedded_server(base, settings=THROWAWAY) as server:
        password = (base / "password").read_text()
        assert password not in f"{server!r} {server} {server.url()!r} {server.url()}"
        command = Path(f"/proc/{server.pid}/cmdline").read_text()
        assert password not in command


def test_keys_of_the_environment_do_not_reach_it(base, monkeypatch):
    monkeypatch.setenv("NETRAVEN_ENCRYPTION_KEY", CANARY)
    monkeypatch.setenv("PGPASSWORD", CANARY)
    with embedded_server(base, settings=THROWAWAY) as server:
        environment = Path(f"/proc/{server.pid}/environ").read_bytes()
        assert b"LC_ALL=C" in environment
        assert CANARY.encode() not in environment


def test_settings_reach_the_server(base):
    with embedded_server(base, settings={**THROWAWAY, "log_statement": "all", "application_name": "it's me"}) as server:
        with sa.create_engine(server.url(), poolclass=sa.NullPool).connect() as connection:
            assert connection.execute(sa.text("SHOW application_name")).scalar() == "it's me"
            connection.execute(sa.text("SELECT 'seen in the log'"))
        assert "seen in the log" in server.log_path.read_text()


def test_a_server_that_does_not_start_names_its_log_and_is_left_alone(base):
    with (
        pytest.raises(EmbeddedServerError, match=r"server\.log says why"),
        embedded_server(base, settings={"shared_buffers": "none"}),
    ):
        pass
    with embedded_server(base, settings=THROWAWAY) as server:
        assert answers(server.url())


def test_a_lost_password_is_said_and_not_made_anew(base):
    password = base / "password"
    hidden = password.rename(base / "hidden")
    try:
        with pytest.raises(EmbeddedServerError, match="password is missing"), embedded_server(base):
            pass
    finally:
        hidden.rename(password)


def test_a_killed_initdb_leaves_nothing_that_looks_like_a_cluster(base):
    """The cluster gets its name when it is complete."""
    folder = base_folder("unfinished")
    (folder / "server").mkdir(parents=True)
    leftovers = folder / "server" / "data.new"
    leftovers.mkdir()
    (leftovers / "PG_VERSION").write_text("18\n")
    if os.geteuid() == 0:
        folder.chmod(0o711)
        owner = (base / "server").stat()
        for path in (folder / "server", leftovers, leftovers / "PG_VERSION"):
            os.chown(path, owner.st_uid, owner.st_gid)
    with embedded_server(folder, settings=THROWAWAY) as server:
        assert answers(server.url())
    assert not leftovers.exists()


def test_a_long_path_has_its_socket_elsewhere_for_its_time():
    folder = base_folder("long") / ("x" * 100)
    with embedded_server(folder, settings=THROWAWAY) as server:
        assert len(str(server.socket_dir)) < 90
        assert server.socket_dir.stat().st_mode & 0o777 == 0o700
        assert answers(server.url())
    assert not server.socket_dir.exists()


def test_who_came_before_the_last_one_left_starts_the_server_again_with_its_socket_elsewhere():
    account = server_account()
    folder = base_folder("again") / ("x" * 100)
    with embedded_server(folder, settings=THROWAWAY):
        home = open_home(folder, account)
    cluster = Cluster(home, account, find_binaries(account, home.data))
    cluster.start(None, THROWAWAY)
    assert cluster.is_running()
    # Killed, it leaves its socket in it, which is no reason not to leave.
    os.kill(cluster.pid, signal.SIGKILL)
    await_true(lambda: not cluster.is_running(), max_s=60)
    cluster.stop()
    assert not home.sockets.exists()


def test_users_that_come_at_once_share_one_server(base):
    with contextlib.ExitStack() as stack:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = [sys.executable, "-c", USER, str(base)]
        users = [stack.enter_context(subprocess.Popen(command, **pipes)) for _ in range(3)]
        pids = {user.stdout.readline() for user in users}
        for user in users:
            user.stdin.close()
    assert len(pids) == 1
    assert not runs(int(pids.pop()))
