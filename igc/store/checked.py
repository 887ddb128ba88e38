"""A zarr folder in which a chunk that is missing or damaged ends the reading with an error that names its file."""

from __future__ import annotations

import google_crc32c
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from igc.errors import ChecksumError, StoreError, explain

__all__ = ["CheckedStore"]

_REMEDY = "delete the store and make it again, or copy it again"


def _is_chunk(key: str) -> bool:
    *folders, file = key.split("/")
    return "c" in [*folders[1:], file] and file != "zarr.json" and not file.startswith(".")


class CheckedStore(LocalStore):
    """A folder whose chunks all exist, each with the CRC-32C of its bytes at its end.

    zarr itself would read a missing chunk as zeros, and name neither folder nor file of a damaged one. It takes the
    same arguments as :class:`zarr.storage.LocalStore`.
    """

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the bytes of a file, or None where there is none and none has to be.

        Raises
        ------
        StoreError
            If a chunk is missing.
        ChecksumError
            If a chunk's bytes are not those that were written.
        """
        found = await super().get(key, prototype, byte_range)
        if not _is_chunk(key):
            return found
        if found is None:
            raise StoreError(explain(self.root / key, "no such file", "every chunk of the store", _REMEDY))
        if byte_range is None:
            content = found.to_bytes()
            if google_crc32c.value(content[:-4]).to_bytes(4, "little") != content[-4:]:
                seen = "damaged data (another checksum)"
                raise ChecksumError(explain(self.root / key, seen, "the bytes that were written", _REMEDY))
        return found
