"""Where searches live: folders with odd names, full and read-only disks, buckets, and the lock."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from benchmarks.servers import bucket_uri, s3
from gan_tune.errors import StorageError
from gan_tune.searching.study.opening import open_study
from gan_tune.service.running.names import choose_name
from gan_tune.service.running.note import SearchNote
from gan_tune.service.running.study_place import study_of_search
from gan_tune.service.space_and_setting import load_space
from gan_tune.service.status_from_folder import folder_status
from gan_tune.service.stored_study import read_study
from gan_tune.storage import storage as storage_module
from gan_tune.storage.disk import HAS_HANDLES
from gan_tune.storage.lease import hold
from gan_tune.storage.places import STUDY_NOTE, driver_folder, look_in
from gan_tune.storage.storage import Storage, open_storage

ODD_NAMES = [
    "a b",
    "100%",
    "%20",
    "a#b",
    "a?b=c",
    "ä☃",
    "a;b&c",
    "a:b",
    "a+b",
    "-rf",
    "a'\"b",
    ".x",
]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """`s3://KEY:SECRET@gan-tune` with options."""
    with s3() as port:
        yield bucket_uri(port)


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty storage of each kind."""
    if request.param == "folder":
        return open_storage(tmp_path)
    return open_storage(request.getfixturevalue("bucket")).below(tmp_path.name)


def _wait_until(true: Callable[[], bool], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@contextmanager
def _one_line_error(
    part: str, *, seconds: float = 20
) -> Iterator[pytest.ExceptionInfo[StorageError]]:
    began = time.monotonic()
    with pytest.raises(StorageError) as caught:
        yield caught
    assert time.monotonic() - began < seconds
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("storage: ")
    assert part in text
    assert "SECRET" not in text


# -------------------------------------------------------------------- any storage


def test_files_read_back(storage: Storage) -> None:
    storage.write("trials/0001/grid.png", b"\x00\xff")
    storage.write("trials/0001/grid.png", b"new")
    storage.write_json("result.json", {"a": [1, None]})
    assert storage.read("trials/0001/grid.png") == b"new"
    assert storage.read_json("result.json") == {"a": [1, None]}
    assert storage.names() == ["result.json", "trials"]
    assert storage.names("trials") == ["0001"]
    assert storage.below("trials", "0001").names() == ["grid.png"]
    assert pickle.loads(pickle.dumps(storage.below("trials"))).names("0001") == ["grid.png"]


def test_a_file_is_created_only_where_there_is_none(storage: Storage) -> None:
    assert storage.create("lease/1 %.json", b"mine")
    assert not storage.create("lease/1 %.json", b"another's")
    assert storage.create("lease/1 %.json", b"mine"), "the answer to the first try may be lost"
    assert storage.read("lease/1 %.json") == b"mine"
    assert storage.below("lease").names() == ["1 %.json"]
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda n: storage.create("once", b"%d" % n), range(20)))
    assert made.count(True) == 1
    assert storage.read("once") == b"%d" % made.index(True)


def test_what_is_absent(storage: Storage) -> None:
    storage.write("file", b"")
    assert storage.read("file") == b""
    for path in ("nothing", "no/thing", "file/below"):
        assert storage.read(path) is None
        assert storage.read_json(path) is None
        assert storage.names(path) == []
        storage.delete(path)
    storage.delete("file")
    storage.delete("file")
    assert storage.read("file") is None


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_lead_to_the_same_file(storage: Storage, name: str) -> None:
    below = storage.below(name, "trials")
    below.write(f"{name}.json", b"1")
    assert storage.read(f"{name}/trials/{name}.json") == b"1"
    assert pickle.loads(pickle.dumps(below)).read(f"{name}.json") == b"1"
    hidden = name.startswith(".")
    assert below.names() == ([] if hidden else [f"{name}.json"])


def test_damaged_json_is_named(storage: Storage) -> None:
    storage.write("a/result.json", b'{"torn')
    with _one_line_error("a/result.json must be JSON"):
        storage.read_json("a/result.json")


