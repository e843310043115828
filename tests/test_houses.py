"""Houses: the table arrives whole or not at all, and nothing of the test part is learned from."""

import hashlib
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import make_houses
import numpy as np
import pandas as pd
import pytest
import tomllib
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import KFold, cross_val_score
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from d2lstab.houses import source
from d2lstab.houses.source import fetch, load
from d2lstab.houses.table import Preparation, folds, log_prices, log_rmse, submission

ROOT = Path(__file__).resolve().parent.parent
HOUSES = load()
FILE = bytes(range(256)) * 40
SHA1 = hashlib.sha1(FILE).hexdigest()


# Where the table comes from.


@contextmanager
def hub(files, cut=0, ranges=True):
    """Serve files by name; the first ``cut`` answers stop half-way, as if the line had broken.

    Gives an object with the address and the Range header (or None) of every request.
    """
    seen = SimpleNamespace(ranges=[], left=cut)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802, the library's name
            asked, body = self.headers["Range"], files.get(self.path[1:])
            seen.ranges.append(asked)
            start = int(asked[6:-1]) if asked and ranges else 0
            if body is None or start >= len(body):
                return self.send_error(404 if body is None else 416)
            self.send_response(206 if start else 200)
            rest = body[start:]
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: len(rest) // 2] if seen.left > 0 else rest)
            seen.left -= 1

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        seen.url = f"http://127.0.0.1:{server.server_port}/"
        try:
            yield seen
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def book(monkeypatch, tmp_path):
    """Let two small tables stand for the real files; temporary files go to ``tmp_path``/spare."""
    files = {name: f"Id,X\n{i},NA\n".encode() for i, name in enumerate(source.REAL)}
    sums = {name: hashlib.sha1(body).hexdigest() for name, body in files.items()}
    monkeypatch.setattr(source, "REAL", sums)
    (tmp_path / "spare").mkdir()
    monkeypatch.setattr(source.tempfile, "tempdir", str(tmp_path / "spare"))
    return files


def test_offline_is_the_default_and_touches_no_network(monkeypatch):
    monkeypatch.setattr(source, "urlopen", None)
    houses = load()
    assert not houses.real and "invented" in houses.where and "not asked for" in houses.where
    assert houses.train.shape == (240, 81) and houses.test.shape == (160, 80)
    assert list(houses.train.columns[:-1]) == list(houses.test.columns)


def test_real_houses_are_fetched_once_and_then_read_from_the_folder(book, tmp_path):
    with hub(book) as server:
        houses = load(online=True, folder=tmp_path / "new", hub=server.url)
        assert houses.real and "1 and 1 houses of the Kaggle competition" in houses.where
    again = load(online=True, folder=tmp_path / "new", hub=server.url)  # the server is gone
    assert again.real and len(server.ranges) == 2
    assert houses.train["Id"].tolist() == [0] and again.test["X"].isna().all()


def test_the_book_says_where_the_files_are(book, tmp_path, monkeypatch):
    with hub(book) as server:
        fake = SimpleNamespace(d2l=SimpleNamespace(DATA_URL=server.url))
        monkeypatch.setitem(sys.modules, "d2lstab.book", fake)
        assert load(online=True, folder=tmp_path).real


def test_without_network_the_small_table_comes_and_says_why(book, tmp_path):
    with hub(book) as server:
        pass
    houses = load(online=True, folder=tmp_path, hub=server.url)
    assert not houses.real and len(houses.train) == 240
    assert "could not be had" in houses.where and "refused" in houses.where


@pytest.mark.parametrize("ranges", [True, False])
def test_half_a_file_is_completed(tmp_path, ranges):
    with hub({"f": FILE}, cut=2, ranges=ranges) as server:
        assert fetch(server.url + "f", SHA1, tmp_path / "f").read_bytes() == FILE
    got = len(FILE) // 2
    assert server.ranges[:2] == [None, f"bytes={got}-"]
    assert server.ranges[2] == f"bytes={got + got // 2 if ranges else got}-"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_what_an_earlier_call_left_is_gone_on_from(tmp_path):
    (tmp_path / "f.part").write_bytes(FILE[:1000])
    with hub({"f": FILE}) as server:
        fetch(server.url + "f", SHA1, tmp_path / "f")
    assert server.ranges == ["bytes=1000-"] and (tmp_path / "f").read_bytes() == FILE


