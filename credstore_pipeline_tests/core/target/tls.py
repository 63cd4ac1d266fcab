"""TLS in front of a database that has none: the embedded server is built without it, the driver is not."""

import datetime as dt
import select
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from credstore_pipeline.core.deployment import Target

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""What a driver sends first if it wants TLS (PostgreSQL's documentation, "Message Formats", SSLRequest)."""
YES = b"S"


@contextmanager
def encrypted(target: Target, *, says_goodbye: bool = False) -> Iterator[Target]:
    """Stand between a run and the target, TLS on the run's side, for as long as the block lasts.

    Args:
        target: The database, through a socket's folder; a `lossy` one loses its connections here too.
        says_goodbye: Whether a connection that the database closed is closed as TLS has it (close_notify, as a server
            does that ends), or torn (as one that crashed, or a firewall).
    """
    folder = Path(tempfile.mkdtemp(prefix="credstore-tls-"))
    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_cert_chain(_self_signed(folder / "server.pem"))
    query = target.url.query
    server = f"{query['host']}/.s.PGSQL.{query['port']}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=_serve, args=(listener, certificate, server, says_goodbye), daemon=True)
        accepting.start()
        url = target.url.set(host="127.0.0.1", port=listener.getsockname()[1], query={})
        try:
            yield Target(url.update_query_dict({"sslmode": "require", "gssencmode": "disable"}), target.schema)
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            shutil.rmtree(folder)


def _serve(listener: socket.socket, certificate: ssl.SSLContext, server: str, says_goodbye: bool) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_forward, args=(client, certificate, server, says_goodbye), daemon=True).start()


def _forward(client: socket.socket, certificate: ssl.SSLContext, server: str, says_goodbye: bool) -> None:
    with client, suppress(OSError), socket.socket(socket.AF_UNIX) as behind:
        assert client.recv(len(SSL_REQUEST), socket.MSG_WAITALL) == SSL_REQUEST
        client.sendall(YES)
        with certificate.wrap_socket(client, server_side=True, suppress_ragged_eofs=True) as line:
            behind.connect(server)
            # One thread for both ways: OpenSSL does not read and write one connection at once.
            while True:
                if line.pending() or line in select.select([line, behind], [], [])[0]:
                    if not (sent := line.recv(1 << 16)):
                        return
                    behind.sendall(sent)
                elif sent := behind.recv(1 << 16):
                    line.sendall(sent)
                else:
                    if says_goodbye:
                        line.unwrap()
                    return


def _self_signed(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path
