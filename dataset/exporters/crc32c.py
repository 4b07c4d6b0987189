"""CRC-32C (Castagnoli), the checksum of TFRecord, fast enough without a library: lanes of bytes side by side."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
POLYNOMIAL: Final = 0x82F63B78
LANE: Final = 64
"""Bytes per lane; each step takes four bytes of every lane at once."""


def _byte_table() -> Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> np.uint32(1)) ^ np.uint32(POLYNOMIAL), table >> np.uint32(1))
    return table.astype(np.uint32)


TABLE: Final = _byte_table()
_PLAIN: Final[list[int]] = TABLE.tolist()


def _word_tables() -> tuple[Words, ...]:
    """Return what each byte of a word does to the checksum three, two, one and no bytes later."""
    tables = [TABLE]
    for _ in range(3):
        tables.append(TABLE[tables[-1] & 0xFF] ^ (tables[-1] >> np.uint32(8)))
    return tuple(reversed(tables))


WORD_TABLES: Final = _word_tables()


def crc32c(data: bytes) -> int:
    """Return the checksum of ``data`` (RFC 3720, B.4)."""
    if len(data) <= LANE:
        return _of_few(data)
    # The checksum is linear: the start value is folded into the first four bytes, zeros in front change nothing.
    head = bytes(byte ^ 0xFF for byte in data[:4])
    lanes = 1 << max(0, (-(-len(data) // LANE) - 1).bit_length())
    padded = np.zeros(lanes * LANE, np.uint8)
    padded[len(padded) - len(data) :] = np.frombuffer(data, np.uint8)
    padded[len(padded) - len(data) :][:4] = np.frombuffer(head, np.uint8)
    words = padded.view("<u4").reshape(lanes, LANE // 4)
    state = np.zeros(lanes, np.uint32)
    for column in range(LANE // 4):
        state = _step(state ^ words[:, column])
    doubling = 0
    while len(state) > 1:
        state = _shift(state[0::2], doubling) ^ state[1::2]
        doubling += 1
    return int(state[0]) ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    """Return the checksum as TFRecord stores it, turned and shifted so that a checksum of checksums is safe."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _of_few(data: bytes) -> int:
    state = 0xFFFFFFFF
    for byte in data:
        state = _PLAIN[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state ^ 0xFFFFFFFF


def _step(words: Words) -> Words:
    """Return the checksums after four more bytes, which ``words`` holds together with the checksums before."""
    return _looked_up(words, WORD_TABLES)


def _looked_up(words: Words, tables: Sequence[Words]) -> Words:
    """Return what the tables make of each word's four bytes, joined."""
    found = [table[words >> np.uint32(8 * byte) & np.uint32(0xFF)] for byte, table in enumerate(tables)]
    return np.asarray(found[0] ^ found[1] ^ found[2] ^ found[3], np.uint32)


def _shift(state: Words, doubling: int) -> Words:
    """Return the checksums after ``LANE << doubling`` more bytes of zeros."""
    return _looked_up(state, _shift_tables(doubling))


@lru_cache(maxsize=64)
def _shift_tables(doubling: int) -> tuple[Words, ...]:
    values = [np.arange(256, dtype=np.uint32) << np.uint32(8 * byte) for byte in range(4)]
    if doubling == 0:
        for _ in range(LANE // 4):
            values = [_step(value) for value in values]
        return tuple(values)
    return tuple(_shift(_shift(value, doubling - 1), doubling - 1) for value in values)