@pytest.mark.parametrize("rest", [b"wrong", FILE + b"too long"])
def test_a_wrong_rest_is_thrown_away(tmp_path, rest):
    (tmp_path / "f.part").write_bytes(rest)
    with hub({"f": FILE}) as server:
        fetch(server.url + "f", SHA1, tmp_path / "f")
    assert len(server.ranges) == 2 and (tmp_path / "f").read_bytes() == FILE


def test_a_damaged_file_in_the_folder_is_fetched_again(book, tmp_path):
    name = next(iter(book))
    (tmp_path / name).write_bytes(book[name][:-1] + b"!")
    with hub(book) as server:
        assert load(online=True, folder=tmp_path, hub=server.url).real
    assert (tmp_path / name).read_bytes() == book[name]


def test_another_file_is_refused(book, tmp_path):
    with hub(dict.fromkeys(book, b"<html>please log in</html>")) as server:
        houses = load(online=True, folder=tmp_path, hub=server.url)
    assert not houses.real and "SHA-1" in houses.where
    assert not any((tmp_path / name).exists() for name in book)


def test_a_folder_that_cannot_be_written_is_replaced_by_a_temporary_one(book, tmp_path):
    (tmp_path / "file").write_text("")
    with hub(book) as server:
        for _ in range(2):
            houses = load(online=True, folder=tmp_path / "file" / "in", hub=server.url)
            assert houses.real and str(tmp_path / "spare") in houses.where
    assert len(server.ranges) == 2


def test_a_full_folder_need_not_be_writable(book, tmp_path, monkeypatch):
    for name, body in book.items():
        (tmp_path / name).write_bytes(body)
    monkeypatch.setattr(source.tempfile, "TemporaryFile", None)
    assert load(online=True, folder=tmp_path, hub="unused").real


# The small table.


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_script_makes_the_stored_file_byte_for_byte(part):
    stored = (make_houses.FOLDER / f"houses-{part}.csv").read_bytes()
    assert make_houses.text(part).encode() == stored


def test_the_stored_files_are_installed_with_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (pattern,) = project["tool"]["setuptools"]["package-data"]["d2lstab"]
    assert {*(ROOT / "d2lstab").glob(pattern)} == {*make_houses.FOLDER.glob("houses-*.csv")}
    assert len([*make_houses.FOLDER.glob("houses-*.csv")]) == 2


def test_invented_houses_hold_together():
    everyone = pd.concat([HOUSES.train.drop(columns="SalePrice"), HOUSES.test])
    assert everyone["Id"].tolist() == list(range(1, 401))
    floors = everyone[["1stFlrSF", "2ndFlrSF", "LowQualFinSF"]].sum(axis=1)
    assert (floors == everyone["GrLivArea"]).all()
    parts = everyone[["BsmtFinSF1", "BsmtFinSF2", "BsmtUnfSF"]].sum(axis=1)
    assert (parts == everyone["TotalBsmtSF"]).sum() == everyone["TotalBsmtSF"].notna().sum()
    for kind, empty in {"Garage": "GarageArea", "Pool": "PoolArea"}.items():
        words = everyone[[c for c in everyone if c.startswith(kind) and c not in NUMBERS]]
        assert (words.isna().all(axis=1) == (everyone[empty] == 0)).all()
    assert (everyone["YearBuilt"] <= everyone["YrSold"]).all()


NUMBERS = ("GarageCars", "GarageArea", "GarageYrBlt", "PoolArea")


def test_gaps_stand_where_the_real_table_has_them():
    gaps = HOUSES.train.columns[HOUSES.train.isna().any()]
    nineteen = (
        "LotFrontage Alley MasVnrType MasVnrArea BsmtQual BsmtCond BsmtExposure BsmtFinType1 "
        "BsmtFinType2 Electrical FireplaceQu GarageType GarageYrBlt GarageFinish GarageQual "
        "GarageCond PoolQC Fence MiscFeature"
    )
    assert set(gaps) == set(nineteen.split())
    assert (HOUSES.train["MasVnrType"] == "None").any()  # a word, which pandas may take for a gap
    assert HOUSES.test["GarageCars"].isna().any() and HOUSES.test["MSZoning"].isna().any()