# -------------------------------------------------------------------- folders


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    root = open_storage(tmp_path / name / "runs")
    root.write("x", b"1")
    assert (tmp_path / name / "runs" / "x").read_bytes() == b"1"
    assert root.folder == tmp_path / name / "runs"
    assert root.readable_path("x") == str(tmp_path / name / "runs" / "x")
    as_uri = Storage((tmp_path / name / "runs").as_uri())
    assert as_uri.read("x") == b"1"
    assert as_uri.folder == root.folder


def test_a_name_that_is_not_unicode(tmp_path: Path) -> None:
    root = open_storage(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    root.write("\udcfe", b"1")
    assert root.names() == ["\udcfe"]


def test_relative_and_home_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_storage("runs").folder == tmp_path / "runs"
    assert open_storage("~/runs").folder == tmp_path / "home" / "runs"


@pytest.mark.parametrize(
    ("location", "part"),
    [
        ("", "must be a folder or a URI"),
        ("s3:/bucket/runs", "must be a folder or a URI"),
        ("http://127.0.0.1/runs", "must be a folder or a URI"),
        ("hdfs://nowhere/runs", "must be a folder or a URI"),
        ("s3:///runs", "must be a folder or a URI"),
        ("ftp://KEY:SECRET@nowhere/runs", "must be a folder or a URI"),
        ("~nobody-of-that-name/runs", "cannot make the folder"),
        ("a\0b", "cannot make the folder"),
    ],
)
def test_locations_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with _one_line_error(part):
        open_storage(location)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with _one_line_error("must be a folder, but is a file"):
        open_storage(tmp_path / "file")
    with _one_line_error("cannot make the folder"):
        open_storage(tmp_path / "file" / "runs")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_folder_where_the_file_should_be(tmp_path: Path) -> None:
    root = open_storage(tmp_path)
    (tmp_path / "x" / "y").mkdir(parents=True)
    with _one_line_error("cannot read"):
        root.read("x")
    with _one_line_error("cannot write"):
        root.write("x", b"")
    with _one_line_error("cannot delete"):
        root.delete("x")
    assert root.names() == ["x"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x"]


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    """A small file system of its own in a folder, where this process may mount one."""
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if (
        mount is None
        or os.geteuid() != 0
        or subprocess.run(command, capture_output=True).returncode
    ):
        pytest.skip("mounting a file system needs root and the right to do so")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(tmp_path: Path) -> None:
    with _mounted(tmp_path / "disk", "size=64k"):
        root = open_storage(tmp_path / "disk")
        root.write("result.json", b"old")
        with _one_line_error("No space left"):
            root.write("result.json", b"x" * 200_000)
        assert root.read("result.json") == b"old"
        assert os.listdir(tmp_path / "disk") == ["result.json"]  # nothing half-written is left


def test_a_read_only_disk(tmp_path: Path) -> None:
    with _mounted(tmp_path / "disk", "ro"):
        with _one_line_error("Read-only file system"):
            open_storage(tmp_path / "disk")
        with _one_line_error("Read-only file system"):
            open_storage(tmp_path / "disk" / "runs")
        home = look_in(tmp_path / "disk").below("search").patient(0)
        with _one_line_error("Read-only file system"), hold(home, "search"):
            pass


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root, see the mounted one")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with _one_line_error("Permission denied"):
        open_storage(tmp_path)
    home = look_in(tmp_path).below("search").patient(0)
    with _one_line_error("Permission denied"), hold(home, "search"):
        pass


def test_a_write_that_hits_a_limit_leaves_the_old_file(tmp_path: Path) -> None:
    """As a full disk, but nobody needs a right to mount for it."""
    root = open_storage(tmp_path)
    root.write("result.json", b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with _one_line_error("File too large"):
            root.write("result.json", b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert root.read("result.json") == b"old"
    assert os.listdir(tmp_path) == ["result.json"]


WRITER = """
import sys
from gan_tune.storage.storage import Storage
root = Storage(sys.argv[1])
print("begun", flush=True)
for turn in range(10**9):
    root.write("file", bytes([65 + turn % 26]) * 300_000)
"""


def test_a_killed_writer_tears_nothing(tmp_path: Path) -> None:
    for pause in (0.0, 0.003, 0.01, 0.05, 0.1):
        with _python(WRITER, str(tmp_path)) as writer:
            _wait_until((tmp_path / "file").exists)
            time.sleep(pause)
            writer.kill()
        content = Storage(str(tmp_path)).read("file")
        assert content is not None
        assert len(content) == 300_000
        assert len(set(content)) == 1
    assert Storage(str(tmp_path)).names() == ["file"]  # what a kill leaves behind is hidden


@contextmanager
def _python(code: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said its first word."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "begun"
        yield process
    finally:
        process.kill()
        process.communicate()


# -------------------------------------------------------------------- buckets


def test_a_bucket_is_remote_and_hides_its_key(bucket: str) -> None:
    root = open_storage(bucket)
    assert root.folder is None
    assert root.uri == "s3://gan-tune/runs"
    assert root.below("a b").readable_path("champion.png") == "s3://gan-tune/runs/a b/champion.png"


def test_each_place_behind_a_uri_has_a_folder_of_its_own_on_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    host = "scheme=http&endpoint_override=127.0.0.1:9"
    uris = [
        "s3://gan-tune/runs?region=us-east-1",
        "s3://gan-tune/runs-2?region=us-east-1",
        "s3://other/runs?region=us-east-1",
        f"s3://gan-tune/runs?{host}",
        "s3://gan-tune-runs?region=us-east-1",
    ]
    folders = [driver_folder(Storage(uri).below("digits"), "digits") for uri in uris]
    local = driver_folder(Storage(str(tmp_path / "gan_tune_runs"), "digits"), "digits")
    assert len({*folders, local}) == len(uris) + 1
    assert local not in {folder.parent for folder in folders}
    same = [
        "s3://KEY:SECRET@gan-tune/runs/?region=us-east-1",
        "s3://gan-tune/runs?region=eu-west-1",
    ]
    for uri in same:
        folder = driver_folder(Storage(uri).below("digits"), "digits")
        assert folder == folders[0]
        assert "SECRET" not in str(folder)
    assert folders[0].relative_to(tmp_path).parts[:2] == ("gan_tune_runs", ".remote")
    assert "s3-gan-tune-runs" in folders[0].parent.name
    assert Storage(str(tmp_path / "gan_tune_runs")).names() == []


def test_a_new_search_in_a_bucket_is_no_old_one(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one name: here, in a bucket, in another folder of it, and after the bucket was emptied."""
    monkeypatch.chdir(tmp_path)
    space = load_space("digits")
    places = ["gan_tune_runs", bucket, bucket.replace("/runs", "/more")]
    for place in places:
        home = open_storage(place).below("toy")
        driver_folder(home, "toy").mkdir(parents=True)
        assert study_of_search(space, home, "toy").proposed() == 0
        study_of_search(space, home, "toy").ask()
        assert study_of_search(space, home, "toy").proposed() == 1
    home = open_storage(bucket).below("toy")
    home.delete(STUDY_NOTE)
    with _one_line_error("belongs to a search in another folder; use another --name"):
        study_of_search(space, home, "toy")
    assert home.read(STUDY_NOTE) is None
    root = open_storage(bucket.replace("/runs", "/emptied"))
    driver_folder(root.below("toy"), "toy").mkdir(parents=True)
    assert choose_name(root, "toy", space, (), fresh=True) == "toy-2"


def test_an_earlier_versions_study_moves_from_the_drivers_disk_into_the_bucket(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space, home = load_space("digits"), open_storage(bucket).below("moved")
    local = driver_folder(home, "moved")
    local.mkdir(parents=True)
    journal = local / "study.journal"
    earlier = open_study(journal, space, name="moved", owner="of the folder")
    earlier.ask()
    lines = journal.read_bytes()
    journal.write_bytes(lines + b'{"torn')
    home.write_json(STUDY_NOTE, {"url": None, "owner": "of the folder", "space": space.digest})
    home.write("trials/0000/trial.json", b"{}")
    assert len(read_study(home, "moved").trials) == len(earlier.optuna_study.trials)
    assert journal.exists(), "a reader moves nothing"
    study = study_of_search(space, home, "moved")
    assert [job.setting for job in study.finish_proposals()] == [0]
    study.ask()
    assert home.read("study/000001.jsonl") == lines
    assert [path.name for path in local.iterdir()] == ["study.journal.moved"]
    # Another machine, and one of an earlier search of that name.
    monkeypatch.chdir("/")
    assert study_of_search(space, home, "moved").proposed() == 2
    assert len(read_study(home, "moved").trials) == len(study.optuna_study.trials)
    monkeypatch.chdir(tmp_path)
    journal.write_bytes(lines.replace(b"of the folder", b"of another"))
    assert study_of_search(space, home, "moved").proposed() == 2
    assert journal.exists()


def test_a_bucket_that_is_not_there(bucket: str) -> None:
    with _one_line_error("NO_SUCH_BUCKET"):
        open_storage(bucket.replace("@gan-tune", "@other"))


@pytest.mark.ci
def test_a_store_that_is_not_there() -> None:
    for host, code in (("127.0.0.1:1", 1), ("nowhere.invalid", 2)):
        with _one_line_error("NETWORK_CONNECTION") as caught:
            open_storage(f"s3://KEY:SECRET@gan-tune/runs?scheme=http&endpoint_override={host}")
        assert caught.value.exit_code == code


def test_no_credentials(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with _one_line_error("gan-tune/runs"):
        open_storage(bucket.replace("KEY:SECRET@", ""))


def test_google_stores_are_not_tried_for_a_quarter_of_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage_module, "GCS_PATIENCE", 1)
    uri = "gs://anonymous@gan-tune/runs?scheme=http&endpoint_override=127.0.0.1:1"
    with _one_line_error("gs://gan-tune/runs"):
        open_storage(uri)


def test_what_is_written_has_reached_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut would else leave an empty file of the right name."""
    synced: dict[int, int] = {}
    plain = os.fsync

    def fsync(descriptor: int) -> None:
        plain(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return  # the folder's turn comes once the name is there
        assert (tmp_path / "a" / "b.json").read_bytes() == b"old"
        synced[os.fstat(descriptor).st_ino] = os.fstat(descriptor).st_size

    storage = open_storage(tmp_path)
    storage.write("a/b.json", b"old")
    monkeypatch.setattr(os, "fsync", fsync)
    storage.write("a/b.json", b"new and longer")
    assert synced.get((tmp_path / "a" / "b.json").stat().st_ino) == len(b"new and longer")


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("handles", [True, False], ids=["handles", "paths"])
@pytest.mark.parametrize("opened", [open_storage, look_in])
def test_links_that_leave_the_storage_are_refused(
    tmp_path: Path,
    opened: Callable[[Path], Storage],
    monkeypatch: pytest.MonkeyPatch,
    *,
    handles: bool,
) -> None:
    monkeypatch.setattr("gan_tune.storage.disk.HAS_HANDLES", handles and HAS_HANDLES)
    (tmp_path / "private").mkdir()
    (tmp_path / "private/key").write_text("secret")
    root = tmp_path / "runs"
    (root / "search/trials").mkdir(parents=True)
    (root / "search/result.json").symlink_to(tmp_path / "private/key")
    (root / "search/trials/0000-0").symlink_to(tmp_path / "private")
    (root / "search/inside.json").symlink_to("note.json")
    (root / "search/note.json").write_text("{}")
    home = opened(root).below("search")
    for refused in (
        lambda: home.read("result.json"),
        lambda: home.read("trials/0000-0/key"),
        lambda: home.names("trials/0000-0"),
        lambda: home.write("trials/0000-0/key", b""),
        lambda: home.delete("trials/0000-0/key"),
    ):
        with pytest.raises(StorageError, match=r"^storage: must be no link out of .*/runs, but "):
            refused()
    assert (tmp_path / "private/key").read_text() == "secret"
    assert home.read("inside.json") == b"{}"
    home.write("result.json", b"1")  # it takes the link's place
    assert home.read("result.json") == b"1"


def test_a_link_that_takes_a_files_place_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("private")
    root = tmp_path / "runs"
    root.mkdir()
    home, over = Storage(str(root)), Event()

    def exchange() -> None:
        while not over.is_set():
            (root / "next").write_text("mine")
            (root / "next").replace(root / "x.json")
            (root / "next").symlink_to(tmp_path / "private")
            (root / "next").replace(root / "x.json")

    neighbour = Thread(target=exchange)
    neighbour.start()
    seen: set[bytes | None] = set()
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        with suppress(StorageError):
            seen.add(home.read("x.json"))
    over.set()
    neighbour.join()
    assert seen - {None, b""} == {b"mine"}


def test_what_a_link_leads_to_is_not_even_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "device").write_text("some begin to work when they are opened")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/x.json").symlink_to(tmp_path / "device")
    home, real = Storage(str(tmp_path / "runs")), os.open
    opened: dict[str, int] = {}

    def noting(path: str, flags: int) -> int:
        descriptor = real(path, flags)
        opened[os.readlink(f"/proc/self/fd/{descriptor}")] = flags
        return descriptor

    monkeypatch.setattr(os, "open", noting)
    with pytest.raises(StorageError, match="must be no link"):
        home.read("x.json")
    assert opened.keys() == {str(tmp_path / "runs"), str(tmp_path / "device")}
    assert all(flags & os.O_PATH for flags in opened.values())


@pytest.mark.parametrize("handles", [True, False], ids=["handles", "paths"])
def test_files_with_and_without_handles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, handles: bool
) -> None:
    """Not every system says where an open file lies."""
    monkeypatch.setattr("gan_tune.storage.disk.HAS_HANDLES", handles and HAS_HANDLES)
    home = open_storage(tmp_path / "runs").below("search")
    assert (home.read("a/b/c"), home.names("a"), home.names()) == (None, [], [])
    home.delete("a/b/c")
    home.write("a/b/c", b"1")
    assert home.create("a/new/d", b"2")
    assert not home.create("a/new/d", b"3")
    (tmp_path / "runs/search/link").symlink_to("a")
    assert (home.read("link/b/c"), home.names("link"), home.names("a/new")) == (
        b"1",
        ["b", "new"],
        ["d"],
    )
    os.mkfifo(tmp_path / "runs/search/pipe")
    for wrong in ("pipe", "a/b"):
        with pytest.raises(StorageError, match=rf"^storage: .*/runs/search/{wrong}"):
            home.read(wrong)
    with pytest.raises(StorageError, match=r"^storage: cannot delete .*Is a directory: '.*/a/b'$"):
        home.delete("a/b")
    with pytest.raises(StorageError, match=r"^storage: cannot write .* '.*/a/b/c'$"):
        home.write("a/b/c/d", b"")
    home.delete("link/b/c")
    assert home.names("a/b") == []


def test_a_storage_that_is_removed_meanwhile_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, real = open_storage(tmp_path / "runs"), os.readlink

    def late(path: str) -> str:
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        return real(path)

    monkeypatch.setattr(os, "readlink", late)
    assert home.names() == []


def test_a_folder_that_may_not_be_listed_is_written_to(tmp_path: Path) -> None:
    """Nothing is opened to be read where something is only written or deleted."""
    code = """
import os, sys
from gan_tune.storage.storage import Storage
home = Storage(sys.argv[1])
home.write("x", b"1")
home.delete("x")
if not os.getuid():
    os.setuid(65534)  # root may list any folder
home.write("in/x", b"1")
home.delete("in/x")
"""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        place.chmod(0o711)
        (place / "in").mkdir()
        (place / "in").chmod(0o333)
        done = subprocess.run(
            [sys.executable, "-c", code, str(place)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        (place / "in").chmod(0o755)
        assert not list((place / "in").iterdir())
    finally:
        shutil.rmtree(place)


def test_pipes_in_a_search_are_not_waited_for(tmp_path: Path) -> None:
    search = tmp_path / "x"
    search.mkdir()
    for name in ("search.lock", "study.journal"):
        os.mkfifo(search / name)
    SearchNote("x", "min", 1, None).write(Storage(str(search)))
    assert folder_status(Storage(str(tmp_path)), "x").state == "interrupted"
    with pytest.raises(StorageError, match="no study"):
        read_study(Storage(str(search)), "x")


def test_a_storage_may_itself_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    for location in (str(tmp_path / "runs"), (tmp_path / "runs").as_uri()):
        storage = Storage(location).below("search")
        storage.write("a/b", b"1")
        assert storage.read("a/b") == (tmp_path / "disk/search/a/b").read_bytes() == b"1"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(StorageError, match="must be a file"):
        look_in(tmp_path).read("result.json")
