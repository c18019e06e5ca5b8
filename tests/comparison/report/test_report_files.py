"""The files of a report: their numbers are the runs', and nothing missing is lost."""

import csv
import dataclasses
import html
import io
import json
import pathlib
import re

import pytest

from comparison.grid.record import FAILED, FINISHED, MISSING, Record, read
from comparison.report import data_files
from comparison.report import report_files as report
from tests.comparison.make import grid, kd_grid, record

FILES = ("cells.csv", "report.html", "report.json", "report.md")


def write(records, folder, **options):
    report.write(records, folder, title="A <b>grid</b> & more", **options)
    return {name: (folder / name).read_text() for name in FILES}


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    return write(grid(epochs=4), tmp_path_factory.mktemp("big"), published=True)


def table_below(text, heading):
    """The rows of the first Markdown table below a heading."""
    lines = text.split(f"# {heading}\n", 1)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def page_tables(text):
    """The texts of all rows of the page's tables."""
    rows = re.findall(r"<tr>(.*?)</tr>", text)
    cells = (re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows)
    return [[html.unescape(cell) for cell in row] for row in cells]


def make_run(folder, method, seed, last, best):
    """A finished run's two files, as short as they can be."""
    folder.mkdir()
    settings = {"hparam": ["weight=3.0"], "batch_size": 50, "task_weight": 0.5}
    settings["distiller"] = method
    student = {"net": "resnet8", "top1": last, "parameters": 1234}
    result = {"student": student, "settings": settings, "versions": {}}
    result["best_on_validation"] = {
        "epoch": 1, "validation_accuracy": 0.5, "test_accuracy": best
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "metrics.csv").write_text(
        "phase,epoch,step,loss,test_accuracy,images_per_second\n"
        f"init,1,10,2.5,,250.0\ntrain,1,20,1.5,{best},500.0\n"
        f"train,2,30,0.5,,100.0\ntrain,3,40,0.5,{last},500.0\n"
    )
    place = (
        "digits",
        "wrn_10_1" * (method != "none"),
        "resnet8",
        method,
        (),
        1.0,
        seed,
    )
    return read(Record(*place, folder))


def test_numbers_are_those_of_the_run_folders(tmp_path):
    records = [
        make_run(tmp_path / "a", "none", 0, 0.5, 0.48),
        make_run(tmp_path / "b", "none", 1, 0.52, 0.52),
        make_run(tmp_path / "c", "AT", 0, 0.53, 0.54),
        make_run(tmp_path / "d", "AT", 1, 0.56, 0.5),
    ]
    texts = write(records, tmp_path / "report")
    rows = table_below(texts["report.md"], "100 % of the training data")
    # With one degree of freedom as the paired t-test: t(0.975, 1) = 12.7062, its error
    # 0.5; p = 1 - 2 / pi * atan(3.5 / 0.5).
    expected = [
        ["none", "2 of 2", "51.00 ± 1.41", "50.00 ± 2.83", "reference"] + [""] * 3,
        ["AT", "2 of 2", "54.50 ± 2.12", "52.00 ± 2.83", "+3.50", "0.50",
         "-2.85 to +9.85", "0.090"],
    ]  # fmt: skip
    assert rows[2:] == expected
    assert all(row in page_tables(texts["report.html"]) for row in expected)
    costs = table_below(texts["report.md"], "Costs with 100 % of the training data")
    # 500 images an epoch: 2 s at first, then 1 s each by the median; the slow one, as
    # when the machine had other work, does not count. No passes were recorded.
    assert costs[3] == [
        "AT", "4", "—", "—", "5.0", "1.00", "1,234", "—", "—",
        "weight=3.0, task_weight=0.5",
    ]  # fmt: skip
    cells = list(csv.DictReader(texts["cells.csv"].splitlines()))
    assert [float(cell["last"]) for cell in cells] == [0.5, 0.52, 0.53, 0.56]
    assert [float(cell["best"]) for cell in cells] == [0.48, 0.52, 0.54, 0.5]
    assert {cell["forward_passes_student"] for cell in cells} == {""}
    assert [cell["folder"] for cell in cells] == list("abcd")
    curves = json.loads(texts["report.json"])["cells"][3]["curves"]
    assert curves["test_accuracy"] == [None, 0.5, None, 0.56]
    assert curves["loss"] == [2.5, 1.5, 0.5, 0.5]