def test_the_small_table_s_inputs_shift_but_moderately():
    inputs = Preparation.fit(HOUSES.train)
    pooled = torch.cat([inputs.transform(HOUSES.train), inputs.transform(HOUSES.test)]).numpy()
    numbers = pooled[:, : len(inputs.mean)]
    origin = np.repeat([0, 1], [240, 160])
    teller = LogisticRegression(C=0.01, max_iter=500)
    auc = cross_val_score(teller, numbers, origin, cv=5, scoring="roc_auc").mean()
    assert 0.6 < auc < 0.85


# From the table to tensors.


def kinds(frame):
    """The names of the columns of numbers and of words, told without pandas' types."""
    inputs = frame.drop(columns=["Id", "SalePrice"], errors="ignore")
    words = [c for c in inputs if any(isinstance(value, str) for value in inputs[c])]
    return [c for c in inputs if c not in words], words


def test_numbers_are_standardized_as_by_scikit_learn():
    numbers, _ = kinds(HOUSES.train)
    scaler = StandardScaler().fit(HOUSES.train[numbers].astype(float))
    prepared = Preparation.fit(HOUSES.train)
    assert list(prepared.mean) == numbers
    for frame in (HOUSES.train, HOUSES.test):
        expected = np.nan_to_num(scaler.transform(frame[numbers].astype(float)))
        found = prepared.transform(frame)[:, : len(numbers)].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_words_are_encoded_as_by_scikit_learn():
    _, words = kinds(HOUSES.train)
    as_objects = [
        frame[words].astype(object).where(frame[words].notna(), np.nan)
        for frame in (HOUSES.train, HOUSES.test)
    ]
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(as_objects[0])
    prepared = Preparation.fit(HOUSES.train)
    for frame, plain in zip((HOUSES.train, HOUSES.test), as_objects, strict=True):
        found = prepared.transform(frame)[:, len(prepared.mean) :].numpy()
        np.testing.assert_array_equal(found, encoder.transform(plain))
    names = [name.replace("_nan", "=missing") for name in encoder.get_feature_names_out()]
    found = [name.replace("=", "_", 1) for name in prepared.columns[len(prepared.mean) :]]
    assert [name.replace("_missing", "=missing") for name in found] == names


def test_changing_held_out_rows_never_changes_the_training_inputs():
    fold = folds(240, 5)[0]
    changed = HOUSES.train.copy()
    rows = fold.held_out.tolist()
    changed.loc[rows, "LotArea"] = 10**6
    changed.loc[rows, "MSZoning"] = "a zone of their own"
    train = HOUSES.train.iloc[fold.train.tolist()]
    prepared = Preparation.fit(train)
    assert prepared == Preparation.fit(changed.iloc[fold.train.tolist()])
    inputs = prepared.transform(train)
    prepared.transform(changed)
    assert torch.equal(prepared.transform(train), inputs)


def test_each_row_is_transformed_by_itself():
    prepared = Preparation.fit(HOUSES.train)
    together = prepared.transform(HOUSES.test.iloc[:6])
    alone = torch.cat([prepared.transform(HOUSES.test.iloc[[i]]) for i in range(6)])
    assert torch.equal(together, alone)


def test_prices_and_numbers_of_rows_are_no_inputs():
    prepared = Preparation.fit(HOUSES.train)
    assert not {"Id", "SalePrice"} & {name.split("=")[0] for name in prepared.columns}
    shuffled = HOUSES.train.assign(Id=0, SalePrice=1)
    assert torch.equal(prepared.transform(shuffled), prepared.transform(HOUSES.train))


@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_words_may_come_in_any_of_pandas_types(kind):
    train = pd.DataFrame({"x": pd.Series(["b", None, "a"], dtype=kind)})
    test = pd.DataFrame({"x": pd.Series(["new", "a", None], dtype=kind)})
    prepared = Preparation.fit(train)
    assert prepared.columns == ("x=a", "x=b", "x=missing")
    assert prepared.transform(test).tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 1]]


def test_constant_and_empty_columns_become_zero_and_let_nothing_explode():
    train = pd.DataFrame({"constant": [0.1] * 3, "empty": [np.nan] * 3})
    test = pd.DataFrame({"constant": [0.1, 1.1], "empty": [np.nan, 2.0]})
    prepared = Preparation.fit(train)
    assert prepared.transform(train).eq(0).all()
    np.testing.assert_allclose(prepared.transform(test), [[0, 0], [1, 2]], atol=1e-6)


