"""Micrographs: grey images cut into patches, and back to PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from sozai.errors import UserError
from sozai.fields import image
from sozai.materials.dataset import Dataset, Material, Values

ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
MOST_PATCHES = 20_000


class Images(Material):
    """Grey images in [-1, 1], (channels, *spatial).

    Args:
        shape: of one image.
    """

    kind = "images"

    def __init__(self, shape: list[int]):
        self.shape = tuple(shape)

    def restore(self, values: Values) -> np.ndarray:
        """(rows, channels, *spatial) as grey levels 0 to 255."""
        return np.rint((values["image"] + 1) * 127.5).clip(0, 255).astype(np.uint8)

    def write(self, made: np.ndarray, folder: Path) -> list[Path]:
        """``samples.npy`` and, in two dimensions, a PNG each and ``contact_sheet.png``."""
        from PIL import Image

        paths = [folder / "samples.npy"]
        np.save(paths[0], made)
        if made.ndim == 4:
            for number, each in enumerate(made):
                paths.append(folder / f"sample-{number:04d}.png")
                Image.fromarray(each[0]).save(paths[-1])
            paths.append(folder / "contact_sheet.png")
            Image.fromarray(sheet(made[:64, 0])).save(paths[-1])
        return paths

    def to_dict(self) -> dict[str, Any]:
        """See ``Material``."""
        return {"kind": self.kind, "shape": list(self.shape)}


def sheet(images: np.ndarray, gap: int = 2, least: int = 96) -> np.ndarray:
    """Images (rows, height, width) side by side, near a square; small ones enlarged to about ``least`` pixels."""
    larger = max(1, least // max(images.shape[1:]))
    images = images.repeat(larger, 1).repeat(larger, 2)
    across = int(np.ceil(np.sqrt(len(images))))
    down = -(-len(images) // across)
    height, width = images.shape[1:]
    canvas = np.full((down * (height + gap) + gap, across * (width + gap) + gap), 255, dtype=np.uint8)
    for place, each in enumerate(images):
        top, left = (gap + (height + gap) * (place // across), gap + (width + gap) * (place % across))
        canvas[top : top + height, left : left + width] = each
    return canvas


def dataset_of(images: np.ndarray, levels: int = 0) -> Dataset:
    """(rows, channels, *spatial) in [-1, 1] as a dataset.

    Raises:
        UserError: other shapes or values.
    """
    if images.ndim not in (4, 5) or not (np.isfinite(images).all() and abs(images).max(initial=0) <= 1):
        raise UserError(f"images must be (rows, channels, *spatial) in [-1, 1], not {images.shape}", "images")
    shape = images.shape[1:]
    return Dataset(
        Images(list(shape)), {"image": image(*shape, levels=levels)}, {}, {"image": images.astype(np.float32)}
    )


def read_images(path: Path, size: int = 32) -> Dataset:
    """Patches of ``size`` pixels (edge) from all images of a file, folder or archive, in order, half overlapping.

    An ``.npy`` file holds finished grey images instead: (rows, channels, *spatial), bytes or numbers in [-1, 1].

    Raises:
        UserError: no image there, or all smaller than a patch.
    """
    from PIL import Image, UnidentifiedImageError

    from sozai.materials.crystal import Problem
    from sozai.materials.sources import walk

    if path.suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"the array cannot be read ({type(error).__name__})", str(path)) from error
        return dataset_of(array / 127.5 - 1 if array.dtype == np.uint8 else array)
    patches: list[np.ndarray] = []
    seen = 0
    for source in walk(path, lambda name: name.lower().endswith(ENDINGS)):
        if isinstance(source, Problem):
            continue
        try:
            with Image.open(io.BytesIO(source.read())) as opened:
                grey = np.asarray(opened.convert("L"))
        except (OSError, ValueError, UnidentifiedImageError) as error:
            raise UserError("the image cannot be read", source.name, "export it again") from error
        seen += 1
        patches += _patches(grey, size)
        if len(patches) >= MOST_PATCHES:
            break
    if not patches:
        raise UserError(
            f"none of {seen} images is as large as {size} pixels" if seen else "there are no images here",
            str(path),
            "choose smaller patches" if seen else f"give {', '.join(ENDINGS)}",
        )
    return dataset_of(np.stack(patches)[:, None].astype(np.float32) / 127.5 - 1)


def _patches(grey: np.ndarray, size: int) -> list[np.ndarray]:
    """Windows that overlap by half."""
    height, width = grey.shape
    step = max(1, size // 2)
    return [
        grey[top : top + size, left : left + size]
        for top in range(0, height - size + 1, step)
        for left in range(0, width - size + 1, step)
    ]