def test_equal_records_give_equal_bytes(big, tmp_path):
    again = write(grid(epochs=4), tmp_path, published=True)
    assert again == big
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


def test_page_needs_nothing_else(big):
    page = big["report.html"]
    assert "<script" not in page and "http" not in page
    assert page.count("<img ") == page.count('src="data:image/svg+xml;base64,') == 4


def test_missing_cells_stay(big):
    rows = page_tables(big["report.html"])
    lost = [row for row in rows if row[0] in ("BSS", "CRD") and row[1] == "0 of 3"]
    assert lost == [["BSS", "0 of 3", *"——————"], ["CRD", "0 of 3", *"——————"]] * 2
    assert ["cifar10: resnet56 to resnet8, 10 %, CRD", "0, 1, 2"] in rows
    assert ["cifar10: resnet56 to resnet8, 10 %, MLKD", "2"] in rows
    cells = list(csv.DictReader(big["cells.csv"].splitlines()))
    assert len(cells) == 26 * 2 * 3
    lost = [cell for cell in cells if cell["state"] != "finished"]
    assert len(lost) == 6 + 6 + 2
    for cell in lost:
        assert [cell[n] for n in ("last", "best", "seconds", "epochs")] == [""] * 4
    numbers = json.loads(big["report.json"])
    assert {c["last"] for c in numbers["cells"] if c["method"] == "CRD"} == {None}
    assert [t["fraction"] for t in numbers["tables"]] == [1.0, 0.1]


def test_reasons_and_titles_are_escaped(big):
    reason = 'loss "bss" is not finite | step 70 <b>&amp;</b>'
    assert "<b>" not in big["report.html"]
    assert r"finite \| step 70 \<b\>\&amp;\</b\> |" in big["report.md"]
    assert sum(row[-1] == reason for row in page_tables(big["report.html"])) == 6


@pytest.mark.parametrize(
    "records",
    [
        [],
        [
            record("none", state=MISSING),
            record("AT", state=FAILED, reason="a\nb\udc80"),
        ],
        [record("AT")],
    ],
    ids=["nothing", "nothing finished", "one cell"],
)
def test_a_report_is_there_at_any_time(records, tmp_path):
    texts = write(records, tmp_path, published=True)
    assert len(list(csv.DictReader(texts["cells.csv"].splitlines()))) >= len(records)
    assert "nan" not in texts["report.md"]


def test_a_full_disk_leaves_the_old_files_whole(tmp_path, monkeypatch):
    write([record("AT")], tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in FILES}

    def half(path, data):
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", half)
    with pytest.raises(OSError, match="No space"):
        write([record("AT"), record("none")], tmp_path)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(after) == sorted(FILES)
    json.loads(after.pop("report.json"))
    assert after.items() <= before.items()


def test_unequal_conditions_are_said_only_if_there_are_some(big, tmp_path):
    assert "Unequal" not in big["report.md"] + big["report.html"]
    cells = [record("none"), record("AT", settings={"learning_rate": 0.1})]
    text = write(cells, tmp_path)["report.md"]
    rows = table_below(text, "Unequal conditions")
    pair = "cifar10: resnet56 to resnet8"
    assert rows[2:] == [
        [pair, "learning_rate", "0.05", "none"],
        [pair, "learning_rate", "0.1", "AT"],
    ]


def test_what_is_varied_of_some_is_no_condition_of_all(tmp_path):
    joined = (("epochs/weight", "3/1"),)
    cells = [record("none", settings={"epochs": 5}), record("AT", varied=joined)]
    text = write(cells, tmp_path)["report.md"]
    conditions = table_below(text, "Conditions of all finished cells")
    names = {row[0] for row in conditions}
    assert "epochs" not in names and {"batch_size", "teacher_checkpoint"} <= names


