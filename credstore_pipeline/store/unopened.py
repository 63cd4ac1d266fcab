"""A password as it is stored, for results of which few passwords are needed."""

from typing import NoReturn, Self

from credstore_pipeline.store.vault import Vault


class Unopened:
    """A stored password that is opened whenever it is asked for, and kept in no other form than it is stored."""

    __slots__ = ("_credential_id", "_stored", "_vault")

    def __init__(self, stored: str | None, credential_id: str, vault: Vault) -> None:
        """Hold what a row holds."""
        self._stored, self._credential_id, self._vault = stored, credential_id, vault

    def open(self) -> str | None:
        """Return the password; None for NULL and ''.

        Raises:
            SecretUnopenable: If no key opens it. Never returns ciphertext.
        """
        return self._vault.open(self._stored, self._credential_id)

    def is_password(self) -> bool:
        """Tell whether there is anything to open."""
        return bool(self._stored)

    def __eq__(self, other: object) -> bool:
        """Tell whether the same is stored."""
        return isinstance(other, Unopened) and (self._stored, self._vault) == (other._stored, other._vault)

    def __hash__(self) -> int:
        """Go with equality."""
        return hash(self._stored)

    def __repr__(self) -> str:
        """Show nothing of it."""
        return "Unopened()"

    def __copy__(self) -> Self:
        """Return itself: nothing of it ever changes."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Return itself: nothing of it ever changes."""
        return self

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the keys would have to go along."""
        raise TypeError("an unopened password is not pickled; pickle asdict() where a password in clear may go")