def test_a_column_that_is_all_missing_in_the_test_part_is_known_from_training():
    train = pd.DataFrame({"n": [1.0, 3.0], "w": ["a", "b"]})
    test = pd.DataFrame({"n": [np.nan], "w": [np.nan]})  # both read as numbers
    assert Preparation.fit(train).transform(test).tolist() == [[0, 0, 0]]


def test_what_cannot_be_prepared_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        Preparation.fit(HOUSES.train.iloc[:0])
    with pytest.raises(ValueError, match="lacks the columns LotArea, Street"):
        Preparation.fit(HOUSES.train).transform(HOUSES.test.drop(columns=["LotArea", "Street"]))


@pytest.mark.parametrize(("n", "k"), [(10, 3), (240, 5), (7, 7), (2, 2)])
def test_folds_hold_out_each_row_once_in_parts_as_large_as_scikit_learn_s(n, k):
    found = folds(n, k, seed=3)
    held_out = torch.cat([fold.held_out for fold in found])
    assert held_out.sort().values.tolist() == list(range(n))
    for fold, (train, held_out) in zip(found, KFold(k).split(np.empty(n)), strict=True):
        assert len(fold.held_out) == len(held_out) and len(fold.train) == len(train)
        assert not set(fold.train.tolist()) & set(fold.held_out.tolist())


def test_folds_are_drawn_by_their_seed_alone():
    state = torch.random.get_rng_state()
    assert torch.equal(folds(50, 5, seed=1)[0].held_out, folds(50, 5, seed=1)[0].held_out)
    assert not torch.equal(folds(50, 5, seed=1)[0].held_out, folds(50, 5, seed=2)[0].held_out)
    assert torch.equal(torch.random.get_rng_state(), state)
    with pytest.raises(ValueError, match="k must be an integer from 2 to 3"):
        folds(3, 4)


def test_log_rmse_is_the_error_of_logarithms_and_indifferent_to_the_currency():
    prices = torch.tensor(HOUSES.train["SalePrice"].to_numpy())
    predicted = prices * torch.linspace(0.7, 1.5, len(prices))
    expected = mean_squared_error(np.log(prices.numpy()), np.log(predicted.numpy())) ** 0.5
    assert log_rmse(predicted, prices) == pytest.approx(expected, rel=1e-5)
    assert log_rmse(8 * predicted, 8 * prices) == pytest.approx(expected, rel=1e-5)
    logs = log_prices(HOUSES.train)
    assert log_rmse(logs.exp(), prices) < 1e-6 and logs.dtype == torch.float32


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
def test_prices_that_are_none_are_refused_everywhere(bad):
    prices, good = torch.tensor([1.0, bad]), torch.tensor([1.0, 2.0])
    for call in (
        lambda: submission([1, 2], prices),
        lambda: log_rmse(prices, good),
        lambda: log_rmse(good, prices),
        lambda: log_prices(pd.DataFrame({"SalePrice": prices.numpy()})),
    ):
        with pytest.raises(ValueError, match="1 of 2 are not"):
            call()


def test_a_submission_is_read_back_as_it_was_written(tmp_path):
    prices = torch.linspace(5e4, 5e5, len(HOUSES.test), requires_grad=True)
    submission(HOUSES.test["Id"], prices).to_csv(tmp_path / "answer.csv", index=False)
    assert (tmp_path / "answer.csv").read_text().startswith("Id,SalePrice\n241,50000.0\n")
    read = pd.read_csv(tmp_path / "answer.csv")
    assert read["Id"].tolist() == HOUSES.test["Id"].tolist()
    np.testing.assert_allclose(read["SalePrice"], prices.detach().numpy())


def test_a_submission_of_another_length_or_with_an_id_twice_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2,\); got \(3,\)"):
        submission([1, 2], torch.ones(3))
    with pytest.raises(ValueError, match="some come twice"):
        submission([1, 1], torch.ones(2))
    with pytest.raises(ValueError, match="same shape"):
        log_rmse(torch.ones(2, 1), torch.ones(2))  # would broadcast
