"""Folders of pictures as people have them: what is read, labelled, laid on a ground, left out."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from gan_tune.data import found_pictures, picture_folder
from gan_tune.data.by_name import check_arguments, load_dataset
from gan_tune.data.dataset import SPLITS, Dataset
from gan_tune.data.picture_folder import Broken, opened
from gan_tune.errors import DataError
from gan_tune.starting.seen_data import look

SIZE = 8


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("GAN_TUNE_CACHE", str(folder))
    return folder


def save(path: Path, pixels: np.ndarray | None = None, *, seed: int = 0) -> None:
    """A picture of noise, unless its pixels are given."""
    if pixels is None:
        pixels = np.random.RandomState(seed).randint(0, 256, (12, 12, 3)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def fill(folder: Path, count: int = 12) -> Path:
    for i in range(count):
        save(folder / f"{i:03}.png", seed=zlib.crc32(f"{folder.name} {i}".encode()) % 10_000)
    return folder


def load(root: Path, name: str = "pictures", **args: Any) -> Dataset:
    given = {"root": str(root), "size": SIZE, **args}
    check_arguments(name, **given)
    return load_dataset(name, **given)


def everything(dataset: Dataset) -> np.ndarray:
    return np.concatenate([dataset.split(split) for split in SPLITS])


def said(dataset: Dataset, *words: str) -> bool:
    return any(all(word in note for word in words) for note in dataset.notes)


# ------------------------------------------------------------------ which, and with what labels


@pytest.mark.parametrize("name", ["pictures", "image_folder"])
def test_pictures_beside_sub_folders_are_read_without_labels(name: str, tmp_path: Path) -> None:
    root = fill(tmp_path / "set")
    fill(root / "more")
    fill(root / "more" / "deep" / "deeper")
    dataset = load(root, name)
    assert len(everything(dataset)) == 36
    assert not dataset.labelled
    assert said(dataset, "beside sub-folders", "all 36", "without labels")


def test_sub_folders_alone_are_labels(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for label in ("a", "b", "c"):
        fill(root / label)
    dataset = load(root)
    labels = np.concatenate([dataset.labels(split) for split in SPLITS])
    assert np.bincount(labels).tolist() == [12, 12, 12]
    assert not said(dataset, "labels")


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({"a": 40, "b": 9}, ("sub-folder b holds 9", "labels need 10", "all 49")),
        ({"a": 40}, ()),
    ],
)
def test_too_small_or_single_sub_folders_are_no_labels(
    classes: dict[str, int], words: tuple[str, ...], tmp_path: Path
) -> None:
    for label, count in classes.items():
        fill(tmp_path / "set" / label, count)
    dataset = load(tmp_path / "set")
    assert not dataset.labelled
    assert said(dataset, "without labels") == bool(words)
    assert not words or said(dataset, *words)


def test_more_than_a_thousand_sub_folders_are_no_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_tune.data.found_folder.MAX_CLASSES", 2)
    for label in ("a", "b", "c"):
        fill(tmp_path / "set" / label)
    assert said(load(tmp_path / "set"), "3 sub-folders are more than 2 classes")


HIDDEN = (
    "cats/.ipynb_checkpoints/x.png",
    ".Trash-1000/files/x.png",
    "cats/@eaDir/x.png/SYNO.png",
    "cats/.thumbnails/x.png",
    "__MACOSX/cats/x.png",
    "cats/._x.png",
)


@pytest.mark.parametrize("path", HIDDEN)
def test_what_systems_hide_is_left_out_at_every_depth(path: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for label in ("cats", "dogs"):
        fill(root / label)
    alone = load(root)
    save(root / path)
    (root / "dogs" / "Thumbs.db").write_text("")
    dataset = load(root)
    np.testing.assert_array_equal(everything(dataset), everything(alone))
    assert said(dataset, "left out: 2", "hidden, thumbnails")


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", 30)
    for name in ("a.txt", "b.txt", "c.heic", "README"):
        (root / name).write_text("")
    fill(tmp_path / "elsewhere")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    deep = root / "below" / "deep"
    deep.mkdir(parents=True)
    (deep / "circle").symlink_to(root)
    dataset = load(root)
    assert len(everything(dataset)) == 42  # a link at the first level is followed
    assert said(dataset, "4 files of other kinds", ".txt 2", ".heic 1", "no suffix 1")
    assert said(dataset, "1 link to folders below the first level")


@pytest.mark.parametrize("suffix", ["jfif", "jpe"])
def test_rarer_suffixes_are_read(suffix: str, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", 30)
    Image.new("RGB", (9, 9)).save(root / f"more.{suffix}", format="JPEG")
    assert len(everything(load(root))) == 31
    plain = load(root, "image_folder")
    assert len(everything(plain)) == 30
    assert said(plain, "left out: 1 pictures of rarer kinds")


def nested(root: Path, depth: int) -> Path:
    """A folder at some depth."""
    root.mkdir(parents=True, exist_ok=True)
    for _ in range(depth):
        root = root / "d"
        root.mkdir()
    return root


@pytest.mark.parametrize("name", ["pictures", "image_folder"])
def test_folders_nested_without_end_are_refused(name: str, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", 30)
    deepest = nested(root, 1_500)
    message = f"{root / 'd'}: must have at most 100 folders within each other: it has more"
    try:
        for function in (check_arguments, load_dataset):
            with pytest.raises(DataError) as caught:
                function(name, root=str(root), size=SIZE)
            assert str(caught.value) == message
    finally:
        os.removedirs(deepest)  # shutil.rmtree would call itself too often


@pytest.mark.parametrize("name", ["pictures", "image_folder"])
def test_as_deep_as_may_be_is_read(name: str, tmp_path: Path) -> None:
    fill(nested(tmp_path / "set", 100), 30)
    assert len(everything(load(tmp_path / "set", name))) == 30


@pytest.mark.parametrize("name", ["pictures", "image_folder"])
@pytest.mark.parametrize("target", ["/", ".", ".."])
def test_a_link_to_what_holds_the_folder_is_not_followed(
    target: str, name: str, tmp_path: Path
) -> None:
    root = fill(tmp_path / "set", 30)
    (root / "sub").symlink_to(target)
    dataset = load(root, name)
    assert len(everything(dataset)) == 30
    assert said(dataset, "left out: 1 link to folders that hold this one")
    assert not said(dataset, "beside sub-folders")


@pytest.mark.parametrize("name", ["pictures", "image_folder"])
def test_a_folder_below_that_cannot_be_read_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "set", 30)
    closed = nested(root, 3)
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for function in (check_arguments, load_dataset):
        with pytest.raises(DataError) as caught:
            function(name, root=str(root), size=SIZE)
        assert str(caught.value) == f"{closed}: must be readable: Permission denied"


# ------------------------------------------------------------------ as before


def plainly(root: Path, crop: str = "centre", channels: int = 3) -> tuple[np.ndarray, Any]:
    """What `image_folder` has read since its first commit, in plain words."""
    inside = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    groups = [[p] if p.is_file() else sorted(p.rglob("*.png")) for p in inside]
    groups = [[p for p in g if not p.name.startswith(".")] for g in groups]
    paths = [path for group in groups for path in group if path.suffix == ".png"]
    labels = np.concatenate([[i] * len(g) for i, g in enumerate(groups)])
    order = np.random.RandomState(0).permutation(len(paths))
    rows = []
    for path in (paths[i] for i in order):
        picture = Image.open(path).convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("L" if channels == 1 else "RGB")
        fitted = np.asarray(picture_folder.CROPS[crop](picture, (SIZE, SIZE)))
        rows.append(fitted.reshape(SIZE, SIZE, channels).transpose(2, 0, 1))
    return np.stack(rows), labels[order] if any(p.is_dir() for p in inside) else None


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [(), ("a", "b")])
def test_what_loaded_before_loads_as_it_did(
    classes: tuple[str, ...], channels: int, tmp_path: Path
) -> None:
    """Hidden pictures below, few pictures a class, black grounds, transparency: all as it was."""
    root = tmp_path / "set"
    for place in [root / label for label in classes] or [root]:
        fill(place, 15)
        for i in range(4):
            pixels = np.zeros((9, 14, 4), np.uint8)
            pixels[3:6, 3:6] = 40 * i + 99
            save(place / f"clear{i}.png", pixels)
            save(place / f"dark{i}.png", pixels[..., :3])
    if classes:
        save(root / "a" / ".hidden" / "x.png")
        (root / "a" / "note.txt").write_text("")
    dataset = load(root, "image_folder", channels=channels)
    rows, labels = plainly(root, channels=channels)
    np.testing.assert_array_equal(everything(dataset), rows)
    assert dataset.labelled == bool(classes)
    if classes:
        found = np.concatenate([dataset.labels(split) for split in SPLITS])
        np.testing.assert_array_equal(found, labels)
        assert said(dataset, "1 of the pictures are hidden", "name: pictures")
        assert said(dataset, "1 file of other kinds")


def test_the_digest_of_a_folder_has_stayed(tmp_path: Path) -> None:
    """Of pixels that are written here without Pillow, so that no version of it matters."""
    root = tmp_path / "set"
    root.mkdir()
    random = np.random.RandomState(0)
    for i in range(24):
        (root / f"{i:02}.png").write_bytes(plain_png(random.randint(0, 256, (SIZE, SIZE, 3))))
    assert load(root, "image_folder").digest == "0e54618203615229"


def plain_png(pixels: np.ndarray) -> bytes:
    """An RGB picture [H, W, 3] as PNG."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(np.uint8).tobytes() for line in pixels)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