def test_outputs_from_the_cache_are_told(tmp_path):
    live, cached = record("AT"), record("SP")
    cached = dataclasses.replace(
        cached, result={**cached.result, "teacher_cache": True}
    )
    passes = {"student": 1.0, "teacher": 0.0}
    old = record("CC")  # of a version that did not record it
    old = dataclasses.replace(old, result={**old.result, "forward_passes": passes})
    resumed = record("PKT")  # without the cache, by such a version
    asked = ("0.0", "0.0", "1.0")
    rows = tuple(
        {**row, "teacher_forward_passes": count}
        for row, count in zip(resumed.rows, asked, strict=True)
    )
    resumed = dataclasses.replace(resumed, rows=rows)
    oldest = record("RKD")  # began before it was counted
    rows = (*oldest.rows[:2], {**oldest.rows[2], "teacher_forward_passes": "1.0"})
    oldest = dataclasses.replace(oldest, rows=rows)
    records = [record("none"), live, cached, old, resumed, oldest]
    text = write(records, tmp_path)["report.md"]
    costs = table_below(text, "Costs with 100 % of the training data")
    found = {row[0]: row[3] for row in costs}
    assert found["none"] == "—" and found["AT"] == "1"
    rest = "1 an image, the rest from the cache"
    assert found["SP"] == rest and found["CC"] == "none: all from the cache"
    assert found["PKT"] == rest and found["RKD"] == "1"
    assert "What filled the cache is not in the seconds" in text
    page = write([record("none"), live], tmp_path)["report.html"]
    assert "from its cache" not in page


def test_seeds_that_cost_different_passes_are_one_number(tmp_path):
    def cells(method, *counts):
        for seed, count in enumerate(counts):
            cell = record(method, seed=seed)
            passes = {"student": 30 / 36, "teacher": count}
            cached = {"teacher_cache": method != "AT"}
            result = {**cell.result, "forward_passes": passes, **cached}
            yield dataclasses.replace(cell, result=result)

    own = {"FT": (7 / 36, 0.0), "AT": (1.0, 1.5), "SP": (0.001, 0.0), "PKT": (0.0, 0.0)}
    records = [cell for name, counts in own.items() for cell in cells(name, *counts)]
    text = write(records, tmp_path)["report.md"]
    costs = table_below(text, "Costs with 100 % of the training data")
    assert {row[0]: row[2:4] for row in costs[2:]} == {
        "FT": ["0.83", "0.1 an image, the rest from the cache"],
        "AT": ["0.83", "1.25"],
        "SP": ["0.83", "less than 0.01 an image, the rest from the cache"],
        "PKT": ["0.83", "none: all from the cache"],
    }


@pytest.mark.parametrize("phase", ["paraphrase", "ft.paraphrase"])
@pytest.mark.parametrize("counted", ["1.0", "0.0"])
def test_a_pass_that_is_never_run_costs_nothing_though_it_was_counted(phase, counted):
    cell = record("FT", epochs=4)
    rows = [{**row, "student_forward_passes": "1.0"} for row in cell.rows]
    rows[0] |= {"phase": phase, "student_forward_passes": counted}
    passes = {"student": (3 + float(counted)) / 4, "teacher": 1.0}
    result = {**cell.result, "forward_passes": passes}
    cell = dataclasses.replace(cell, rows=tuple(rows), result=result)
    assert cell.forward_passes == {"student": 0.75, "teacher": 1.0}
    # Runs of today are believed: a phase of this name may be another method's.
    now, before = {"sources_sha256": "a"}, {"versions": {"keras": "3"}}
    for entries, found in ([now], passes), ([before, now], cell.forward_passes):
        own = dataclasses.replace(cell, result={**result, "provenance": entries})
        assert own.forward_passes == found


def test_published_numbers_stand_beside_ours(tmp_path):
    place = {"dataset": "cifar100", "teacher": "WRN-40-2", "student": "wrn_16_2"}
    cells = [record(m, last=v, **place) for m, v in (("none", 0.7), ("KD", 0.7125))]
    text = write(cells, tmp_path, published=True)["report.md"]
    rows = table_below(text, "Published")
    assert ["Soft_logits", "KD, wrn-40-2 to wrn-16-2", "74.92", "71.25 ± —",
            "RepDistiller README", "same-architecture table"] in rows  # fmt: skip
    assert ["teacher alone", "baseline, wrn-40-2", "75.61", "—"] in [
        r[:4] for r in rows
    ]
    assert "Published" not in write(cells, tmp_path)["report.md"]


def test_a_method_of_several_files_stands_beside_its_published_number(tmp_path):
    place = {"dataset": "cifar100", "teacher": "WRN-40-2", "student": "wrn_16_2"}
    cells = [record("Soft_logits (ours/kd)", last=0.7125, **place)]
    for expected in ("71.25 ± —", "2 settings"):
        text = write(cells, tmp_path, published=True)["report.md"]
        rows = table_below(text, "Published")
        assert {row[3] for row in rows if row[0] == "Soft_logits"} == {expected}
        cells += [record("Soft_logits (theirs/kd)", state=MISSING, **place)]


