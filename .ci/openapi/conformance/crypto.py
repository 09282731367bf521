"""Keys of devices and users, signed as servers check them."""

import json
import secrets
from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def unpadded(data: bytes) -> str:
    return b64encode(data).decode().rstrip("=")


def curve25519_key() -> str:
    """Servers take it for what it is: 32 bytes."""
    return unpadded(secrets.token_bytes(32))


class SigningKey:
    """An Ed25519 key; without a name it is called as cross-signing keys are, by itself."""

    def __init__(self, name: str | None = None) -> None:
        self._private = Ed25519PrivateKey.generate()
        self.public = unpadded(self._private.public_key().public_bytes_raw())
        self.id = f"ed25519:{name or self.public}"

    def sign(self, value: dict[str, Any], user_id: str) -> dict[str, Any]:
        """The value with one more signature."""
        bare = {name: part for name, part in value.items() if name not in {"signatures", "unsigned"}}
        text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        signatures = {user: dict(keys) for user, keys in value.get("signatures", {}).items()}
        signatures.setdefault(user_id, {})[self.id] = unpadded(self._private.sign(text))
        return {**value, "signatures": signatures}


class DeviceKeys:
    """What a device uploads."""

    def __init__(self, user_id: str, device_id: str) -> None:
        self.user_id = user_id
        self.device_id = device_id
        self.signing = SigningKey(device_id)
        keys = {f"curve25519:{device_id}": curve25519_key(), self.signing.id: self.signing.public}
        algorithms = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"]
        self.keys = self.signing.sign({"user_id": user_id, "device_id": device_id, "algorithms": algorithms, "keys": keys}, user_id)

    def upload(self, one_time_keys: int) -> dict[str, Any]:
        one_time = {f"signed_curve25519:K{number}": self._signed_key() for number in range(one_time_keys)}
        fallback = {"signed_curve25519:F": self._signed_key(fallback=True)}
        return {"device_keys": self.keys, "one_time_keys": one_time, "fallback_keys": fallback}

    def _signed_key(self, **more: bool) -> dict[str, Any]:
        return self.signing.sign({"key": curve25519_key(), **more}, self.user_id)


class CrossSigningKeys:
    """The three keys of a user."""

    def __init__(self, user_id: str) -> None:
        self.master_key, self.self_signing_key, self.user_signing_key = SigningKey(), SigningKey(), SigningKey()
        self.master = _public_part(self.master_key, user_id, "master")
        self.self_signing = self.master_key.sign(_public_part(self.self_signing_key, user_id, "self_signing"), user_id)
        self.user_signing = self.master_key.sign(_public_part(self.user_signing_key, user_id, "user_signing"), user_id)

    def upload(self) -> dict[str, Any]:
        return {"master_key": self.master, "self_signing_key": self.self_signing, "user_signing_key": self.user_signing}


def _public_part(key: SigningKey, user_id: str, usage: str) -> dict[str, Any]:
    return {"user_id": user_id, "usage": [usage], "keys": {key.id: key.public}}