# ------------------------------------------------------------------ broken files


@pytest.mark.parametrize("name", ["pictures", "image_folder"])
@pytest.mark.parametrize(("count", "broken"), [(30, 1), (300, 3)])
def test_a_few_broken_files_are_left_out_and_named(
    count: int, broken: int, name: str, tmp_path: Path
) -> None:
    root = fill(tmp_path / "set", count - broken)
    for i in range(broken):
        (root / f"bad{i}.png").write_text("no picture")
    dataset = load(root, name)
    assert len(everything(dataset)) == count - broken
    assert len(dataset.left_out) == broken
    assert dataset.left_out[0].startswith("bad0.png: cannot identify")
    assert said(dataset, "cannot be read", "left out: bad0.png")
    for i in range(broken):
        (root / f"bad{i}.png").unlink()
    assert dataset.digest == load(root, "pictures").digest


@pytest.mark.parametrize("name", ["pictures", "image_folder"])
@pytest.mark.parametrize(("count", "broken"), [(30, 2), (300, 4)])
def test_more_broken_files_are_refused(count: int, broken: int, name: str, tmp_path: Path) -> None:
    root = fill(tmp_path / "set", count - broken)
    for i in range(broken):
        (root / f"zz{i}.png").write_text("no picture")
    for _ in range(2):  # found, and remembered
        with pytest.raises(DataError, match=rf"{broken} of {count} broken: zz0\.png: ") as caught:
            load(root, name)
        assert "\n" not in str(caught.value)


