"""The door of the survey: any folder of pictures, whatever its form."""

from collections.abc import Generator
from pathlib import Path

from dataset.errors import TrayError
from dataset.folder import MANIFEST, METADATA
from dataset.progress import Progress
from dataset.report.built import built
from dataset.report.holdings import Survey
from dataset.report.looks import AS_EVER
from dataset.report.raw import raw
from dataset.tray import Build


def survey(folder: Path, settings: Build = AS_EVER) -> Generator[Progress, None, Survey]:
    """Return what a class folder, a folder of class folders or a built dataset holds; yield Progress meanwhile.

    Raw pictures are flagged by the limits of ``settings``; a dataset knows its own flags. Raises
    TrayError when there is nothing in it to tell of.
    """
    if not folder.is_dir():
        raise TrayError(
            f"Expected a folder with pictures. Received: {folder}, which is not a folder. Name another folder."
        )
    root = folder.resolve()
    try:
        found = built(root) if (root / METADATA).is_file() else None
        found = found or (yield from raw(root, settings))
    except OSError as error:
        raise TrayError(
            f"Expected to read {folder}. Received: {error.strerror or error}. Mend its rights and try again."
        ) from error
    except (ValueError, TypeError) as error:
        raise TrayError(
            f"Expected a JSON object on each line of {MANIFEST} in {folder}. Received: {error}. Take that line out."
        ) from error
    if not found.pictures and not found.refused:
        raise TrayError(
            f"Expected a class folder (such as data/raw/pizza), a folder of class folders (data/raw) or a built "
            f"dataset (data/built/pizza). Received: {folder}, with no picture and no manifest in it. "
            f"Name another folder."
        )
    return found
