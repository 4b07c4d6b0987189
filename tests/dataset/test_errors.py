"""The errors that a user can mend."""

from pathlib import Path

from dataset import errors
from dataset.errors import EngineBroken, TrayError


def test_each_error_has_its_own_exit_code() -> None:
    """TrayError is 1 and its children are 2 to 8, none twice."""
    codes = {
        name: one.exit_code
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, TrayError)
    }

    assert codes == {
        "TrayError": 1,
        "ConfigError": 2,
        "BrowserError": 3,
        "EngineBlocked": 4,
        "EngineBroken": 5,
        "NotEnoughImages": 6,
        "RunNotFound": 7,
        "FolderLocked": 8,
    }


def test_a_broken_engine_names_its_saved_page() -> None:
    """The path of the page goes along with the sentence."""
    error = EngineBroken("Expected tiles.", page=Path("page.html"))

    assert (str(error), error.page) == ("Expected tiles.", Path("page.html"))
