"""Frozen vectors: texts made once, apart from the project's code, with made-up keys."""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PASSWORD = "pässwörd ✓ 1"
KEY = "vector-key-0123456789"
SHORT_KEY = "short-key"
OWN_SALT = "operators-own-salt"
FILE_KEY_ID = "key_0a1b2c3d"

RAW_KEY = "O6CCH-wslziv-EKrqfkUYTPfU784Fn0hCC6izUTLpaQ="
"""A Fernet key in its own text form: that of `FILE_KEY_ID`, and one of the keys in BACKUP."""

BACKUP_PASSWORD = "backup-pass"

TOKEN = (
    "gAAAAABn2_tx1XnxZdbjZprNDgdcwuR-30KfmBEsOcSIVbxOJEyWPeBLpacFpxX5WI6YY54tcK2xBQFPT9bPoSrj"
    "er1gesqtUhfOESxO1Gw7VqxP9BFrQjM="
)

ENVELOPE_DEFAULT = (
    '{"key_id": "default", "encrypted_data": "Z0FBQUFBQm4yX3R5d1Roblc5Tjhma2t4Z21TcjgyTjVRb3R'
    "PTWg1aGNVS0RoNGlwQTJNS09nODIzRlJoOUZKVEJvQ18yclpBalc0cXZqQlVXNFBoZ0FsODMzUjNfZUNIeVpDaHJ"
    'uT0M2cE5ySkhvQmVBc0dOMjg9", "version": "1.0"}'
)

ENVELOPE_ENV = (
    '{"key_id": "env_25b971e0", "encrypted_data": "Z0FBQUFBQm4yX3R6N1VORWMtMHNTeTg3NVgteEhTYW'
    "0zel9YaHZudi1FNFV4WEtRdGM5NmI0bl9PLUZDUlZqOEpKdGNVcVk0ZVR5QXJHdVdqV0tNUXhNTUxjWmNqUktwQU"
    '9iU3NDcG14ZXVHU0dLYXo4a256TXc9", "version": "1.0"}'
)

ENVELOPE_ENV_PADDED = (
    '{"key_id": "env_a2a06e3b", "encrypted_data": "Z0FBQUFBQm4yX3QwblBVbzA2M1IxLWJsd1I3cXVZel'
    "Y5LXhwX2NpV1VDbFV0d2lCa2RTUnA0ajQydm9zNUxyZGFGSWVBZUpwR2lHQW1vVUtrNnNSMEVTN0JYSGVKTU1ib0"
    'F5d2FrWmVNUV9sOGkzSUxFb2NFdU09", "version": "1.0"}'
)

ENVELOPE_KEY = (
    '{"key_id": "key_0a1b2c3d", "encrypted_data": "Z0FBQUFBQm4yX3Qxamg1SnpET084Q2x4Mm0zMjJnTk'
    "x5VjNvQjZnTGhBWW1kb0lkTlVIQkxnTVBlcnBjQnlwSUU5UURmWlBGRDlwMkF1NDZ3TFZrQVBzVkRuT3ZYVWtYX3"
    'NvOV92bzBBTGtkdU9uVUFnTzdHaFU9", "version": "1.0"}'
)

HEAD_DEFAULT_SALT = (
    "gAAAAABn2_t2avLWZFRfVjmCq4poiBN6_1-Xw400T-rYuRlIcseSNvJcN8DVf9W42nZELNa_WRqLTfU-k1aYRAu3"
    "pYYcX0Yi5SrKiTvBp_8_-es2z5147uw="
)

HEAD_PROD_SALT = (
    "gAAAAABn2_t3K-fBUbt5D2Wz0j-c53VbvpeR7tRqs3b7Ox_9Ml5FKjAmuAomlggbn9hWti1nCmYDDjYZuJr7k2j7"
    "fnmNjbajBTSdD__fniZvBvgFgdbhv20="
)

HEAD_DEV_SALT = (
    "gAAAAABn2_t40lceqmvFjfd56GjBcxS_qIaezGZr3MTI9xARt-rlzfQjt69ke6Ru_P_CDnG9jRupO_wiJt26UcLG"
    "hbmd0B3-gzVW_sxGVBrl8V480FkodpU="
)

HEAD_OWN_SALT = (
    "gAAAAABn2_t5GOkgJM0AI7gAhRZvfjL9N1xJ5M8P2JwkPx5ErEutzUzgvKcCBPc6L-q2Jft6zEiRTPjEqDVH75SS"
    "6Ta2nTD8Ftraf6u2U0PJmeP1SJJhlag="
)

NO_KEY_ID = (
    '{"encrypted_data": "Z0FBQUFBQm4yX3Q2ZVU4X1RTbXJwMU9pS1F5cDV0aTRYcENjeEdHbUNJYlljX3JFRG9Z'
    "ZFI3TGhFLWpfSXVSdHRLS1BFQnd0Y2hoMzJTaUlSb3h6YmszUlJzYkN5TjNLSFdENkdHV2MwTVN3SUhmS2ZZMExB"
    'eEU9", "version": "1.0"}'
)

NO_VERSION = (
    '{"key_id": "default", "encrypted_data": "Z0FBQUFBQm4yX3Q2ZVU4X1RTbXJwMU9pS1F5cDV0aTRYcEN'
    "jeEdHbUNJYlljX3JFRG9ZZFI3TGhFLWpfSXVSdHRLS1BFQnd0Y2hoMzJTaUlSb3h6YmszUlJzYkN5TjNLSFdENkd"
    'HV2MwTVN3SUhmS2ZZMExBeEU9"}'
)

