"""Loading, judging, splitting and featuring rows."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, time, timedelta
from itertools import chain
from pathlib import Path

from pipelines.conformance.subject import Subject, digest_of_path
from pipelines.conformance.suite import check
from pipelines.core.contract import Splits, Window
from pipelines.core.errors import DataError
from pipelines.core.run import today
from pipelines.core.validation import Report


@check
def loads(subject: Subject) -> None:
    """The raw files give rows, the same each time."""
    project = subject.project
    rows = project.count(subject.data)
    assert rows > 0, "load gives no rows"
    again = project.load(subject.raw, subject.window)
    assert subject.data_digest(again) == subject.data_digest(subject.data), "two loads of the same files differ"


@check
def rows_can_be_taken(subject: Subject) -> None:
    """`take` gives the rows asked for, in that order, twice if asked twice, and none if none."""
    project, data = subject.project, subject.data
    last = project.count(data) - 1
    digests = subject.row_digests(project.take(data, [last, 0, last]))
    assert digests[0] == digests[2], "the same position gives different rows"
    assert digests[1] == subject.row_digests(project.take(data, [0]))[0], "take does not keep the order asked for"
    assert project.count(project.take(data, [])) == 0, "take of no positions gives rows"


@check
def nothing_later_is_read(subject: Subject) -> None:
    """An earlier window gives no more rows than a later one, none is from after its end, and one without rows is refused or empty."""
    from pipelines.data import replay

    project, plan = subject.project, subject.params.replay
    if plan is not None and plan.weeks > 1:
        half_way = datetime.combine(plan.start, time(), UTC) + timedelta(weeks=plan.weeks // 2)
        fewer = project.count(project.load(subject.raw, replay.window(plan, half_way, subject.params.seed)))
        assert fewer < project.count(subject.data), (
            f"half way through the replay there are {fewer} rows, as many as at its end; load must select window.positions"
        )
    if (latest := replay.newest(project.times(subject.data))) is not None:
        _nothing_after(subject, latest - timedelta(microseconds=1))
        _nothing_after(subject, latest - timedelta(days=30))
    empty = Window(start=today(), end=today(), positions=lambda rows: [])
    try:
        found = project.count(project.load(subject.raw, empty))
    except DataError as error:
        assert str(error), "the DataError for a window without rows says nothing"
    else:
        assert found == 0, f"an empty window gives {found} rows"


def _nothing_after(subject: Subject, end: datetime) -> None:
    """A window that ends then, and chooses no positions, holds no row from that instant on."""
    from pipelines.data import replay

    try:
        latest = replay.newest(subject.project.times(subject.project.load(subject.raw, Window(start=None, end=end))))
    except DataError:  # there is nothing so early
        return
    assert latest is None or latest < end, (
        f"of a window that ends {end:%Y-%m-%d %H:%M} the newest row is of {latest:%Y-%m-%d %H:%M}"
    )


@check
def load_refuses_bad_files(subject: Subject) -> None:
    """Missing, empty, cut off or garbled files are a DataError with a message, or a report that says so; nothing else."""
    files = [path.relative_to(subject.raw) for path in subject.raw.rglob("*") if path.is_file()]
    harms = {"missing": None, "empty": b"", "garbled": bytes(range(256)) * 8}
    for harm, content in harms.items():
        broken = subject.folder / f"broken-{harm}"
        shutil.copytree(subject.raw, broken)
        for file in files:
            if content is None:
                (broken / file).unlink()
            else:
                (broken / file).write_bytes(content)
        assert not _accepted(subject, broken), f"{harm} files were taken for good data"
    for file in files:
        broken = subject.folder / "broken-cut"
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(subject.raw, broken)
        whole = (broken / file).read_bytes()
        (broken / file).write_bytes(whole[: len(whole) * 2 // 3])
        _accepted(subject, broken)  # a cut text file may still hold good rows; it must not surprise anybody


def _accepted(subject: Subject, raw: Path) -> bool:
    try:
        data = subject.project.load(raw, subject.window)
        report = subject.project.check(data).report
    except DataError as error:
        assert str(error).strip(), "a DataError without a message"
        return False
    except Exception as error:
        raise AssertionError(
            f"{raw.name.replace('-', ' ')} files raise {type(error).__name__} ({error}), not DataError"
        ) from error
    return not report.failed


@check
def data_codec_round_trips(subject: Subject) -> None:
    """Rows written and read back are the same rows, and equal rows are equal bytes."""
    codec = subject.project.data_codec
    none = codec.read(subject.written(codec, subject.project.take(subject.cleaned, [])))
    assert subject.project.count(none) == 0, "no rows, written and read back, are some rows"
    for data in (subject.data, subject.test):
        first = subject.written(codec, data)
        second = subject.written(codec, codec.read(first))
        assert digest_of_path(first) == digest_of_path(subject.written(codec, data)), "the same rows give different bytes"
        assert digest_of_path(first) == digest_of_path(second), "rows change when written and read back"


@check
def own_data_pass(subject: Subject) -> None:
    """The project's own data pass its own checks, the report counts them and the docs have a first page."""
    checked, limit = subject.checked, subject.params.validation.quarantine
    report = checked.report
    broken = [one.sentence() for one in report.failed if one.level == "table"]
    assert not broken, "; ".join(broken)
    assert report.checks, "check made no check"
    assert report.rows == subject.project.count(subject.data), "the report counts other rows than were given"
    assert report.quarantined == report.rows - subject.project.count(checked.data), "quarantined and kept rows do not add up"
    assert report.quarantined <= limit * report.rows, (
        f"{report.quarantined} of {report.rows} rows are set aside, more than {limit}"
    )
    assert (checked.docs / "index.html").is_file(), f"{checked.docs} has no index.html"
    assert Report.model_validate_json(report.model_dump_json()) == report, "the report changes on its way through JSON"


