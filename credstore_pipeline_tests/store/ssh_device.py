"""A device that speaks SSH on loopback, and a program that logs in to it with credentials of the store."""

import socket
import threading
from collections.abc import Iterable
from pathlib import Path

import paramiko

from credstore_pipeline.store import CredentialStore, TaggedCredential


class Rules(paramiko.ServerInterface):
    """Lets in whoever the device knows, and writes down who tried."""

    def __init__(self, device: "SshDevice") -> None:
        self._device = device

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        self._device.tried.append(username)
        known = self._device.passwords.get(username) == password
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._device.tried.append(username)
        known = self._device.keys.get(username) == key
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        channel.send(b"version of the device")
        channel.send_exit_status(0)
        # Not closed here: the answer to the request is still to be sent.
        channel.shutdown_write()
        return True


class SshDevice:
    """Listens on a free port of loopback until it is closed."""

    def __init__(self) -> None:
        self.passwords: dict[str, str] = {}
        self.keys: dict[str, paramiko.PKey] = {}
        self.tried: list[str] = []
        self._host_key = paramiko.ECDSAKey.generate()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._sessions: list[paramiko.Transport] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()
        for session in self._sessions:
            session.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            session = paramiko.Transport(client)
            self._sessions.append(session)
            session.add_server_key(self._host_key)
            session.start_server(server=Rules(self), event=threading.Event())


def ask_version(port: int, credential: TaggedCredential) -> str:
    """Log in and run one command.

    Raises:
        paramiko.AuthenticationException: If the device does not let this credential in.
    """
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1",
            port,
            username=credential["username"],
            password=credential["password"],
            key_filename=str(Path(credential["key_file"])) if credential["use_keys"] else None,
            look_for_keys=False,
            allow_agent=False,
            timeout=20,
        )
        _, output, _ = client.exec_command("show version")
        return output.read().decode()


def log_in(store: CredentialStore, tag_ids: Iterable[str], port: int) -> tuple[str, str] | None:
    """Try the credentials of a device's tags in their order until one logs in; every try is recorded."""
    for credential in store.get_credentials_for_tags(tag_ids):
        try:
            version = ask_version(port, credential)
        except paramiko.AuthenticationException:
            store.update_credential_status(credential["id"], credential["tag_id"], success=False)
            continue
        store.update_credential_status(credential["id"], credential["tag_id"], success=True)
        return credential["id"], version
    return None