COMPACT = (
    '{"key_id":"default","encrypted_data":"Z0FBQUFBQm4yX3Q2ZVU4X1RTbXJwMU9pS1F5cDV0aTRYcENjeE'
    "dHbUNJYlljX3JFRG9ZZFI3TGhFLWpfSXVSdHRLS1BFQnd0Y2hoMzJTaUlSb3h6YmszUlJzYkN5TjNLSFdENkdHV2"
    'MwTVN3SUhmS2ZZMExBeEU9","version":"1.0"}'
)

BLANKS = (
    '  \n{\n  "key_id": "default",\n  "encrypted_data": "Z0FBQUFBQm4yX3Q2ZVU4X1RTbXJwMU9pS1F5cDV'
    "0aTRYcENjeEdHbUNJYlljX3JFRG9ZZFI3TGhFLWpfSXVSdHRLS1BFQnd0Y2hoMzJTaUlSb3h6YmszUlJzYkN5TjN"
    'LSFdENkdHV2MwTVN3SUhmS2ZZMExBeEU9",\n  "version": "1.0"\n}\t\n'
)

BARE_INSIDE = (
    '{"key_id": "default", "encrypted_data": "gAAAAABn2_t6eU8_TSmrp1OiKQyp5ti4XpCcxGGmCIbYc_r'
    'EDoYdR7LhE-j_IuRttKKPEBwtchh32SiIRoxzbk3RRsbCyN3KHWD6GGWc0MSwIHfKfY0LAxE=", "version": "'
    '1.0"}'
)

TWICE = (
    '{"key_id": "key_0a1b2c3d", "encrypted_data": "Z0FBQUFBQm4yX3Q3azJVRWJBakl1OW1oenZNUXYyV3'
    "p1MTlkemxnR0dIbV9vay04SVdTNF95NjlwSzBLRV9oNzBPTjZxVGhYY2hrWEFxamdEbWpVakhQYmMyUTkzYkFpVV"
    "JhUWRqVTd0Wk5sY0NZX2FxVlpPVVhNZWZwYWo2Nm5YcHJJWXB2QWlsUTlSQTRVb2N2ck9IenQ5UnRZNGdsWFZybE"
    "9ORFRDQ1ZvOFVjaC1BeGtoelBjSHJUVXBwSUJOVVhXdWJ4azlmS2lFQWp0OHBTUzYyeGYyMzc0TTFkaGVONEhMZG"
    "ZfeUI3VTQ0X2VCQ01YUTcwTHF1TmE2M2RtMjYtUVZ0ZHA1bE5qeXJaOURZbFdZd1c4aDFab28tREFrUUI2VUhRRV"
    "pIOWRQdEd5LWVHUHlEcGpfVWNmS180SW9PLXAyT24zMzkyM3cxUzJaNE9xRVZZejZKcWlIdkNUQ3lpakRCQ0t4LV"
    'RQcmEwVnd2MWpuSHYwPQ==", "version": "1.0"}'
)

PUBLISHED = (
    '{"key_id": "default", "encrypted_data": "Z0FBQUFBQm4yX3Q4YzNycnBvZ25wazRydGlESklaLVpPdkV'
    "DM29YTnRqN1dESXJGczhTbW5LdWowQVVHNzB3Vk8xYUZobEYzdFowNURkUVE4clZBek90X2JCQ0IwbEE2MlduU0Z"
    'vSC1WdVBkM1RQTE4zMllBWUk9", "version": "1.0"}'
)

BACKUP = (
    '{"format": "netraven_key_backup", "version": "1.0", "encrypted_data": "gAAAAABn2_t92bk3P'
    "CzgqAmXrS7WdYhdKa9TEQhSpiqPxY0ug-Y_0VMKsR74fMeeafwsD5hw5U7FweGf7to2zYstTM_q4IlGWf2Ox3Zta"
    "_0BLq0mdsPN1CS_gQpcQ2xML-Nu0Gv3p6oksyCpdx4lsHWyqXdDqcq3QLP4SEHHnQzY3epsTMvsUyLDMyTxD4_Z_"
    "gv3TI9qaPIGvKQdwxZeyehOq-CmJwTZVRjMG62Wmlt10ClyuimMBQT3RnpEVe4VqhHCrargJUbOsHxw3ReltEOdK"
    "Xr2I1WVvPcsl2hX8mBd6GNveWjbDCn3YLwgYgLhQkXYq9DORziYLLn64UQcjM9wi_ggp3QY3PJ1WAMNyYGsng6tp"
    'yMqXRo="}'
)


def sha256_of(string: str) -> bytes:
    """The key of bare tokens and envelopes `default`, derived by hand."""
    return hashlib.sha256(string.encode()).digest()


def made_token(key: bytes, plaintext: bytes, iv: bytes = b"\1" * 16, time_s: int = 1_742_470_000) -> bytes:
    """A token put together by hand."""
    padding = 16 - len(plaintext) % 16
    cipher = Cipher(algorithms.AES(key[16:]), modes.CBC(iv)).encryptor()
    sealed = cipher.update(plaintext + bytes([padding]) * padding) + cipher.finalize()
    body = b"\x80" + time_s.to_bytes(8, "big") + iv + sealed
    return base64.urlsafe_b64encode(body + hmac.digest(key[:16], body, "sha256"))


def made_envelope(token: bytes, key_id: str = "default") -> bytes:
    """An envelope as the application's json.dumps writes it."""
    payload = base64.b64encode(token).decode()
    return json.dumps({"key_id": key_id, "encrypted_data": payload, "version": "1.0"}).encode()
