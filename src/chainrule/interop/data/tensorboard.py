"""Event files of TensorBoard, written by hand: a few scalars need neither it nor protobuf.

A file is a sequence of records: the length (8 bytes), its masked CRC-32C, the data, its masked
CRC-32C (TensorFlow's ``record_writer.cc``). The data are an ``Event`` in the encoding of protocol
buffers: 1 the time (double), 2 the step (varint), 3 the version of the first record, 5 a
``Summary`` of values, each with 1 a tag and 2 a number (float) (``event.proto``,
``summary.proto``).
"""

from __future__ import annotations

import math
import os
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule.errors import FileAccessError

if TYPE_CHECKING:
    from chainrule.interop.data.listening import EpochReport

__all__ = ["EventFile"]

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed (RFC 3720, appendix B.4)


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_table_entry(byte) for byte in range(256)]


class EventFile:
    """Scalars of a training, for TensorBoard.

    Parameters
    ----------
    folder
        Made if it is not there. Each training has a file of its own in it.

    Raises
    ------
    FileAccessError
        The folder cannot be made or written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     events = EventFile(folder)
    ...     events.scalars(1, {"loss/training": 0.5})
    ...     events.close()
    ...     events.path.stat().st_size
    91
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self.path = Path(folder) / name
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("xb")
        except OSError as error:
            raise FileAccessError(
                f"the events cannot be written: {error.strerror}.", f"file: {self.path}"
            ) from error
        self._record(_double(1, time.time()) + _bytes(3, b"brain.Event:2"))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write numbers, each under its tag; those that are not finite are left out."""
        summary = b"".join(
            _bytes(1, _bytes(1, tag.encode()) + _float(2, x))
            for tag, x in values.items()
            if math.isfinite(x)
        )
        event = _double(1, time.time()) + _tag(2, 0) + _varint(step) + _bytes(5, summary)
        self._record(event)

    def write(self, report: EpochReport) -> None:
        """Write what is known of an epoch."""
        self.scalars(
            report.epoch,
            {
                "loss/training": report.loss,
                "loss/validation": report.validation_loss,
                "learning rate": report.learning_rate,
                "examples per second": report.examples_per_second,
                **{f"gradient norm/{layer}": x for layer, x in report.layers.items()},
            },
        )

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def _record(self, data: bytes) -> None:
        length = struct.pack("<Q", len(data))
        self._file.write(length + _masked(length) + data + _masked(data))
        self._file.flush()  # TensorBoard reads along


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of some bytes.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))  # the check value of RFC 3720
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(x: int) -> bytes:
    parts = bytearray()
    while x > 0x7F:
        parts.append(x & 0x7F | 0x80)
        x >>= 7
    return bytes([*parts, x])


def _bytes(number: int, data: bytes) -> bytes:
    return _tag(number, 2) + _varint(len(data)) + data


def _double(number: int, x: float) -> bytes:
    return _tag(number, 1) + struct.pack("<d", x)


def _float(number: int, x: float) -> bytes:
    return _tag(number, 5) + struct.pack("<f", x)
