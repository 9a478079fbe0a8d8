"""What a shop learned, as a folder: saved and read, damaged, replaced beside a reader, wanted by several at once."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny_shop

from recsys_lab import datasets, models
from recsys_lab.cleaning import Cleaning
from recsys_lab.serve import bundle as module
from recsys_lab.serve.bundle import CURRENT, KEPT, MANIFEST, Bundle, BundleError, current
from recsys_lab.serve.retriever import Retriever

ROOT = Path(__file__).resolve().parents[1]
ROLES = {"session", "neighbours", "user", "popular", "related", "together"}


def quick_roles():
    """Models that take no time; no torch."""
    return {"popular": models.RecentPopularity(), "related": models.ItemKNN()}


def quick(seed=0):
    """A bundle without the heavy models; `seed` makes another one."""
    dataset = SimpleNamespace(events=tiny_shop.events(80, seed), items=tiny_shop.books())
    return Bundle.train(dataset, roles=quick_roles())


@pytest.fixture
def bookshop(monkeypatch):
    """`Bundle.obtain` learns a small shop, and says here how often."""
    trained = []

    def load(name):
        trained.append(name)
        return SimpleNamespace(events=tiny_shop.events(80), items=tiny_shop.books())

    monkeypatch.setattr(datasets, "load", load)
    monkeypatch.setattr(module, "shop_models", quick_roles)
    return trained


# ---- what is learned ----------------------------------------------------------------------------------------------


def test_each_model_learns_from_its_own_part_of_the_log():
    bundle = tiny_shop.bundle()
    assert set(bundle.models) == ROLES and bundle.version == "unsaved"
    log = Cleaning(tiny_shop.events()).drop_double_fires().drop_bots().events
    views, bought = (log[log["event"] == kind] for kind in ("view", "purchase"))
    longer = views.groupby("session_id")["item_id"].transform("size") > 1
    clicks = {role: int(model.popularity_.sum()) for role, model in bundle.models.items()}
    assert clicks == {
        "session": longer.sum(),
        "neighbours": longer.sum(),
        "related": longer.sum(),
        "popular": len(views),
        "together": len(bought),
        "user": len(views) + len(bought),
    }


def test_what_a_bot_did_teaches_nothing():
    robot = pd.DataFrame({"session_id": 10**6, "item_id": np.tile(np.arange(1, 121), 40), "event": "view"})
    robot["timestamp"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(len(robot)) * 0.2, unit="s")
    robot["user_id"] = 1
    events = pd.concat([tiny_shop.events(80), robot], ignore_index=True)
    bundle = Bundle.train(SimpleNamespace(events=events, items=tiny_shop.books()), roles=quick_roles())
    np.testing.assert_array_equal(bundle.models["popular"].popularity_, quick().models["popular"].popularity_)
    assert len(bundle.history) == len(quick().history)


def test_a_log_without_readers_makes_a_shop_without_them():
    events = tiny_shop.events(80).drop(columns="user_id")
    roles = {**quick_roles(), "user": models.ALS(factors=2, by="user", iterations=1)}
    bundle = Bundle.train(SimpleNamespace(events=events, items=tiny_shop.books()), roles=roles)
    assert set(bundle.models) == {"popular", "related"} and bundle.segments is None and len(bundle.history) == 0


def test_some_readers_are_known():
    events = tiny_shop.events(80)
    events["user_id"] = events["user_id"].where(events["session_id"] % 2 == 0)  # floats with gaps
    bundle = Bundle.train(SimpleNamespace(events=events, items=tiny_shop.books()), roles=quick_roles())
    assert bundle.history["user_id"].dtype == np.int64
    assert len(bundle.history) == (events["session_id"] % 2 == 0).sum()
    assert bundle.history["timestamp"].is_monotonic_increasing


def test_a_shop_without_times_or_items_is_refused():
    events, items = tiny_shop.events(20), tiny_shop.books()
    for lacking in (SimpleNamespace(events=events, items=None),
                    SimpleNamespace(events=events.drop(columns="timestamp"), items=items)):  # fmt: skip
        with pytest.raises(ValueError, match=r"datasets.load\('bookshop'\)"):
            Bundle.train(lacking)


def test_progress_is_told_each_model_before_it_is_learned():
    said = []
    dataset = SimpleNamespace(events=tiny_shop.events(20), items=tiny_shop.books())
    Bundle.train(dataset, said.append, roles=quick_roles())
    assert said == ["popular: RecentPopularity", "related: ItemKNN"]


# ---- saved and read -----------------------------------------------------------------------------------------------


def test_what_was_saved_answers_as_before(tmp_path):
    bundle = tiny_shop.bundle()
    saved = bundle.save(tmp_path)
    loaded = Bundle.load(tmp_path)
    assert loaded.version == saved.version == current(tmp_path) != "unsaved"
    assert {r: (type(m), m.get_params()) for r, m in loaded.models.items()} == {
        r: (type(m), m.get_params()) for r, m in bundle.models.items()
    }
    one, other = (Retriever(b, budget_ms=60_000) for b in (bundle, loaded))
    for clicks, user in (([], None), ([3, 4], None), ([5] * 40, 3), ([], 3), ([9_999], 99)):
        a, b = one.recommend(clicks, 12, user), other.recommend(clicks, 12, user)
        assert a.items == b.items and b.version == saved.version and not b.degraded
    assert one.user(3) == other.user(3) and one.user(3).history
    assert one.bought_together([50]).items == other.bought_together([50]).items
    assert [other.catalogue.get(i) for i in other.catalogue.ids] == [one.catalogue.get(i) for i in one.catalogue.ids]
    for retriever in (one, other):
        retriever.close()


def test_ids_may_be_text(tmp_path):
    events, items = tiny_shop.events(60), tiny_shop.books()
    events["item_id"], items["item_id"] = "b" + events["item_id"].astype(str), "b" + items["item_id"].astype(str)
    events["user_id"] = "u" + events["user_id"].astype(str)
    roles = {**quick_roles(), "user": models.ALS(factors=2, by="user", iterations=1)}
    Bundle.train(SimpleNamespace(events=events, items=items), roles=roles).save(tmp_path)
    shop = Retriever(Bundle.load(tmp_path), weights={"related": 1.0}, budget_ms=60_000)
    answer = shop.recommend(["b3"], 5)
    assert answer.source == "related" and all(isinstance(i, str) and i.startswith("b") for i in answer.ids)
    assert shop.user("u3").history and shop.recommend([], 5, "u3").source == "user"
    shop.close()


def test_the_same_models_are_the_same_version(tmp_path):
    first = quick().save(tmp_path)
    made = (tmp_path / first.version / MANIFEST).stat().st_mtime_ns
    assert quick().save(tmp_path).version == first.version
    assert (tmp_path / first.version / MANIFEST).stat().st_mtime_ns == made  # not written anew
    other = quick(seed=1).save(tmp_path)
    assert other.version != first.version and Bundle.load(tmp_path).version == other.version


def test_a_damaged_version_is_written_again_by_the_same_models(tmp_path):
    version = quick().save(tmp_path).version
    (tmp_path / version / "related.npz").write_bytes(b"")
    assert quick().save(tmp_path).version == version
    assert Bundle.load(tmp_path).version == version


def test_old_versions_go_but_not_the_one_that_may_still_be_read(tmp_path):
    versions = []
    for seed in range(4):
        versions.append(quick(seed).save(tmp_path).version)
        os.utime(tmp_path / versions[-1], (seed, seed))  # the clock of a test is too coarse
    left = {path.parent.name for path in tmp_path.glob(f"*/{MANIFEST}")}
    assert left == set(versions[-KEPT:]) and current(tmp_path) == versions[-1]


def test_going_back_to_the_version_before(tmp_path):
    first, second = quick(0).save(tmp_path).version, quick(1).save(tmp_path).version
    assert quick(0).save(tmp_path).version == first == Bundle.load(tmp_path).version
    assert {path.parent.name for path in tmp_path.glob(f"*/{MANIFEST}")} == {first, second}


def test_what_a_process_that_died_left_behind_goes(tmp_path):
    (tmp_path / "part-dead").mkdir()
    (tmp_path / "part-dead" / "session.npz").write_bytes(b"half")
    (tmp_path / "part-file").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("not ours")
    version = quick().save(tmp_path).version
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".lock") == sorted([CURRENT, version, "notes.txt"])


def test_a_save_that_fails_leaves_the_old_version_in_use(tmp_path):
    version = quick().save(tmp_path).version

    class Unsaved(models.Popularity):
        def save(self, path):
            raise OSError("disk full")

    broken = quick(1)
    broken.models["popular"] = Unsaved()
    with pytest.raises(OSError, match="disk full"):
        broken.save(tmp_path)
    assert Bundle.load(tmp_path).version == version
    assert not list(tmp_path.glob("part-*"))


def test_a_service_sees_the_old_version_or_the_new_one_whole(tmp_path, monkeypatch):
    """The moment before the pointer is moved is the only one that counts."""
    old = quick(0).save(tmp_path).version
    point, seen = module._point, []

    def watched(folder, version):
        seen.append((Bundle.load(folder).version, module._whole(folder / version)))
        point(folder, version)
        seen.append(Bundle.load(folder).version)

    monkeypatch.setattr(module, "_point", watched)
    new = quick(1).save(tmp_path).version
    assert seen == [(old, True), new]


def test_a_version_that_is_replaced_while_it_is_read(tmp_path, monkeypatch):
    quick(0).save(tmp_path)
    checked, newer = module._checked, []

    def meanwhile(place):
        monkeypatch.setattr(module, "_checked", checked)  # once
        for seed in (1, 2, 3):
            newer.append(quick(seed).save(tmp_path).version)
        assert not place.exists()
        return checked(place)

    monkeypatch.setattr(module, "_checked", meanwhile)
    assert Bundle.load(tmp_path).version == newer[-1]


# ---- damage -------------------------------------------------------------------------------------------------------


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def manifest_without(path, name):
    manifest = json.loads(path.read_text())
    del manifest["models"][name], manifest["files"][f"{name}.npz"]
    path.write_text(json.dumps(manifest))


def as_another(path):
    manifest = json.loads(path.read_text())
    manifest["models"]["related"] = "Popularity"
    path.write_text(json.dumps(manifest))


DAMAGE = {
    "a model cut short": lambda f, v: cut(f / v / "related.npz"),
    "one bit of a model": lambda f, v: flip(f / v / "related.npz"),
    "a model missing": lambda f, v: (f / v / "popular.npz").unlink(),
    "the catalogue empty": lambda f, v: (f / v / "items.parquet").write_bytes(b""),
    "the history missing": lambda f, v: (f / v / "history.parquet").unlink(),
    "no manifest": lambda f, v: (f / v / MANIFEST).unlink(),
    "a manifest that is no JSON": lambda f, v: (f / v / MANIFEST).write_text("{"),
    "a manifest of another kind": lambda f, v: (f / v / MANIFEST).write_text("[1]"),
    "a manifest of nothing": lambda f, v: (f / v / MANIFEST).write_text('{"models": null, "files": null}'),
    "a manifest that is no text": lambda f, v: (f / v / MANIFEST).write_bytes(b"\xff\xfe"),
    "a manifest without a model": lambda f, v: manifest_without(f / v / MANIFEST, "related"),
    "a manifest with another class": lambda f, v: as_another(f / v / MANIFEST),
    "CURRENT empty": lambda f, v: (f / CURRENT).write_text(""),
    "CURRENT no text": lambda f, v: (f / CURRENT).write_bytes(b"\xff\xfe\x00"),
    "CURRENT missing": lambda f, v: (f / CURRENT).unlink(),
    "CURRENT elsewhere": lambda f, v: (f / CURRENT).write_text("../" + v),
    "CURRENT of nothing": lambda f, v: (f / CURRENT).write_text("0123456789ab"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_learned_anew(tmp_path, bookshop, damage):
    version = Bundle.obtain(tmp_path).version
    assert bookshop == ["bookshop"]
    assert Bundle.obtain(tmp_path).version == version and bookshop == ["bookshop"]  # kept
    DAMAGE[damage](tmp_path, version)
    with pytest.raises(BundleError, match="Fix: "):
        Bundle.load(tmp_path)
    assert Bundle.obtain(tmp_path).version == version and bookshop == ["bookshop"] * 2
    assert Bundle.load(tmp_path).version == version


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(BundleError, match=r"no trained shop.*save\(folder\)"):
        Bundle.load(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_where_nothing_can_be_written(tmp_path, bookshop):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BundleError, match="RECSYS_LAB_CACHE"):
        Bundle.obtain(tmp_path / "file" / "shop")
    with pytest.raises(BundleError, match="cannot write"):
        quick().save(tmp_path / "file")
    assert bookshop == []


# ---- the cache ----------------------------------------------------------------------------------------------------


def test_the_cache_depends_on_data_and_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_LAB_CACHE", str(tmp_path))
    folders = [module.default_folder()]
    monkeypatch.setattr(module, "shop_models", quick_roles)
    folders.append(module.default_folder())
    monkeypatch.setattr(module, "__version__", "another")
    folders.append(module.default_folder())
    data = tmp_path / "data"
    data.mkdir()
    (data / "SHA256SUMS").write_text("other data")
    monkeypatch.setattr("recsys_lab.bookshop.data_folder", lambda: data)
    folders.append(module.default_folder())
    assert len(set(folders)) == 4 and all(folder.is_relative_to(tmp_path) for folder in folders)


CHILD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, "tests")
import test_serve_bundle as t
from recsys_lab import datasets
from recsys_lab.serve import bundle as module

folder, name = sys.argv[1:]

def load(_):
    Path(folder, f"trained-{name}").touch()
    return SimpleNamespace(events=t.tiny_shop.events(80), items=t.tiny_shop.books())

datasets.load, module.shop_models = load, t.quick_roles
print("ready", flush=True)
sys.stdin.readline()
print(module.Bundle.obtain(Path(folder, "shop")).version)
"""


def test_several_processes_at_once_learn_once(tmp_path):
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), str(n)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for n in range(2)
    ]  # fmt: skip
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=120)[0].strip() for child in children]
    assert [child.returncode for child in children] == [0] * 2
    assert len(set(said)) == 1 and said[0] == current(tmp_path / "shop")
    assert len(list(tmp_path.glob("trained-*"))) == 1


def test_several_may_save_at_once(tmp_path):
    bundles = [quick(0), quick(0), quick(1), quick(2)]
    with ThreadPoolExecutor(len(bundles)) as pool:
        running = [pool.submit(bundle.save, tmp_path) for bundle in bundles * 5]
    versions = [future.result().version for future in running]
    assert len(set(versions)) == 3 and versions == versions[:4] * 5
    assert Bundle.load(tmp_path).version in versions
    assert not list(tmp_path.glob("part-*"))
