"""Logs by name: what is found where, what each file becomes, and what a log says when it cannot answer."""

import dataclasses
import hashlib
import http.server
import io
import pickle
import shutil
import threading
import zipfile
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import recsys_lab
from recsys_lab import registry
from recsys_lab.datasets import NEEDS, Dataset, UnsupportedError, available, load
from recsys_lab.download import DataFileError, DownloadError
from recsys_lab.events import EventLogError, validate_events, validate_impressions

ALL = [name for name in registry.registry() if name != "bookshop"]
DOWNLOADABLE = [name for name in ALL if registry.registry(name).sources]


# --- tiny public files, written by hand in each log's own format ----------------------------------------------------


def parquet(**columns):
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer)
    return buffer.getvalue()


def archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        for name, text in members.items():
            out.writestr(name.replace("__", "/").replace("_dot_", "."), text)
    return buffer.getvalue()


def rsc15_files():
    clicks = "SessionId\tItemId\tTime\n3\t20\t1396437466.94\n3\t30\t1396437500.001\n3\t30\t1396437500.001\n"
    prepared = "data/rsc15/prepared/yoochoose-clicks-100k_"
    lists = "data/rsc15/recommendations/recoms_rsc15_100k_"
    files = {f"{prepared}{part}.txt": clicks for part in ("train_full", "train_tr", "train_valid")}
    files[f"{prepared}test.txt"] = "SessionId\tItemId\tTime\n7\t30\t1396860669.277\n"
    files |= {
        f"{lists}{m}.csv": "SessionId;Position;Recommendations;Scores\n7;0;20,30;1.0,0.5\n"
        for m in ("sr", "ar", "vsknn", "gru4rec")
    }
    return files


def diginetica_files():
    # test sessions [5, 6, 7] and [6, 5] as (prefix, target) pairs, longest prefix first
    pairs = ([[5, 6], [5], [6]], [7, 6, 5])
    folder = "datasets/diginetica/"
    return {
        f"{folder}all_train_seq.txt": pickle.dumps([[1, 2], [3, 1, 3]]),
        f"{folder}test.txt": pickle.dumps(pairs),
    }


def trivago_files():
    table = parquet(
        user_id=["A", "A", "A", "B", "B"],
        session_id=["s", "s", "s", "t", "t"],
        timestamp=[1541599523, 1541599538, 1541599553, 1541600000, 1541600009],
        step=[1, 2, 3, 1, 2],
        action_type=["search for poi", "filter selection", "clickout item", "clickout item", "interaction item info"],
        reference=["Museum", "unknown", "11", "99", "11"],
        platform=["FR"] * 5,
        city=["Paris, France"] * 5,
        device=["mobile"] * 5,
        current_filters=[None, None, None, "Hotel", None],
        impressions=[None, None, "10|11|12", "10|11", None],
        prices=[None, None, "70|80|90", "50|60", None],
    )
    return {"trivago_val_100k.parquet.snappy": table}


def online_retail_files():
    table = parquet(
        InvoiceNo=["536365", "536365", "536365", "C536379", "A563186", "536589"],
        StockCode=["85123A", "85123A", "POST", "85123A", "B", "21777"],
        Description=["HOLDER", "HOLDER", "POSTAGE", "holder?", "Adjust bad debt", None],
        Quantity=[6, 6, 1, -1, 1, -10],
        InvoiceDate=pd.to_datetime(["2011-07-01 08:26"] * 4 + ["2011-08-12 14:51", "2010-12-01 16:50"]),
        UnitPrice=[2.55, 2.55, 18.0, 2.55, -11062.06, 0.0],
        CustomerID=[17850.0, 17850.0, 17850.0, 17850.0, None, None],
        Country=["United Kingdom"] * 6,
    )
    return {"retail_session.parquet.snappy": table}


