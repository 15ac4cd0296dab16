"""Makes screenshots small: stores them with at most 256 colours, which look the same and take a third of the space."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Page

COLOURS = 256
DECODE = """async data => {
    const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0))
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }))
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
    context.drawImage(bitmap, 0, 0)
    const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data
    const text = await new Promise(done => {
        const reader = new FileReader()
        reader.onload = () => done(reader.result)
        reader.readAsDataURL(new Blob([pixels]))
    })
    return [bitmap.width, bitmap.height, text.slice(text.indexOf(',') + 1)]
}"""
"""JavaScript that returns a picture's width, height and pixels. A browser decodes it, as Python has no decoder."""


def small(page: Page, png: bytes) -> bytes:
    """Returns a picture with at most :data:`COLOURS` colours.

    Args:
        page: a page of a browser, which decodes the picture.
        png: the picture.
    """
    width, height, text = page.evaluate(DECODE, base64.b64encode(png).decode())
    pixels = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)[:, :, :3]
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
    parts = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.int32)
    palette = _palette(parts[np.argsort(-counts, kind="stable")])
    nearest = np.array([_distances(palette, one).argmin() for one in parts], np.uint8)
    rows = nearest[places.reshape(height, width)]
    # Each row begins with the number of its filter; none compresses a palette's numbers best.
    data = np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = (b"IHDR", header), (b"PLTE", palette.astype(np.uint8).tobytes()), (b"IDAT", zlib.compress(data, 9))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in (*chunks, (b"IEND", b"")))


def _palette(frequent: np.ndarray) -> np.ndarray:
    """Chooses colours such that every colour is near to one of them. The most frequent ones come first."""
    reach = 2.0
    while True:
        chosen = np.empty((COLOURS, 3), np.int32)
        count = 0
        for colour in frequent:
            if count and _distances(chosen[:count], colour).min() <= reach * reach:
                continue
            if count == COLOURS:
                break
            chosen[count] = colour
            count += 1
        else:
            return chosen[:count]
        reach *= 1.3


def _distances(colours: np.ndarray, one: np.ndarray) -> np.ndarray:
    """Returns the squared distances of colours from one colour."""
    return np.asarray(((colours - one) ** 2).sum(axis=1))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