def test_a_folder_that_holds_nothing_readable_is_refused_before_it_is_loaded(
    tmp_path: Path,
) -> None:
    root = tmp_path / "set"
    root.mkdir()
    (root / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"none found \(left out: 1 file of other kinds \(.txt 1"):
        check_arguments("pictures", root=str(root), size=SIZE)
    for i in range(30):
        (root / f"{i}.png").write_text("no picture")
    with pytest.raises(DataError, match="2 of 30 broken"):
        check_arguments("pictures", root=str(root), size=SIZE)


def test_a_link_to_nowhere_is_a_broken_file(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", 30)
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert load(root).left_out[0].startswith("gone.png: ")


NO_FILE = "must be a regular file, not a pipe, socket or device"


def test_a_pipe_among_pictures_is_a_broken_file(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", 30)
    os.mkfifo(root / "000a.png")
    assert look(root, largest=SIZE).count == 30
    dataset = load(root)
    assert dataset.left_out == (f"000a.png: {NO_FILE}",)
    assert said(load(root, "image_folder"), "left out: 1 name without a regular file")


def test_what_pillow_warns_of_is_not_printed(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", 30)
    palette = Image.new("P", (12, 12))
    palette.putpalette(bytes(range(30)))
    palette.save(root / "palette.png", transparency=bytes([0, 99, 255]))
    exif = b"Exif\0\0II*\0\x08\0\0\0\x09\0" + b"\xff" * 20
    Image.new("RGB", (12, 12)).save(root / "camera.jpg", exif=exif)
    code = (
        "import sys; from pathlib import Path; from gan_tune.starting.seen_data import look; "
        "look(Path(sys.argv[1]), largest=8)"
    )
    command = [sys.executable, "-c", code, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Warning" not in done.stderr


def test_what_pillow_says_is_told_in_short_without_addresses(tmp_path: Path) -> None:
    error = OSError(f"no picture: <PIL.X object at 0x7f0012>, {'x' * 999}\nmore")
    reason = Broken.by(tmp_path, error).reason
    assert reason == f"no picture: <PIL.X>, {'x' * 999}"[:197] + "..."
    assert Broken.by(tmp_path, ValueError()).reason == "ValueError"


def test_pipes_alone_are_no_pictures(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for i in range(20):
        os.mkfifo(root / f"{i:02}.png")
    with pytest.raises(DataError) as caught:
        check_arguments("pictures", root=str(root), size=SIZE)
    rule = f"{root}: must hold pictures that Pillow can open (repair or remove the others)"
    assert str(caught.value) == f"{rule}: 2 of 20 broken: 00.png: {NO_FILE}; 01.png: {NO_FILE}"


def damaged(**changed: object) -> Callable[[dict[str, Any]], str]:
    return lambda stored: json.dumps({**stored, **changed})


DAMAGED: dict[str, Callable[[dict[str, Any]], str]] = {
    "empty": lambda stored: "",
    "no object": lambda stored: "[[1, 2]]",
    "pairs that are no keys": lambda stored: "[[[1], 2]]",
    "null": lambda stored: "null",
    "without keys": lambda stored: "{}",
    "nested": lambda stored: '{"a":' * 100_000,
    "another key": damaged(more=1),
    "a key less": lambda stored: json.dumps({"broken": stored["broken"]}),
    "broken: none": damaged(broken=None),
    "broken: a place": damaged(broken=[3]),
    "broken: no reason": damaged(broken=[[29, None]]),
    "broken: no place": damaged(broken=[["29", "why"]]),
    "broken: beyond the files": damaged(broken=[[30, "why"]]),
    "broken: before the files": damaged(broken=[[-1, "why"]]),
    "broken: twice": damaged(broken=[[29, "why"], [29, "why"]], opaque=28),
    "broken: more than there are": damaged(broken=[[28, "why"], [29, "why"]]),
    "ground: a word": damaged(ground="abc"),
    "ground: two levels": damaged(ground=[1, 2]),
    "ground: nested": damaged(ground=[[1], 2, 3]),
    "ground: too light": damaged(ground=[1, 2, 256]),
    "pads: a word": damaged(pads="no"),
    "grounds: a word": damaged(grounds="many"),
    "opaque: a fraction": damaged(opaque=29.0),
    "not_square: true": damaged(not_square=True),
    "need_pad: too many": damaged(need_pad=31),
    "need_crop: below 0": damaged(need_crop=-1),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=list(DAMAGED))
def test_what_is_remembered_is_found_again_where_its_file_is_damaged(
    damage: Callable[[dict[str, Any]], str], tmp_path: Path, cache: Path
) -> None:
    root = fill(tmp_path / "set", 29)
    (root / "bad.png").write_text("no picture")
    first = load(root)
    (path,) = (cache / "folders").iterdir()
    whole = path.read_text()
    path.write_text(damage(json.loads(whole)))
    again = load(root)
    assert (again.digest, again.notes, again.left_out) == (
        first.digest,
        first.notes,
        first.left_out,
    )
    assert path.read_text() == whole


@pytest.mark.parametrize("content", ["[[1, 2]]", "{}", '{"a":1}', '{"a":' * 100_000])
def test_a_refusal_is_found_again_where_its_file_is_damaged(
    content: str, tmp_path: Path, cache: Path
) -> None:
    root = fill(tmp_path / "set", 29)
    (root / "bad.png").write_text("no picture")
    first = load(root, "image_folder")
    for path in (cache / "folders").iterdir():
        path.write_text(content)
    assert load(root, "image_folder").left_out == first.left_out


def test_a_pipe_among_what_is_remembered_is_not_waited_for(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "set", 30)
    digest = load(root).digest
    for path in (cache / "folders").iterdir():
        path.unlink()
        os.mkfifo(path)
    assert load(root).digest == digest


def test_pictures_are_looked_at_and_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "set", 29)
    (root / "bad.png").write_text("no picture")
    first = load(root, "image_folder")
    again = {"root": str(root), "size": SIZE}
    monkeypatch.setattr(Image, "open", lambda path: pytest.fail("opened again"))
    second = load_dataset("image_folder", **again)
    assert second.digest == first.digest
    assert second.notes == first.notes
    assert second.left_out == first.left_out


@pytest.mark.parametrize("name", ["pictures", "image_folder"])
def test_a_file_that_changes_while_it_is_read_is_told(
    name: str, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "set", 30)
    load(root, name, size=16)  # what was seen of the files is known now

    def change(*args: Any) -> Image.Image:
        os.utime(root / "007.png", (1, 1))
        return Image.new("RGB", (SIZE, SIZE))

    monkeypatch.setattr(picture_folder, "CROPS", {"centre": change})
    monkeypatch.setattr(found_pictures, "SQUARES", {"centre": change})
    with pytest.raises(DataError, match=r"must not change .*: 1 of 30 did, as 007"):
        load(root, name, crop="centre")
    assert len(list((cache / "arrays").iterdir())) == 1


# ------------------------------------------------------------------ grounds and squares


def on_ground(colour: tuple[int, int, int], height: int = 12, width: int = 12) -> np.ndarray:
    pixels = np.full((height, width, 3), colour, np.uint8)
    pixels[height // 3 : -height // 3, width // 3 : -width // 3] = (200, 90, 30)
    return pixels


def transparent() -> np.ndarray:
    pixels = np.zeros((12, 12, 4), np.uint8)
    pixels[4:8, 4:8] = (200, 90, 30, 255)
    return pixels


@pytest.mark.parametrize(
    ("others", "ground", "words"),
    [
        ({(0, 0, 0): 20, (255, 255, 255): 8}, (0, 0, 0), ("on black", "of 20 of the 28 others")),
        ({(16, 32, 160): 28}, (16, 32, 160), ("on #1020a0", "of 28 of the 28 others")),
        ({(0, 0, 0): 14, (255, 255, 255): 14}, (255, 255, 255), ("on white", "no common ground")),
        ({}, (255, 255, 255), ("on white", "stand out")),
    ],
)
def test_transparent_pictures_lie_on_the_ground_of_most_others(
    others: dict[tuple[int, int, int], int],
    ground: tuple[int, int, int],
    words: tuple[str, ...],
    tmp_path: Path,
) -> None:
    root = tmp_path / "set"
    for i in range(22):
        save(root / f"clear{i:02}.png", transparent())
    for colour, count in others.items():
        for i in range(count):
            save(root / f"solid{colour}{i:02}.png", on_ground(colour))
    dataset = load(root, size=12)
    assert said(dataset, "22 transparent pictures lie", *words)
    rows = everything(dataset).transpose(0, 2, 3, 1)
    corners = [tuple(row[0, 0].tolist()) for row in rows]
    assert corners.count(ground) == 22 + others.get(ground, 0)


def test_light_pictures_that_are_all_transparent_lie_on_black(tmp_path: Path) -> None:
    pixels = transparent()
    pixels[..., :3] = 250
    for i in range(22):
        save(tmp_path / "set" / f"{i}.png", pixels)
    assert said(load(tmp_path / "set"), "22 transparent", "on black")


def wide_content(colour: tuple[int, int, int]) -> np.ndarray:
    """Something long on a ground: a crop would cut off both of its ends."""
    pixels = np.full((12, 36, 3), colour, np.uint8)
    pixels[5:7, 3:33] = (200, 90, 30)
    return pixels


@pytest.mark.parametrize(
    ("make", "padded", "words"),
    [
        (lambda i: wide_content((255, 255, 255)), True, ("padded", ": 30 would")),
        (
            lambda i: np.random.RandomState(i).randint(0, 256, (12, 36, 3)),
            False,
            ("cropped", "only 0 would"),
        ),
        (lambda i: on_ground((0, 0, 0), 12, 14), False, ("cropped", "only 0 would")),
    ],
    ids=["long things on white", "photographs", "nothing to lose"],
)
def test_pictures_are_cropped_or_padded_as_most_need(
    make: Callable[[int], np.ndarray], padded: bool, words: tuple[str, ...], tmp_path: Path
) -> None:
    root = tmp_path / "set"
    for i in range(30):
        save(root / f"{i:02}.png", make(i).astype(np.uint8))
    dataset = load(root)
    assert said(dataset, *words, "30 pictures that are not square")
    same = load(root, crop="pad" if padded else "centre")
    np.testing.assert_array_equal(everything(dataset), everything(same))
    assert not said(same, "that are not square")


def test_square_pictures_need_nothing(tmp_path: Path) -> None:
    dataset = load(fill(tmp_path / "set", 30))
    assert len(dataset.notes) == 1
    assert said(dataset, "30 samples are few")


@pytest.mark.parametrize("channels", [1, 3])
def test_padding_shows_the_whole_picture_on_its_own_ground(channels: int, tmp_path: Path) -> None:
    for i in range(30):
        save(tmp_path / "set" / f"{i:02}.png", wide_content((10, 10, 10)))
    picture = everything(load(tmp_path / "set", size=36, crop="pad", channels=channels))[0]
    assert (picture[:, :12] == 10).all()
    assert (picture[:, 24:] == 10).all()
    assert (picture[0, 17, [2, 3, 32, 33]] > 50).tolist() == [False, True, True, False]


def test_one_picture_many_times_is_refused(tmp_path: Path) -> None:
    from gan_tune.config import Part
    from gan_tune.parts.trial_data import dataset_of

    for i in range(30):
        save(tmp_path / "set" / f"{i}.png", on_ground((0, 0, 0)))
    part = Part(name="pictures", args={"root": str(tmp_path / "set"), "size": SIZE})
    with pytest.raises(DataError, match="train must hold samples that differ: all 24 are equal"):
        dataset_of(part)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


def test_a_file_of_another_format_is_not_opened_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *args, **_: started.append(args))
    (tmp_path / "one.png").write_bytes(EPS)
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.format == "EPS"  # Pillow itself would
    with pytest.raises(UnidentifiedImageError):
        opened(tmp_path / "one.png")
    for number in range(24):
        save(tmp_path / f"sound{number}.png", seed=number)
    read = load_dataset("image_folder", root=str(tmp_path), size=8)
    assert sum(len(read.split(split)) for split in SPLITS) == 24
    assert not started


def test_a_picture_that_promises_too_many_pixels_is_refused(tmp_path: Path) -> None:
    row = zlib.compress(bytes(10))
    head = struct.pack(">II5B", 10_000, 9_000, 8, 0, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    chunks = (chunk(b"IHDR", head), chunk(b"IDAT", row), chunk(b"IEND", b""))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(ValueError, match=r"at most 89,478,485 pixels, but has 10,000 x 9,000"),
    ):
        opened(tmp_path / "bomb.png")