def goodbooks_files():
    books = (
        "book_id,goodreads_book_id,best_book_id,work_id,books_count,isbn,isbn13,authors,original_publication_year,title\n"
        '1,2767052,2767052,2792775,272,439023483,9.78043902348e+12,Suzanne Collins,2008.0,"The Hunger Games, #1"\n'
        "2,30,30,31,3,439023484,9.78e+12,Homère,-750.0,Ὀδύσσεια\n"
        "3,40,40,41,3,043942089X,9.78e+12,Rowling,,Secrets\n"
    )
    genres = 'book_id,goodreads_book_id,title,authors,genres\n1,2767052,x,y,"fantasy,fiction"\n3,40,x,y,magic\n'
    return {
        "books.csv": books,
        "data/book_metadata.csv": genres,
        "data/ratings_random.csv": "user_id,book_id,rating\n58,3,1\n58,1,5\n",
    }


def movielens_100k_files():
    flags = ["0"] * 19
    flags[1] = flags[18] = "1"
    film = f"1|Misérables, Les (1995)|01-Jan-1995||http://x|{'|'.join(flags)}\n"
    video = f"2|Time of Giving (1995) (V)|01-Jan-1995||http://x|1|{'|'.join(['0'] * 18)}\n"
    names = ["unknown", "Action", *(f"g{i}" for i in range(2, 18)), "Western"]
    members = {
        "ml-100k__u_dot_data": "196\t1\t3\t881250949\n196\t2\t5\t881250950\n",
        "ml-100k__u_dot_user": "196|24|M|technician|02139\n",
        "ml-100k__u_dot_item": (film + video).encode("latin-1"),
        "ml-100k__u_dot_genre": "".join(f"{name}|{i}\n" for i, name in enumerate(names)) + "\n",
    }
    return {"ml-100k.zip": archive(**members)}


def movielens_1m_files():
    members = {
        "ml-1m__ratings_dot_dat": "1::1193::5::978300760\n1::661::3::978302109\n",
        "ml-1m__movies_dot_dat": "661::Métisse: Café (1993)::Comedy|Drama\n1193::Cuckoo (1975)::Drama\n".encode(
            "latin-1"
        ),
        "ml-1m__users_dot_dat": "1::F::1::10::02139\n",
    }
    return {"ml-1m.zip": archive(**members)}


def movielens_latest_files():
    members = {
        "ml-latest-small__ratings_dot_csv": "userId,movieId,rating,timestamp\r\n1,3,4.5,964982703\r\n",
        "ml-latest-small__movies_dot_csv": "movieId,title,genres\r\n3,Dead Snow (2014) ,Comedy|Horror\r\n"
        "4,Black Mirror,(no genres listed)\r\n",
        "ml-latest-small__tags_dot_csv": "userId,movieId,tag,timestamp\r\n1,3,funny,1445714994\r\n",
    }
    return {"ml-latest-small.zip": archive(**members)}


def gowalla_files():
    upper = sparse.csr_matrix(np.array([[1, 0, 1], [0, 1, 0]], dtype=np.float32))  # 2 users, 3 places
    matrix = sparse.bmat([[None, upper], [upper.T, None]], format="csr")
    buffer = io.BytesIO()
    sparse.save_npz(buffer, matrix)
    return {"data/gowalla/s_adj_mat.npz": buffer.getvalue(), "data/gowalla/test.txt": "0 1\n1 0 2\n"}


def open_bandit_files():
    files = {}
    for policy, chance in (("random", 0.5), ("bts", 0.9)):
        for campaign in ("men", "women"):
            files[f"obd/{policy}/{campaign}/{campaign}.csv"] = (
                ",timestamp,item_id,position,click,propensity_score,user_feature_0,user-item_affinity_0\n"
                f"0,2019-11-24 00:03:13.442536+00:00,1,3,0,{chance},cef3,0.0\n"
                f"1,2019-11-24 00:03:36+00:00,0,1,1,{chance},cef3,2.0\n"
            )
            files[f"obd/{policy}/{campaign}/item_context.csv"] = (
                f",item_id,item_feature_0,item_feature_1\n0,0,-0.67,{policy}a\n1,1,0.5,{policy}b\n"
            )
    return files