def test_no_published_number_is_said(big):
    assert "No published number is known" in big["report.md"]


def test_heat_map_is_in_the_page(tmp_path):
    text = write(kd_grid(), tmp_path)["report.html"]
    assert "Soft_logits: accuracy over its two settings" in text


def test_the_best_trial_is_that_of_the_validation_split(tmp_path):
    trials = {"2.5": (0.7, 0.6), "7.1": (0.6, 0.8), "9.9": (0.5, 0.9)}
    records = [
        record(
            "AT",
            seed=seed,
            last=last,
            best=best,
            varied=(("weight", value),),
            state=MISSING if value == "9.9" and seed else FINISHED,
        )
        for value, (last, best) in trials.items()
        for seed in (0, 1)
    ]
    texts = write(records, tmp_path, searched=True)
    (line,) = [x for x in texts["report.md"].splitlines() if "2 of 3" in x]
    assert "AT weight=7.1" in line and "72.00 ± 0.00" in line  # 0.9 of the best
    (numbers,) = json.loads(texts["report.json"])["tables"]
    assert numbers["best_trials"] == [
        {"method": "AT", "planned": 3, "finished": 2, "label": "AT weight=7.1"}
    ]
    (best,) = [row for row in numbers["rows"] if row["label"] == "AT weight=7.1"]
    assert best["validation"]["mean"] == pytest.approx(0.72)
    texts = write(records, tmp_path)
    assert "2 of 3" not in texts["report.md"]
    assert "best_trials" not in texts["report.json"]


def test_what_differences_rest_on_is_below_the_table(tmp_path):
    """Three rows by hand; see test_block_model's whole table."""
    values = {"none": (0.51, 0.51), "AT": (0.53, 0.53), "SP": (0.565, 0.535)}
    records = [
        record(method, seed=seed, last=last)
        for method, own in values.items()
        for seed, last in enumerate(own)
    ]
    texts = write(records, tmp_path)
    text = (
        "s = 1.22 points, with 2 degrees of freedom. For 2 differences an interval is "
        "c = 5.42 standard errors to each side. The smallest difference that 2 blocks "
        "can show, c s sqrt(2 / 2), is 6.64 points; 17 blocks would show 1 point."
    )
    assert text in texts["report.md"] and text in texts["report.html"]
    (table,) = json.loads(texts["report.json"])["tables"]
    facts = {name: table[name] for name in ("reference", "k", "df", "blocks")}
    assert facts == {"reference": "none", "k": 2, "df": 2, "blocks": 2}
    numbers = [table[name] for name in ("s", "c", "half_width")]
    assert numbers == pytest.approx([1.5**0.5, 5.418, 6.636], abs=1e-3)
    assert table["blocks_for_one_point"] == 17
    rows = {row["label"]: row["difference"] for row in table["rows"]}
    assert rows["none"] is None
    assert list(rows["SP"]) == ["reference", "points", "se", "low", "high", "p"]
    assert rows["SP"]["se"] == pytest.approx(1.75**0.5)


def test_the_words_follow_the_reference(tmp_path):
    records = [record(m, seed=s) for m in ("none", "AT", "SP") for s in (0, 1)]
    text = write(records, tmp_path)["report.md"]
    assert "| To student alone |" in text
    text = write(records, tmp_path, reference="AT")["report.md"]
    assert "| To AT |" in text and 'difference to the reference ("AT")' in text
    assert "To student alone" not in text
    (row,) = [x for x in text.splitlines() if x.startswith("| AT | 2 of 2 | 50.00")]
    assert row.endswith("| reference |  |  |  |")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_cells_are_no_formulas(start):
    text = f"{start}1+cmd|' /C calc'!A0"
    records = [
        record("none", last=-0.5, student=text),
        record("AT", state=FAILED, reason=text),
    ]
    written = io.StringIO(data_files.cells_csv(records), newline="")
    alone, lost = csv.DictReader(written)
    expected = f"'{text}".replace("\r", "\n")
    assert (alone["student"], lost["reason"]) == (expected, expected)
    assert (alone["last"], lost["method"], lost["last"]) == ("-0.5", "AT", "")
    cells = data_files.report_json(records, "", "", ())["cells"]
    assert cells[1]["reason"] == text
