"""GRU4Rec beside its authors' PyTorch code: accuracy, speed, and what our default settings bring.

The authors' code (github.com/hidasib/GRU4Rec_PyTorch_Official) is licensed for research and education and is not part
of this project: give the path of a checkout with --authors. All runs use one thread; times are process CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks import report
from benchmarks.logs import published
from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models import GRU4Rec, PlainGRU4Rec
from recsys_lab.models.gru4rec_batches import Schedule
from recsys_lab.models.gru4rec_checkpoints import Checkpoints
from recsys_lab.models.gru4rec_run import one_thread
from recsys_lab.result import Result

LOG = "rsc15-100k"
CROSS_ENTROPY = {
    "loss": "cross-entropy", "layers": [100], "batch_size": 32, "dropout_p_embed": 0.1, "learning_rate": 0.1,
    "n_sample": 2048, "sample_alpha": 0.75, "logq": 1.0, "constrained_embedding": True,
}  # fmt: skip
BPR_MAX = {
    "loss": "bpr-max", "layers": [100], "batch_size": 80, "dropout_p_embed": 0.5, "dropout_p_hidden": 0.05,
    "learning_rate": 0.05, "momentum": 0.4, "n_sample": 2048, "sample_alpha": 0.4, "bpreg": 1.95, "elu_param": 0.5,
    "logq": 0.0, "constrained_embedding": True,
}  # fmt: skip
LARGE = CROSS_ENTROPY | {"batch_size": 256, "n_sample": 512}
EPOCHS = {"cross-entropy": 3, "bpr-max": 5}
# One standard error of a share near the published values over the test part's predictions.
STANDARD_ERROR = {"recall": 0.0046, "mrr": 0.0038}
DIGINETICA = {
    "layers": [100], "batch_size": 128, "learning_rate": 0.1, "dropout_p_embed": 0.4, "dropout_p_hidden": 0.2,
    "n_sample": 2048, "sample_alpha": 0.5, "logq": 1.0,
}  # fmt: skip
# Where tuning begins; batches of 32 lie outside of what it searches.
TUNED = {"diginetica": DIGINETICA, LOG: CROSS_ENTROPY | {"batch_size": 64}}


class Authors:
    """The authors' model behind the two functions that `evaluate` asks for."""

    def __init__(self, path: Path, settings: dict, seed: int):
        spec = importlib.util.spec_from_file_location("authors_gru4rec", path / "gru4rec_pytorch.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        np.random.seed(seed)  # noqa: NPY002, their sampler draws from it
        torch.manual_seed(seed)
        self.settings = settings
        self.model = module.GRU4Rec(device=torch.device("cpu"), **settings)

    def fit(self, sessions: Sessions) -> Authors:
        """Learn from sessions, in their order."""
        frame = sessions.to_frame()
        columns = {"SessionId": frame["session_id"].to_numpy(), "ItemId": frame["item_id"].to_numpy()}
        table = pd.DataFrame(columns | {"Time": np.arange(len(frame))})
        # room for 512 steps of negatives at a time, so that an epoch draws about as many as it uses
        room = self.settings["n_sample"] * 512
        with contextlib.redirect_stdout(io.StringIO()), series_as_arrays():
            self.model.fit(table, sample_cache_max_size=room, compatibility_mode=False)
        self.vocabulary_ = Vocabulary(self.model.data_iterator.itemidmap.index.to_numpy())
        return self

    @torch.no_grad()
    def score(self, sessions: Sessions, rows) -> np.ndarray:
        """Scores after the asked clicks, one session after the other."""
        asked = {int(click): place for place, click in enumerate(rows)}
        scores = np.empty((len(rows), sessions.n_items), np.float32)
        for start, stop in zip(sessions.offsets[:-1], sessions.offsets[1:], strict=True):
            hidden = [torch.zeros(1, n) for n in self.settings["layers"]]
            for click in range(start, stop):
                item = torch.tensor([int(sessions.items[click])])
                row = self.model.model.forward(item, hidden, None, training=False)
                if click in asked:
                    scores[asked[click]] = row.numpy().ravel()
        return scores

    def __repr__(self) -> str:
        return "authors' GRU4Rec"


@contextlib.contextmanager
def series_as_arrays() -> Iterator[None]:
    """Let torch.tensor take a pandas Series whose index does not count from 0, as older versions did."""
    sound = torch.tensor
    torch.tensor = lambda data, *a, **k: sound(data.to_numpy() if isinstance(data, pd.Series) else data, *a, **k)
    try:
        yield
    finally:
        torch.tensor = sound


def timed(fit) -> tuple[object, float]:
    started = time.process_time()
    result = fit()
    return result, time.process_time() - started


def accuracy(settings: dict, args) -> str:
    """Several seeds, ours and theirs evaluated on the same predictions with the same rule for ties."""
    train, test = published(LOG)[:2]
    settings, rows = settings | {"n_epochs": EPOCHS[settings["loss"]]}, []
    for seed in range(1, args.seeds + 1):
        sides = {"ours": lambda s=seed: GRU4Rec(**settings, seed=s).fit(train)}
        if args.authors:
            sides["authors"] = lambda s=seed: Authors(args.authors, settings, s).fit(train)
        for side, fit in sides.items():
            model, seconds = timed(fit)
            rows.append(result_row(evaluate(model, test, lists=False), settings["loss"], side, seed, seconds))
    return accuracy_text(pd.DataFrame(rows))


def result_row(result: Result, loss: str, side: str, seed: int, seconds: float) -> dict:
    figures = {"recall@20": float(result.recall), "mrr@20": float(result.mrr), "fit, CPU s": f"{seconds:.1f}"}
    return {"loss": loss, "side": side, "seed": seed} | figures


def accuracy_text(table: pd.DataFrame) -> str:
    lines = [report.markdown(table, 4), ""]
    for loss, of_loss in table.groupby("loss", sort=False):
        means = of_loss.groupby("side")[["recall@20", "mrr@20"]].mean()
        said = "; ".join(f"{side} {m.iloc[0]:.4f} / {m.iloc[1]:.4f}" for side, m in means.iterrows())
        line = f"Mean over seeds, {loss}: {said}."
        if "authors" in means.index:
            gap = means.loc["ours"] - means.loc["authors"]
            errors = [gap.iloc[n] / se for n, se in enumerate(STANDARD_ERROR.values())]
            line += f" Ours minus theirs in standard errors: {errors[0]:+.1f} (recall), {errors[1]:+.1f} (MRR)."
        lines.append(line)
    return "\n".join(lines)


def speed(args) -> str:
    """One epoch at identical settings, in alternating blocks, sampling and preparation counted on both sides."""
    train, _ = published(LOG)[:2]
    rows = []
    for name, settings in (("cross-entropy", CROSS_ENTROPY), ("BPR-max", BPR_MAX), ("cross-entropy, large", LARGE)):
        sides = {
            "ours": lambda k=settings: GRU4Rec(**k, n_epochs=1).fit(train),
            "plain twin": lambda k=settings: plain(k).fit(train),
            "authors": lambda k=settings: Authors(args.authors, k | {"n_epochs": 1}, 0).fit(train),
            "products alone": lambda k=settings: products(train, k),
        }
        seconds = {side: [] for side in sides if args.authors or side != "authors"}
        for number in range(args.rounds + 1):  # the first round warms up
            for side, values in seconds.items():
                value = timed(sides[side])[1]
                if number:
                    values.append(value)
        rows += speed_rows(name, settings, Schedule(train, settings["batch_size"]), seconds)
    return report.markdown(pd.DataFrame(rows))


def plain(settings: dict) -> PlainGRU4Rec:
    return PlainGRU4Rec(**{k: v for k, v in settings.items() if k != "constrained_embedding"}, n_epochs=1)


def products(train: Sessions, settings: dict) -> None:
    """The matrix products of an epoch and nothing else: what no implementation on this processor can undercut."""
    schedule, units, b = Schedule(train, settings["batch_size"]), settings["layers"][0], settings["batch_size"]
    columns = distinct_columns(train, settings)
    h, w, x, g = (torch.rand(a, units) for a in (b, columns, b, 3 * units))
    p, d = torch.rand(b, columns), torch.rand(b, 3 * units)
    for _ in range(len(schedule)):
        torch.mm(h, w.t()), torch.mm(p, w), torch.mm(p.t(), h)
        for _ in range(2):
            torch.mm(x, g.t()), torch.mm(d.t(), x)
        torch.mm(d, g)


def distinct_columns(train: Sessions, settings: dict) -> int:
    """How many distinct items a step scores, on average."""
    from recsys_lab.models.gru4rec_batches import AliasSampler, sampling_weights

    popularity, rng = np.bincount(train.items, minlength=train.n_items), np.random.default_rng(0)
    sampler, schedule = AliasSampler(sampling_weights(popularity, settings["sample_alpha"])), None
    schedule = Schedule(train, settings["batch_size"])
    steps = range(0, len(schedule), max(1, len(schedule) // 50))
    drawn = [np.union1d(schedule[t].target, sampler.draw(rng, settings["n_sample"])) for t in steps]
    return round(statistics.mean(map(len, drawn)))


def speed_rows(name: str, settings: dict, schedule: Schedule, seconds: dict[str, list[float]]) -> Iterator[dict]:
    base = seconds.get("authors") or seconds["ours"]
    for side, values in seconds.items():
        middle = statistics.median(values)
        pairs = [b / v for b, v in zip(base, values, strict=True)]
        yield {
            "settings": f"{name}, batch {settings['batch_size']}, {settings['n_sample']} negatives",
            "side": side,
            "epoch, CPU s": f"{middle:.2f} ({min(values):.2f} to {max(values):.2f})",
            "events/s": f"{schedule.n_events / middle:,.0f}",
            "ms a step": f"{1000 * middle / len(schedule):.2f}",
            "times as fast": f"{statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})",
        }


def default(args) -> str:
    """Our default settings against the published ones, both by our code; and the published ones by the authors'."""
    train, test = published(LOG)[:2]
    sides = {
        "defaults, our code": lambda s: GRU4Rec(seed=s).fit(train),
        "published, our code": lambda s: GRU4Rec(**CROSS_ENTROPY, n_epochs=3, seed=s).fit(train),
    }
    if args.authors:
        sides["published, authors' code"] = lambda s: Authors(args.authors, CROSS_ENTROPY | {"n_epochs": 3}, s).fit(
            train
        )
    found = {side: [] for side in sides}
    for seed in range(1, args.seeds + 1):
        for side, fit in sides.items():
            model, seconds = timed(lambda fit=fit, seed=seed: fit(seed))
            result = evaluate(model, test, lists=False)
            found[side].append((seconds, float(result.recall), float(result.mrr)))
    base = statistics.median(s for s, *_ in list(found.values())[-1])
    rows = []
    for side, values in found.items():
        seconds = statistics.median(s for s, *_ in values)
        means = np.mean(values, 0)
        rows.append({"settings": side, "recall@20": float(means[1]), "mrr@20": float(means[2]),
                     "fit, CPU s": f"{seconds:.2f}", "times as fast": f"{base / seconds:.1f}"})  # fmt: skip
    return f"The defaults are `{GRU4Rec()}`.\n\n" + report.markdown(pd.DataFrame(rows), 4)


def diginetica(args) -> str:
    """Every prefix of every test session, the protocol of the papers; may be killed and started again."""
    train, test = published("diginetica")[:2]
    rows = []
    for seed in range(1, args.seeds + 1):
        model = GRU4Rec(**DIGINETICA, n_epochs=args.epochs, seed=seed)
        seconds = sum(train_in_parts(model, train, args.checkpoints / f"diginetica-{seed}").values())
        result = evaluate(model, test, lists=False)
        rows.append({"seed": seed, "epochs": args.epochs, "P@20": 100 * float(result.recall),
                     "MRR@20": 100 * float(result.mrr), "training, CPU min": seconds / 60,
                     "predictions": len(result.ranks)})  # fmt: skip
    return f"Settings: `{DIGINETICA}`.\n\n" + report.markdown(pd.DataFrame(rows), 2)


def train_in_parts(model: GRU4Rec, train: Sessions, folder: Path) -> dict[str, float]:
    """Fit with a checkpoint an epoch; return the CPU seconds of each, also of those before a kill."""
    log, clock = folder / "seconds.json", time.process_time()
    spent = json.loads(log.read_text()) if log.exists() else {}

    def tell(now):
        nonlocal clock
        if now.step == now.n_steps:
            spent[str(now.epoch)], clock = time.process_time() - clock, time.process_time()
            folder.mkdir(parents=True, exist_ok=True)
            log.write_text(json.dumps(spent))
            print(f"epoch {now.epoch}: loss {now.loss:.3f}, {spent[str(now.epoch)]:.0f} CPU s", flush=True)

    model.fit(train, progress=tell, checkpoints=Checkpoints(folder, every=10**9))
    return spent


def tune(args) -> str:
    """Settings on a validation cut of the training part; may be stopped and called again."""
    from benchmarks.gru4rec_tuning import tune

    if args.study is None:
        raise SystemExit("tune: where shall the study be kept? Fix: --study gru4rec.db")
    try:
        return tune(args.log, TUNED[args.log], args.study, args.minutes, args.epochs)
    except (ImportError, ValueError) as error:  # what the caller can mend
        raise SystemExit(f"tune: {error}") from error


PARTS = {
    "cross-entropy": partial(accuracy, CROSS_ENTROPY),
    "bpr-max": partial(accuracy, BPR_MAX),
    "speed": speed,
    "default": default,
    "diginetica": diginetica,
    "tune": tune,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="+", choices=PARTS, help="what to measure")
    parser.add_argument("--authors", type=Path, help="a checkout of the authors' PyTorch code; without it, ours alone")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each side, for accuracy (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="counted blocks of each side, for speed (default 5)")
    parser.add_argument("--epochs", type=int, default=8, help="on diginetica, or at most in tuning (default 8)")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), help="a folder, for diginetica")
    parser.add_argument("--log", choices=TUNED, default="diginetica", help="to tune on (default diginetica)")
    parser.add_argument("--minutes", type=float, default=40, help="CPU minutes of tuning, all calls together (40)")
    parser.add_argument("--study", type=Path, help="an SQLite file, for tune: made, or gone on with")
    parser.add_argument("--print", action="store_true", help="print instead of writing benchmarks/README.md")
    args = parser.parse_args()
    for part in args.part:
        with one_thread():
            text = PARTS[part](args)
        head = f"{report.made_by(report.command_line('benchmarks.gru4rec'))} torch {torch.__version__}."
        if args.print or part == "tune":  # figures of a validation cut do not belong beside the others
            print(f"{head}\n\n{text}\n", flush=True)
        else:
            report.write_section(f"gru4rec {part}", f"{head}\n\n{text}")


if __name__ == "__main__":
    main()