FILES = {
    "rsc15-100k": rsc15_files,
    "diginetica": diginetica_files,
    "trivago-100k": trivago_files,
    "online-retail": online_retail_files,
    "goodbooks-10k": goodbooks_files,
    "movielens-100k": movielens_100k_files,
    "movielens-1m": movielens_1m_files,
    "movielens-latest-small": movielens_latest_files,
    "gowalla": gowalla_files,
    "open-bandit": open_bandit_files,
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, no data folder."""
    monkeypatch.setenv("RECSYS_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RECSYS_LAB_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def published(tmp_path, cache, monkeypatch):
    """Serve tiny public files on loopback, and let the registry point there."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    root = tmp_path / "public"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def publish(name, files=None):
        files = FILES[name]() if files is None else files
        files = {f: text.encode() if isinstance(text, str) else text for f, text in files.items()}
        for file, text in files.items():
            (root / name / file).parent.mkdir(parents=True, exist_ok=True)
            (root / name / file).write_bytes(text)
        sums = {file: hashlib.sha256(text).hexdigest() for file, text in files.items()}
        source = {"address": f"http://127.0.0.1:{server.server_port}/{name}/", "files": sums}
        entry = dataclasses.replace(registry.registry(name), sources=[source])
        monkeypatch.setitem(registry._entries(), name, entry)
        return root / name

    yield publish
    server.shutdown()
    server.server_close()


def fetched(published, name):
    published(name)
    return load(name, progress=False)


# --- from public files to tables ------------------------------------------------------------------------------------


def test_each_public_format_has_a_tiny_example():
    assert set(FILES) == set(DOWNLOADABLE)


@pytest.mark.parametrize("name", DOWNLOADABLE)
def test_the_tiny_example_has_the_files_of_the_registry(name):
    assert set(FILES[name]()) == set(registry.registry(name).source_files)


def test_rsc15(published):
    log = fetched(published, "rsc15-100k")
    assert log.train.timestamp.iloc[0] == pd.Timestamp("2014-04-02 11:17:46.940", tz="UTC")
    assert list(log.events.session_id) == [3, 3, 3, 7]
    assert list(log.train.order) == [0, 1, 2]  # two equal clicks stay two
    assert list(log.parts) == ["train", "test", "train_part", "validation"]
    lists = log.tables["reference_recommendations"]
    assert lists.iloc[1].to_dict() == {
        "model": "sr",
        "session_id": 7,
        "position": 0,
        "rank": 2,
        "item_id": 30,
        "score": 0.5,
    }
    train = log.sessions("train")
    test = log.sessions("test", vocabulary=train.vocabulary)
    assert test.vocabulary is train.vocabulary
    assert list(test.items) == [1]


def test_diginetica(published):
    log = fetched(published, "diginetica")
    assert [list(log.sessions("test").vocabulary.decode(s)) for s in log.sessions("test")] == [[5, 6, 7], [6, 5]]
    assert log.train.session_id.tolist() == [0, 0, 1, 1, 1]
    assert log.test.session_id.tolist() == [0, 0, 0, 1, 1]
    assert log.events.session_id.tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    assert len(log.sessions()) == 4
    assert not log.sessions().has_time


def test_a_pickle_that_wants_to_run_code_is_not_run(published, tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    published("diginetica", diginetica_files() | {"datasets/diginetica/test.txt": pickle.dumps(Harm())})
    with pytest.raises(pickle.UnpicklingError, match="no plain list of numbers"):
        load("diginetica", progress=False)
    assert not (tmp_path / "harm").exists()


def test_trivago(published):
    log = fetched(published, "trivago-100k")
    assert log.events.event.tolist() == ["search_for_poi", "clickout_item", "clickout_item", "interaction_item_info"]
    assert log.events.order.tolist() == [1, 3, 1, 2]
    assert log.report.query("step == 'no reference'").rows_removed.tolist() == [1]
    shown = log.impressions
    assert shown.position.tolist() == [1, 2, 3, 1, 2]
    assert shown.price.tolist() == [70, 80, 90, 50, 60]
    assert shown.clicked.tolist() == [False, True, False, False, False]
    assert shown.session_id.tolist() == ["s"] * 3 + ["t"] * 2
    assert "1 click-outs chose a hotel not shown" in log.report.why.tolist()
    assert log.sessions(events=["clickout_item"]).n_clicks == 2
    with pytest.raises(UnsupportedError, match="no propensities"):
        log.require("impressions", "propensities")


def test_online_retail(published):
    log = fetched(published, "online-retail")
    assert log.events.event.tolist() == ["purchase"] * 3 + ["return", "write_off"]
    assert log.events.order.tolist() == [0, 1, 2, 0, 0]
    assert log.events.user_id.isna().tolist() == [False] * 4 + [True]
    assert log.events.timestamp.iloc[0] == pd.Timestamp("2011-07-01 07:26", tz="UTC")  # summer time in the shop
    steps = log.report.set_index("step")
    assert steps.loc["bookkeeping", "rows_removed"] == 1
    assert steps.loc["same line twice", "why"].startswith("1 lines")
    assert log.items.set_index("item_id").loc["85123A", "title"] == "HOLDER"
    assert log.items.set_index("item_id")["product"].to_dict() == {"85123A": True, "POST": False, "21777": True}


def test_goodbooks(published):
    log = fetched(published, "goodbooks-10k")
    books = log.items.set_index("item_id")
    assert books.loc[1, "isbn10"] == "0439023483"
    assert books.loc[1, "isbn13"] == "9780439023481"
    assert pd.isna(books.loc[2, "isbn10"])  # its check digit is wrong
    assert books.loc[3, "isbn13"] == "9780439420891"
    assert books["year"].tolist()[:2] == [2008, -750]
    assert books["year"].isna().tolist() == [False, False, True]
    assert books.loc[1, "genres"] == "fantasy|fiction"
    assert log.ratings[["item_id", "order"]].to_numpy().tolist() == [[3, 0], [1, 1]]
    with pytest.raises(UnsupportedError, match="leaves the times out"):
        log.require("timestamps")


def test_movielens_100k(published):
    log = fetched(published, "movielens-100k")
    assert log.items.values.tolist() == [
        [1, "Misérables, Les", 1995, "Action|Western"],
        [2, "Time of Giving", 1995, "unknown"],
    ]
    assert log.users.zip_code.tolist() == ["02139"]
    assert log.ratings.timestamp.iloc[0] == pd.Timestamp("1997-12-04 15:55:49", tz="UTC")


def test_movielens_1m_from_grouplens_has_times(published):
    log = fetched(published, "movielens-1m")
    assert log.items.values.tolist()[0] == [661, "Métisse: Café", 1993, "Comedy|Drama"]
    assert log.users.zip_code.tolist() == ["02139"]
    assert "fold" not in log.ratings
    assert log.ratings.timestamp.iloc[0] == pd.Timestamp("2000-12-31 22:12:40", tz="UTC")
    log.require("timestamps", "order")


def test_movielens_latest(published):
    log = fetched(published, "movielens-latest-small")
    assert log.items.fillna({"year": -1}).values.tolist() == [
        [3, "Dead Snow", 2014, "Comedy|Horror"],
        [4, "Black Mirror", -1, ""],
    ]
    assert log.ratings.rating.tolist() == [4.5]
    assert log.tables["tags"].tag.tolist() == ["funny"]


def test_gowalla(published):
    log = fetched(published, "gowalla")
    assert log.train.values.tolist() == [[0, 0], [0, 2], [1, 1]]
    assert log.test.values.tolist() == [[0, 1], [1, 0], [1, 2]]
    assert list(log.pairs.columns) == ["user_id", "item_id"]
    with pytest.raises(UnsupportedError, match="only distinct pairs"):
        log.sessions()


def test_open_bandit(published):
    log = fetched(published, "open-bandit")
    assert list(log.parts) == ["men_random", "men_bts", "women_random", "women_bts"]
    assert log.impressions.request_id.tolist() == list(range(8))
    assert log.parts["men_bts"].propensity.tolist() == [0.9, 0.9]
    assert log.parts["women_random"].clicked.tolist() == [False, True]
    assert log.tables["affinities_men"].iloc[:, 0].tolist() == [0, 2, 0, 2]
    assert log.items.query("campaign == 'men' and policy == 'bts'").item_feature_1.tolist() == ["btsa", "btsb"]
    log.require("propensities", "timestamps", "rates")


def test_a_log_that_breaks_the_schema_is_refused(published):
    files = online_retail_files()
    frame = pd.read_parquet(io.BytesIO(files["retail_session.parquet.snappy"]))
    frame.loc[0, "UnitPrice"] = -2.55
    published("online-retail", {"retail_session.parquet.snappy": parquet(**frame)})
    with pytest.raises(EventLogError, match="'price' must be finite and at least 0"):
        load("online-retail", progress=False)


# --- where a log is found -------------------------------------------------------------------------------------------


def found(name):
    return available().set_index("name").loc[name, "found"]


def test_available_opens_nothing(cache, monkeypatch):
    monkeypatch.setattr(pd, "read_parquet", None)
    table = available()
    assert list(table.columns) == ["name", "title", "rows", "licence", "shippable", "found"]
    assert set(table.found) == {"shipped", "can be downloaded", "by hand"}
    assert found("retailrocket-behaviours") == "by hand"
    assert not cache.exists()


def test_a_download_is_made_once_and_then_found_in_the_cache(published):
    root = published("gowalla")
    assert found("gowalla") == "can be downloaded"
    load("gowalla", progress=False)
    assert found("gowalla") == "cache"
    shutil.rmtree(root)
    assert len(load("gowalla", download=False).train) == 3


def test_a_damaged_file_in_the_cache_is_fetched_again(published, cache):
    published("gowalla")
    load("gowalla", progress=False)
    damaged = cache / "gowalla" / "data" / "gowalla" / "test.txt"
    damaged.write_text("0 2\n1 0 2\n")
    with pytest.raises(DataFileError, match=r"test\.txt is not the file that the registry knows"):
        load("gowalla", download=False)
    assert load("gowalla", progress=False).test.values.tolist()[0] == [0, 1]


def test_the_data_folder_comes_first_and_is_checked(published, tmp_path, monkeypatch):
    public = published("gowalla")
    train, test = (parquet(user_id=[user], item_id=[5]) for user in (1, 2))
    sums = {f: hashlib.sha256(b).hexdigest() for f, b in (("train.parquet", train), ("test.parquet", test))}
    monkeypatch.setitem(registry._entries(), "gowalla", dataclasses.replace(registry.registry("gowalla"), files=sums))
    folder = tmp_path / "data" / "gowalla"
    folder.mkdir(parents=True)
    (folder / "train.parquet").write_bytes(train)
    monkeypatch.setenv("RECSYS_LAB_DATA", str(tmp_path / "data"))
    with pytest.raises(DataFileError, match=r"test\.parquet missing"):
        load("gowalla", download=False)
    (folder / "test.parquet").write_bytes(test)
    assert found("gowalla") == "folder"
    shutil.copytree(public, folder, dirs_exist_ok=True)  # where both forms lie, the tables are read
    assert load("gowalla", download=False).pairs.values.tolist() == [[1, 5], [2, 5]]
    (folder / "test.parquet").write_bytes(test[:-9])
    with pytest.raises(DataFileError, match="changed, cut off while copying, or is another edition"):
        load("gowalla")


def test_nowhere_says_how_to_get_it(cache):
    with pytest.raises(DataFileError) as caught:
        load("retailrocket-behaviours")
    message = str(caught.value)
    assert "buys_test.parquet" in message
    assert str(cache / "retailrocket_behaviours") in message
    assert "RECSYS_LAB_DATA, which can name a folder with logs, is not set" in message
    with pytest.raises(DataFileError, match=r"books\.csv: https://"):
        load("goodbooks-10k", download=False)


def test_a_failed_download_reaches_the_caller(published):
    root = published("gowalla")
    (root / "data/gowalla/test.txt").unlink()
    with pytest.raises(DownloadError, match="no such file any more"):
        load("gowalla", progress=False)


@pytest.mark.parametrize(
    ("asked", "hint"), [("movielens_100k", "movielens-100k"), ("RSC15", "rsc15-100k"), ("xyz", "bookshop")]
)
def test_unknown_name(asked, hint):
    with pytest.raises(ValueError, match=f"there is no log '{asked}'.*{hint}"):
        load(asked)


def test_the_registry_is_complete():
    for name in ALL:
        entry = registry.registry(name)
        assert entry.title, name
        assert entry.licence, name
        assert entry.citation, name
        assert entry.rows, name
        assert entry.sources or entry.by_hand, name
        assert all(len(sha) == 64 for sha in (entry.files | entry.source_files).values()), name
        assert set(entry.lacks) <= set(NEEDS), name
        for address in entry.addresses.values():
            pinned = address.split("/")[5] if "githubusercontent" in address else "0" * 40
            assert len(pinned) == 40, address  # a branch would change under the checksum
            assert address.startswith("https://"), address


# --- what a log says of itself --------------------------------------------------------------------------------------


def tiny(**lacks):
    log = pd.DataFrame({"session_id": [1, 1], "item_id": [7, 8], "event": ["view", "cart"], "order": [0, 1]})
    return Dataset(registry.registry("diginetica"), {"events": log}, {"late": log.iloc[1:]}, lacks=lacks)


def test_require_says_why_and_names_a_way_out():
    with pytest.raises(UnsupportedError, match=r"(?s)no rates .*buyers only\..*Instead: .*bookshop") as caught:
        tiny(rates="buyers only.").require("events", "rates")
    assert isinstance(caught.value, ValueError)
    assert "diginetica" not in str(caught.value).split("Instead")[1]
    tiny().require(*NEEDS)
    with pytest.raises(UnsupportedError, match="no timestamps"):
        tiny(order="a set of pairs.").require("timestamps")  # no order, so no times either
    with pytest.raises(ValueError, match=r"require\('clock'\): choose from events"):
        tiny().require("clock")


def test_tables_and_parts_that_are_not_there():
    log = tiny(impressions="not logged.")
    with pytest.raises(UnsupportedError, match=r"no impressions .*not logged"):
        _ = log.impressions
    with pytest.raises(UnsupportedError, match="no table 'users'"):
        _ = log.users
    with pytest.raises(UnsupportedError, match="no part 'train': its parts are late"):
        _ = log.train
    assert log.sessions("late", events=["cart"]).n_clicks == 1
    with pytest.raises(ValueError, match="'kauf' is not in this log"):
        log.sessions(events=["kauf"])


def test_bookshop_comes_from_its_own_module(monkeypatch):
    log = tiny().events
    shop = SimpleNamespace(load=lambda: {"events": log, "items": pd.DataFrame({"item_id": [7, 8]})})
    monkeypatch.setattr(recsys_lab, "bookshop", shop, raising=False)
    loaded = load("bookshop")
    assert loaded.events is log
    assert loaded.simulated
    assert loaded.report.empty
    assert len(loaded.sessions()) == 1
    assert "SIMULATED" in repr(loaded)


def test_repr(monkeypatch):
    log = tiny(rates="<b>buyers</b> only.")
    for shown in (repr(log), log._repr_html_()):
        assert "Diginetica" in shown
        assert "2 rows: session_id, item_id, event, order" in shown
        assert "may not be passed on" in shown
        assert "rates" in shown
    shop = Dataset(registry.registry("bookshop"), {})
    assert "SIMULATED" in repr(shop)
    assert "SIMULATED" in shop._repr_html_()
    assert shop.simulated
    monkeypatch.setitem(
        registry._entries(), "evil", dataclasses.replace(registry.registry("bookshop"), title="<script>")
    )
    assert "<script>" not in Dataset(registry.registry("evil"), {})._repr_html_()


# --- the real logs --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logs(real_logs):
    """All real logs, from the data folder alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECSYS_LAB_DATA", str(real_logs))
        return {name: load(name, download=False) for name in ALL}


@pytest.mark.needs("real-logs")
def test_real_logs_keep_the_schema(logs):
    for log in logs.values():
        if "events" in log.tables:
            validate_events(log.events, log.event_types)
            assert set(log.events.event) == set(log.event_types), log.name
    validate_impressions(logs["trivago-100k"].impressions, propensity_logged=False)


@pytest.mark.needs("real-logs")
def test_real_logs_lack_what_they_say(logs):
    """What the registry denies is not in the tables, and what it does not deny is."""
    for log in logs.values():
        tables = list(log.tables.values())
        columns = {c for name in ("events", "ratings", "pairs", "impressions") for c in log.tables.get(name, ())}
        has = {
            "events": "events" in log.tables,
            "sessions": "session_id" in log.tables.get("events", ()),
            "timestamps": "timestamp" in columns,
            "order": bool({"timestamp", "order"} & columns),
            "users": "user_id" in columns,
            "ratings": "ratings" in log.tables,
            "impressions": "impressions" in log.tables,
            "propensities": "propensity" in columns,
            "titles": any("title" in table for table in tables),
        }
        for need, there in has.items():
            try:
                log.require(need)
            except UnsupportedError:
                assert not there, (log.name, need)
            else:
                assert there, (log.name, need)


@pytest.mark.needs("real-logs")
def test_real_logs_have_the_published_counts(logs):
    def counts(frame, *columns):
        return (len(frame), *(frame[c].nunique() for c in columns))

    rsc15, diginetica = logs["rsc15-100k"], logs["diginetica"]
    assert counts(rsc15.train, "session_id", "item_id") == (70_278, 17_794, 2_933)
    assert counts(rsc15.test, "session_id", "item_id") == (13_568, 3_416, 1_771)
    assert len(rsc15.parts["train_part"]) == 53_254
    assert len(rsc15.validation) == 16_539
    assert rsc15.train.timestamp.min().floor("min") == pd.Timestamp("2014-04-01 01:02", tz="UTC")
    assert rsc15.test.timestamp.max().floor("min") == pd.Timestamp("2014-04-08 00:50", tz="UTC")
    assert len(rsc15.tables["reference_recommendations"]) == 77_400
    assert counts(diginetica.events, "session_id", "item_id") == (982_961, 202_633, 43_097)
    assert len(diginetica.train) - diginetica.train.session_id.nunique() == 719_470  # pairs
    assert len(diginetica.test) - diginetica.test.session_id.nunique() == 60_858
    assert counts(logs["gowalla"].pairs, "user_id", "item_id") == (1_027_370, 29_858, 40_981)
    assert counts(logs["goodbooks-10k"].ratings, "user_id", "item_id") == (298_176, 2_672, 9_990)
    hundred = logs["movielens-100k"]
    assert hundred.ratings.rating.value_counts().sort_index().tolist() == [6_110, 11_370, 27_145, 34_174, 21_201]
    assert counts(hundred.ratings, "user_id", "item_id") == (100_000, 943, 1_682)
    million = logs["movielens-1m"]
    assert counts(million.ratings, "user_id", "item_id") == (1_000_209, 6_040, 3_706)
    stars = [56_174, 107_557, 261_197, 348_971, 226_310]
    assert million.ratings.rating.value_counts().sort_index().tolist() == stars
    latest = logs["movielens-latest-small"]
    assert counts(latest.ratings, "user_id", "item_id") == (100_836, 610, 9_724)
    assert (len(latest.items), len(latest.tables["tags"])) == (9_742, 3_683)


@pytest.mark.needs("real-logs")
def test_real_retailrocket(logs):
    log = logs["retailrocket-behaviours"]
    assert log.events.event.value_counts().to_dict() == {"view": 75_374, "cart": 12_456, "purchase": 9_551}
    assert log.events.user_id.nunique() == 2_174
    assert not log.events.duplicated(["user_id", "item_id", "event"]).any()  # repeats were collapsed
    assert log.test.user_id.nunique() == len(log.test) == 2_174
    assert (~log.test.item_id.isin(log.events.item_id)).sum() == 211
    assert log.test.merge(log.events, on=["user_id", "item_id"]).empty  # nothing leaks
    pauses = log.events.sort_values(["user_id", "timestamp"]).groupby("session_id").timestamp.diff()
    assert pauses.max() <= pd.Timedelta("30min")
    for need in ("repeats", "rates"):
        with pytest.raises(UnsupportedError):
            log.require(need)
    with pytest.raises(UnsupportedError, match="no times to cut some"):
        log.sessions("test")


@pytest.mark.needs("real-logs")
def test_real_trivago(logs):
    log = logs["trivago-100k"]
    assert len(log.event_types) == 10
    events = log.events.event.value_counts()
    assert events["interaction_item_image"] == 68_538
    assert events["clickout_item"] == 13_597
    assert len(log.events) + log.report.rows_removed.sum() == 100_003
    assert log.report.rows_removed.sum() == 37
    lists = log.impressions.groupby("request_id")
    assert len(lists) == 13_597
    assert lists.size().mean() == pytest.approx(23.0, abs=0.05)
    assert lists.size().max() == 25
    assert lists.clicked.any().mean() == pytest.approx(0.9999, abs=5e-5)
    assert log.sessions().lengths.sum() == 99_966


@pytest.mark.needs("real-logs")
def test_real_online_retail(logs):
    log = logs["online-retail"]
    assert log.events.event.value_counts().to_dict() == {
        "purchase": 541_909 - 10_624 - 3,
        "return": 9_288,
        "write_off": 10_624 - 9_288,
    }
    assert log.report.rows_removed.sum() == 3
    assert log.events.user_id.nunique() == 4_372
    assert log.events.user_id.isna().sum() == 135_080 - 3
    assert log.events.session_id.nunique() == 25_900 - 3
    assert log.events.timestamp.min() == pd.Timestamp("2010-12-01 08:26", tz="Europe/London")


@pytest.mark.needs("real-logs")
def test_real_open_bandit(logs):
    log = logs["open-bandit"]
    clicks = log.impressions.groupby(["campaign", "policy"]).clicked.sum().to_dict()
    assert clicks == {("men", "random"): 46, ("men", "bts"): 69, ("women", "random"): 46, ("women", "bts"): 46}
    random = log.impressions.query("policy == 'random'").groupby("campaign").propensity
    assert random.min().to_dict() == pytest.approx({"men": 1 / 34, "women": 1 / 46})
    assert random.max().to_dict() == pytest.approx({"men": 1 / 34, "women": 1 / 46})
    with pytest.raises(UnsupportedError, match="each impression stands alone"):
        log.sessions()


@pytest.mark.needs("real-logs")
def test_real_logs_read_alike_titles(logs):
    titles = {name: set(logs[name].items.title) for name in ALL if name.startswith("movielens")}
    for name, found in titles.items():
        assert {"Toy Story", "GoldenEye", "Jumanji"} <= found, name
    assert logs["movielens-100k"].items.year.isna().sum() == 1  # the film that its makers call unknown


@pytest.mark.needs("real-logs")
def test_every_row_of_every_real_log_is_accounted_for(logs):
    main = {"events": "events", "ratings": "ratings", "pairs": "pairs", "impressions": "impressions"}
    for name, log in logs.items():
        table = next(t for t in main if t in log.tables)
        steps = log.report[log.report.table == table]
        assert len(log.tables[table]) + steps.rows_removed.sum() == log.entry.rows, name
        assert (steps.rows_before - steps.rows_removed == steps.rows_after).all(), name
