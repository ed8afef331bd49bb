"""The office's commands as processes: what operators and scripts see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sepe_io.framefile import read_frames
from sepe_io.frames import reopen_frame
from surge.lab.policy import print_incomplete
from tests.support.office import HOME_NIK, OTHER_NIK, line
from tests.support.processes import node_run, running, sepe, sepe_json


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "oebobo"
    done = sepe(
        "node", "init", folder, "--node", "537104-1", "--hub", "127.0.0.1:1",
        "--printer", f"folder:{tmp_path / 'cards'}", "--blanks", "5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return print_incomplete(folder)


def answers(text: str) -> list[dict[str, Any]]:
    return [json.loads(one) for one in text.splitlines()]


def good(number: int, **fields: Any) -> bytes:
    return json.dumps(line(f"53710441019{number:01d}9001"[:12] + f"9{number:03d}", **fields)).encode()


def bad_lines() -> list[tuple[bytes, str]]:
    """Every kind of line that must be refused, with a word that its reason must hold."""

    def spoilt(**fields: Any) -> bytes:
        return json.dumps(line(**fields), ensure_ascii=False).encode("utf-8", "surrogatepass")

    return [
        (spoilt(nik="537104410190900"), "16"),
        (spoilt(nik="53710441019090011"), "16"),
        (spoilt(nik="٥٣٧١٠٤٤١٠١٩٠٩٠٠١"), "NIK"),
        (spoilt(nik="537104410190900¹"), "NIK"),
        (spoilt(nik="5371044101909001\n"), "NIK"),
        (spoilt(nik="5371047102909001"), "tanggal"),  # 31 February
        (spoilt(nik="5371044101900000"), "0000"),
        (spoilt(nik=5371044101909001), "teks"),
        (b'{"nik": "5371044101909001", "name": ', "terpotong"),
        (b"[1, 2, 3]", "objek"),
        (b"nik;name;birth_date", "JSON"),
        (spoilt(name=None), "name"),
        (spoilt(name="MARIA \U0001f600"), "name"),
        (spoilt(name="M" * 10_000), "100"),
        (spoilt(birth_date="1990-02-31"), "kalender"),
        (spoilt(sex="X"), "L, P"),
        (spoilt(product="passport"), "ktp-el"),
        (spoilt(photo="not-a-picture.jpg"), "photo"),
        (spoilt(photo="missing.jpg"), "foto"),
        (b'{"nik": "5371044101909001", "nik": "5371044101909002"}', "dua kali"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"{" + b'"x": 1, ' * 20_000 + b"}", "KiB"),
    ]


def test_bad_lines_are_refused_with_number_and_reason_and_the_others_recorded(node: Path, tmp_path: Path) -> None:
    (tmp_path / "not-a-picture.jpg").write_bytes(b"\xff\xd8 this is no photo")
    spoilt = bad_lines()
    lines = [good(number % 1000, name="MARIA O'TAEK-LAY") for number in range(1000 - len(spoilt))]
    expected: dict[int, str] = {}
    for index, (data, _) in enumerate(spoilt[:-1]):
        lines.insert(7 + index * 43, data)
    for number, data in enumerate(lines, start=1):
        for bad, word in spoilt:
            if data == bad:
                expected[number] = word
    # The last line ends in the middle.
    lines.append(b'{"nik": "5371044101909001", "name": "MAR')
    expected[len(lines)] = "terpotong"
    source = tmp_path / "lines.jsonl"
    source.write_bytes(b"\n".join(lines))
    done = sepe("node", "record", node, source)
    assert done.returncode == 1, done.stderr
    found = answers(done.stdout)
    assert [one["line"] for one in found] == list(range(1, 1001))
    refused = {one["line"]: one["error"] for one in found if not one["ok"]}
    assert refused.keys() == expected.keys()
    for number, word in expected.items():
        assert word in refused[number], (number, refused[number])
        assert "5371044101909001" not in refused[number], "a NIK is masked in errors"
    status = sepe_json("node", "status", node)
    # Two events of the opening stock come first.
    assert status["last_seq"] == status["pending"] == 2 + 1000 - len(spoilt)


def test_an_answer_has_the_keys_of_the_contract(node: Path) -> None:
    done = sepe("node", "record", node, "-", text=json.dumps(line()) + "\n\n" + "{}\n")
    first, second = answers(done.stdout)
    assert first.keys() == second.keys() == {"line", "ok", "event", "nik", "status", "warnings", "error"}
    assert (first["line"], first["ok"], first["nik"], first["status"]) == (1, True, HOME_NIK, "queued")
    assert first["event"].startswith("537104-1:") and first["event"].endswith(":3")
    assert (second["line"], second["ok"], second["event"]) == (3, False, None), "a blank line counts, silently"


def test_a_photo_beside_the_file_is_kept_and_printed(node: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 400), "gray").save(tmp_path / "maria.jpg")
    source = tmp_path / "one.jsonl"
    source.write_text(json.dumps(line(photo="maria.jpg")) + "\n")
    assert sepe("node", "record", node, source).returncode == 0
    (kept,) = (path for path in (node / "photos").rglob("*") if path.is_file())
    assert kept.read_bytes() == (tmp_path / "maria.jpg").read_bytes()
    assert sepe("node", "print", node, HOME_NIK).returncode == 0
    assert sepe_json("node", "doctor", node)["ok"]
    kept.write_bytes(b"damaged")
    assert not sepe_json("node", "doctor", node, code=1)["ok"]


def test_printing_handing_over_and_the_day_that_closes(node: Path, tmp_path: Path) -> None:
    lines = [line(), line(), line(OTHER_NIK), line("5371044101909002", product="ikd"),
             line("5371040101209003", birth_date="2020-01-01", sex="L", product="kia")]  # fmt: skip
    done = sepe("node", "record", node, "-", text="".join(json.dumps(one) + "\n" for one in lines))
    assert [one["status"] for one in answers(done.stdout)][:4] == [
        "queued",
        "already_requested",
        "queued",
        "recorded",
    ]
    printed = sepe_json("node", "print", node, "--all", code=1)
    states = {(one["nik"], one["product"]): one["state"] for one in printed}
    assert states[HOME_NIK, "ktp-el"] == "printed"
    assert states[OTHER_NIK, "ktp-el"] == "waiting_right"
    assert len(list((tmp_path / "cards").glob("*.pdf"))) == 2
    (forced,) = sepe_json("node", "print", node, OTHER_NIK, "--override", "--reason", "pemilu besok")
    assert forced["state"] == "printed" and forced["override"] == "pemilu besok"
    (handed,) = sepe_json("node", "hand-over", node, HOME_NIK)
    assert handed["state"] == "handed_over"
    assert sepe("node", "hand-over", node, HOME_NIK).returncode == 1
    report = sepe_json("node", "report", node)
    assert (report["recorded"], report["closes"]) == (5, True)
    ktp = next(one for one in report["products"] if one["product"] == "ktp-el")
    assert ktp["parts"] == {"queued": 2, "already_requested": 1}
    assert ktp["prints"] == {"handed_over": 1, "printed": 1}
    assert sepe_json("node", "doctor", node)["ok"]


def test_status_has_the_fields_of_the_contract_and_works_with_no_hub_ever(node: Path) -> None:
    status = sepe_json("node", "status", node)
    assert {
        "node", "epoch", "last_seq", "durable_seq", "pending", "oldest_pending_seconds", "link", "prints", "blanks",
        "clock_skew_ms", "disk_free_bytes",
    } <= status.keys()  # fmt: skip
    assert (status["node"], status["link"], status["blanks"]) == ("537104-1", "offline", {"ktp-el": 5, "kia": 5})


def test_blanks_are_received_moved_and_written_off_and_the_books_close(node: Path) -> None:
    stock = ("--product", "ktp-el")
    assert (
        sepe_json("node", "blanks", "receive", node, *stock, "--first", "A008", "--last", "A012")["at_hand"] == 10
    )
    assert sepe("node", "blanks", "receive", node, *stock, "--first", "A012").returncode == 2
    assert sepe("node", "blanks", "receive", node, *stock, "--first", "A1", "--last", "B2").returncode == 2
    moved = sepe_json(
        "node", "blanks", "move", node, *stock, "--first", "A008", "--last", "A009", "--to", "537105-1"
    )
    assert moved["at_hand"] == 8
    spoilt = sepe_json("node", "blanks", "spoil", node, *stock, "--first", "A010", "--reason", "tanpa chip")
    assert spoilt["at_hand"] == 7
    assert sepe("node", "blanks", "spoil", node, *stock, "--first", "A010", "--reason", "lagi").returncode == 2
    counts = sepe_json("node", "blanks", "count", node)
    assert counts["ktp-el"] == {"at_hand": 7, "moved_out": 2, "spoiled": 1}


def test_the_courier_file_holds_exactly_what_the_centre_lacks(node: Path, tmp_path: Path) -> None:
    text = "".join(json.dumps(line(f"53710441019{n // 1000}{9000 + n % 1000}")) + "\n" for n in range(1500))
    assert sepe("node", "record", node, "-", text=text).returncode == 0
    told = sepe_json("node", "export-unsent", node, tmp_path / "news.frames")
    frames = [reopen_frame(data) for data in read_frames(tmp_path / "news.frames")]
    assert told["events"] == 1502 == sum(len(frame.columns) for frame in frames)
    assert (frames[0].header.first_seq, frames[-1].header.last_seq) == (1, 1502)
    assert sepe_json("node", "outbox", node, "--limit", "3")["pending"] == 1502


def test_a_directory_that_is_a_node_already_is_left_alone(node: Path) -> None:
    before = (node / "node.key").read_bytes()
    done = sepe("node", "init", node, "--node", "537105-1", "--hub", "h:1")
    assert done.returncode == 2 and "is a node already" in done.stderr
    assert (node / "node.key").read_bytes() == before


@pytest.mark.parametrize(
    ("node_id", "hub", "printer", "named"),
    [
        ("53710-1", "h:1", "folder:x", "53710-1"),
        ("537104-1", "nowhere", "folder:x", "nowhere"),
        ("537104-1", "h:1", "paper", "paper"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_made(
    tmp_path: Path, node_id: str, hub: str, printer: str, named: str
) -> None:
    done = sepe("node", "init", tmp_path / "new", "--node", node_id, "--hub", hub, "--printer", printer)
    assert done.returncode == 2 and named in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_missing_file_or_directory_is_a_usage_error(node: Path, tmp_path: Path) -> None:
    assert sepe("node", "record", node, tmp_path / "none.jsonl").returncode == 2
    assert sepe("node", "status", tmp_path / "none").returncode == 2


def test_commands_work_beside_a_running_node_whose_press_prints(node: Path, tmp_path: Path) -> None:
    with running(node_run(node)):
        assert sepe("node", "record", node, "-", text=json.dumps(line()) + "\n").returncode == 0
        (job,) = sepe_json("node", "print", node, HOME_NIK)
        assert job["state"] == "printed"
        assert len(list((tmp_path / "cards").glob("*.pdf"))) == 1
        assert sepe_json("node", "status", node)["prints"] == {"printed": 1}


def test_operators_read_indonesian_or_english(node: Path) -> None:
    assert "Sambungan" in sepe("node", "status", node).stdout
    assert "Link" in sepe("node", "--lang", "en", "status", node).stdout