@check
def splits_are_disjoint(subject: Subject) -> None:
    """No row is in two splits, none is lost, none is made up, and no split is empty."""
    rows = subject.some_rows
    splits = subject.split(rows)
    parts = {name: subject.row_digests(getattr(splits, name)) for name in ("train", "valid", "test")}
    for name, digests in parts.items():
        assert digests, f"{name} is empty"
    _nowhere_twice(parts)
    before, after = sorted(subject.row_digests(rows)), sorted(chain.from_iterable(parts.values()))
    assert after == before, f"the splits hold {len(after)} rows, made of {len(before)}, and they are not the same rows"


@check
def duplicates_stay_together(subject: Subject) -> None:
    """Exact copies of a row never straddle two splits, where the model would be tested on what it was fitted to."""
    rows = subject.some_rows
    twice = [row for row in range(subject.project.count(rows)) for _ in range(2)]
    doubled = subject.split(subject.project.take(rows, twice))
    _nowhere_twice({name: subject.row_digests(getattr(doubled, name)) for name in ("train", "valid", "test")})


def _nowhere_twice(parts: dict[str, list[str]]) -> None:
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        both = set(parts[one]) & set(parts[other])
        assert not both, f"{len(both)} rows are in {one} and in {other}"


@check
def split_follows_the_seed(subject: Subject) -> None:
    """The same seed gives the same split."""
    again = subject.split(subject.cleaned)
    for name in ("train", "valid", "test"):
        assert subject.data_digest(getattr(again, name)) == subject.data_digest(getattr(subject.splits, name)), f"{name} differs"


@check
def features_keep_the_rows(subject: Subject) -> None:
    """Features are the same each time and add or drop no row."""
    project, before, after = subject.project, subject.splits, subject.featured.splits
    again: Splits[object] = subject.features(before).splits
    for name in ("train", "valid", "test"):
        rows, kept = project.count(getattr(before, name)), project.count(getattr(after, name))
        assert rows == kept, f"{name} has {rows} rows before and {kept} after features"
        assert subject.data_digest(getattr(again, name)) == subject.data_digest(getattr(after, name)), (
            f"{name} differs when made twice"
        )


@check
def exploration_has_a_first_page(subject: Subject) -> None:
    """Whatever `explore` draws is found from index.html; drawing nothing is fine."""
    folder = subject.folder / "exploration"
    folder.mkdir(parents=True)
    subject.project.explore(subject.featured, folder)
    files = sorted(path.name for path in folder.iterdir())
    assert not files or "index.html" in files, f"explore wrote {files} and no index.html"
