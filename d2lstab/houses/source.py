"""Where the house prices come from: the book's data hub, or a small file of the course's own."""

import hashlib
import http.client
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import pandas as pd

REAL = {
    "kaggle_house_pred_train.csv": "585e9cc93e70b39160e7921475f9bcd7d31219ce",
    "kaggle_house_pred_test.csv": "fa19780a7b011d9b009e8bff8e99922a8ee2eb90",
}
"""The competition's two files in the book's data hub, and their SHA-1 as the book has it."""

SMALL = Path(__file__).resolve().parent
CACHE = Path(os.path.expanduser("~"), ".cache", "d2lstab")
_ATTEMPTS = 3


@dataclass(frozen=True)
class Houses:
    """train : one row per sale, the price in "SalePrice". test : the same columns, no price.

    real : whether these are the competition's houses. where : a sentence that says what this is.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    real: bool
    where: str


def load(online: bool = False, folder: str | Path | None = None, hub: str | None = None) -> Houses:
    """Return the competition's houses if ``online`` and they can be had, else the course's own.

    online : False takes the small file, 240 and 160 invented houses (tools/make_houses.py), and
    the network is not touched. True takes the 1460 and 1459 sales in Ames, Iowa, that De Cock
    collected (2011; Kaggle, "House Prices"). They are fetched once, and used only if their SHA-1
    is the book's. Where that fails, the small file comes instead and `Houses.where` says why.
    folder : where the fetched files are kept, ~/.cache/d2lstab unless told otherwise; where it
    cannot be written, a temporary folder. hub : the address of the files, unless told otherwise
    d2l.DATA_URL; importing d2l takes some seconds.

    >>> houses = load()
    >>> houses.train.shape, houses.test.shape, houses.real
    ((240, 81), (160, 80), False)
    """
    problem = "the real ones were not asked for"
    if online:
        try:
            paths = _fetch_all(Path(folder) if folder else CACHE, hub)
        except (OSError, http.client.HTTPException, ImportError) as error:
            problem = f"the real ones could not be had: {error}"
        else:
            train, test = map(read, paths)
            where = f"the {len(train)} and {len(test)} houses of the Kaggle competition, real sales"
            return Houses(train, test, True, f"{where} (files in {paths[0].parent})")
    train, test = (read(SMALL / f"houses-{part}.csv") for part in ("train", "test"))
    where = f"the course's own {len(train)} and {len(test)} houses, all invented ({problem})"
    return Houses(train, test, False, where)


def read(path: str | Path) -> pd.DataFrame:
    """Return a table in which only NA and nothing at all are missing values.

    pandas 2 and later would take the word None, a kind of masonry veneer, for missing as well.

    >>> "None" in set(read(SMALL / "houses-train.csv")["MasVnrType"])
    True
    """
    return pd.read_csv(path, keep_default_na=False, na_values=["NA", ""])


def fetch(url: str, sha1: str, path: Path, timeout: float = 10.0) -> Path:
    """Fetch a file to ``path`` unless it is there already; return ``path``.

    sha1 : what the file must hash to. timeout : seconds without an answer after which to give up.
    What has come is kept in a file ``.part`` beside it, and the next attempt, or call, goes on from
    there. ``path`` itself appears only whole and checked.
    Raises OSError (urllib's URLError is one) where it cannot be fetched or is another file.
    """
    if _has(path, sha1):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(part, "ab"):  # an error here, not after the download, if the folder is read-only
        pass
    for _ in range(_ATTEMPTS):
        cut_short = _go_on(url, part, timeout)
        if _has(part, sha1):
            os.replace(part, path)
            return path
        if not cut_short:
            part.unlink()  # all is there, and it is wrong: from the start
    raise OSError(
        f"{url} is not the file that the book describes (another SHA-1), or did not come whole, in "
        f"{_ATTEMPTS} attempts; try again later, or use online=False."
    )


def _go_on(url: str, part: Path, timeout: float) -> bool:
    """Add to ``part`` what it lacks; return whether the server stopped before the end."""
    start = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urlopen(request, timeout=timeout) as answer:
            resumed = answer.status == 206  # else the server sends all of it again
            promised = int(answer.headers.get("Content-Length") or 0)
            with open(part, "ab" if resumed else "wb") as file:
                try:
                    shutil.copyfileobj(answer, file)
                except http.client.IncompleteRead as error:  # newer Pythons notice
                    file.write(error.partial)
    except OSError as error:
        if getattr(error, "code", None) != 416:  # there is nothing after ``start``
            raise
        return False
    return part.stat().st_size < promised + (start if resumed else 0)


def _fetch_all(folder: Path, hub: str | None) -> list[Path]:
    """Both files, in the folder or, where it cannot be written, in a temporary one."""
    spare = Path(tempfile.gettempdir()) / "d2lstab-houses"
    paths = []
    for name, sha1 in REAL.items():
        places = [place / name for place in (folder, spare)]
        path = next((place for place in places if _has(place, sha1)), None)
        if path is None:
            hub = hub or _book_hub()  # only now: with both files at hand nothing slow is imported
            path = fetch(hub + name, sha1, _writable(folder, spare) / name)
        paths.append(path)
    return paths


def _writable(folder: Path, spare: Path) -> Path:
    """The folder if files can be made in it, else the spare one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return spare


def _has(path: Path, sha1: str) -> bool:
    """Whether the file is there, can be read, and hashes to ``sha1``."""
    try:
        return hashlib.sha1(path.read_bytes()).hexdigest() == sha1  # under 500 kB
    except OSError:
        return False


def _book_hub() -> str:
    from d2lstab.book import d2l

    return d2l.DATA_URL
