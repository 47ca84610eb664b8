"""The cache folder: what comes back is what was written, or nothing."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chainrule.execute.native import cache

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes are POSIX's")
NOT_ROOT = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere"
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return the folder that the cache uses in this test; it does not exist yet."""
    folder = tmp_path / "of" / "chainrule"
    monkeypatch.setenv("CHAINRULE_CACHE", str(folder))
    return folder


def entry(place):
    """Return the one file of a cache."""
    (path,) = place.iterdir()
    return path


@pytest.mark.parametrize("data", [b"", b"\0", b"content\r\n\x1a", bytes(range(256)) * 1000])
def test_what_is_written_is_read(place, data):
    assert cache.read("name") is None
    cache.write("name", data)
    assert cache.read("name") == data
    assert cache.read("other") is None


def test_a_second_write_replaces(place):
    cache.write("name", b"first, and longer")
    cache.write("name", b"second")
    assert cache.read("name") == b"second"
    assert len(list(place.iterdir())) == 1


@POSIX
def test_files_are_private(place):
    old = os.umask(0)
    try:
        cache.write("name", b"content")
    finally:
        os.umask(old)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry(place).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:10],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: b"\x7fELF" + content,
        lambda content: bytes(len(content)),
    ],
)
def test_a_damaged_entry_is_removed_and_absent(place, damage):
    cache.write("name", b"content" * 10)
    path = entry(place)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.read("name") is None
    assert not path.exists()
    cache.write("name", b"again")
    assert cache.read("name") == b"again"


def test_no_flipped_bit_goes_unnoticed(place):
    cache.write("name", b"content")
    path = entry(place)
    good = path.read_bytes()
    for index in range(len(good)):
        bad = bytearray(good)
        bad[index] ^= 1 << index % 8
        path.write_bytes(bad)
        assert cache.read("name") is None
        path.touch(0o600)


def test_an_entry_counts_only_under_its_own_name(place):
    cache.write("one", b"content")
    path = entry(place)
    path.rename(path.with_name(path.name.replace("one", "two")))
    assert cache.read("two") is None


@POSIX
def test_a_file_that_others_may_write_is_not_believed(place):
    cache.write("name", b"content")
    for mode in (0o620, 0o602, 0o666):
        entry(place).chmod(mode)
        assert cache.read("name") is None
    entry(place).chmod(0o644)
    assert cache.read("name") == b"content"


@POSIX
def test_another_users_file_and_folder_are_not_believed(place, monkeypatch):
    cache.write("name", b"content")
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert cache.read("name") is None
    cache.write("second", b"content")
    assert len(list(place.iterdir())) == 1
    path = entry(place)
    monkeypatch.setattr(cache, "_is_own_folder", lambda place: True)
    assert cache.read("name") is None
    assert path.exists()  # it may be someone's


@POSIX
def test_a_link_is_not_followed(place, tmp_path):
    cache.write("name", b"content")
    path = entry(place)
    elsewhere = path.rename(tmp_path / "elsewhere")
    path.symlink_to(elsewhere)
    assert cache.read("name") is None


def test_a_folder_in_the_place_of_an_entry_is_no_entry(place):
    cache.write("name", b"content")
    path = entry(place)
    path.unlink()
    path.mkdir()
    assert cache.read("name") is None
    cache.write("name", b"content")
    assert cache.read("name") is None
    assert [path] == list(place.iterdir())  # no part stayed behind


def test_a_file_in_the_place_of_the_folder_is_no_error(place):
    place.parent.mkdir()
    place.write_text("mine")
    cache.write("name", b"content")
    assert cache.read("name") is None
    assert place.read_text() == "mine"


@NOT_ROOT
def test_a_read_only_folder_can_still_be_read(place):
    cache.write("name", b"content")
    place.chmod(0o500)
    try:
        cache.write("second", b"content")
        assert cache.read("second") is None
        assert cache.read("name") == b"content"
    finally:
        place.chmod(0o700)


@pytest.mark.parametrize("refused", ["mkdir", "open", "replace", "scandir", "utime"])
def test_no_refusal_of_the_system_is_an_error(place, monkeypatch, refused):
    def refuse(*given, **named):
        raise OSError(28, "No space left on device")

    owner = Path if refused in ("mkdir", "replace") else os
    with monkeypatch.context() as patch:
        patch.setattr(owner, refused, refuse)
        cache.write("name", b"content")
        assert cache.read("name") in (None, b"content")
    assert not place.exists() or [p for p in place.iterdir() if p.name.startswith(".")] == []
    cache.write("name", b"content")
    assert cache.read("name") == b"content"


@POSIX
def test_a_write_that_fails_half_way_leaves_nothing_behind(place):
    code = """
import resource
from chainrule.execute.native import cache
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))  # like a disk that becomes full
cache.write("small", bytes(10_000))
cache.write("large", bytes(10_000_000))
assert cache.read("large") is None
"""
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - this interpreter
    assert cache.read("small") == bytes(10_000)
    assert len(list(place.iterdir())) == 1


def test_an_empty_variable_turns_the_cache_off(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CHAINRULE_CACHE", "")
    assert cache.folder() is None
    cache.write("name", b"content")
    assert cache.read("name") is None
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_where_the_platform_has_it(monkeypatch, tmp_path):
    monkeypatch.delenv("CHAINRULE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "chainrule"
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for unset in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        monkeypatch.setattr(sys, "platform", "linux")
        assert cache.folder() == tmp_path / ".cache/chainrule"
        monkeypatch.setattr(sys, "platform", "darwin")
        assert cache.folder() == tmp_path / "Library/Caches/chainrule"
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
        assert cache.folder() == tmp_path / "local/chainrule/cache"
        monkeypatch.delenv("LOCALAPPDATA")
        assert cache.folder() == tmp_path / "AppData/Local/chainrule/cache"


def test_the_variable_may_name_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINRULE_CACHE", "~/machine code")
    monkeypatch.setenv("USERPROFILE" if sys.platform == "win32" else "HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "machine code"


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CHAINRULE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache.folder() is None


def test_the_least_recently_used_entries_go_first(place, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 3500)
    place.mkdir(parents=True)
    (place / "the user's own").write_bytes(bytes(10_000))
    for age, name in enumerate("abc"):
        cache.write(name, bytes(1000))
        os.utime(place / (name + ".chainrule"), (1000 + age, 1000 + age))
    assert cache.read("a") is not None  # used now, so b is the oldest
    cache.write("d", bytes(1000))
    assert [name for name in "abcd" if cache.read(name) is not None] == ["a", "c", "d"]
    assert (place / "the user's own").exists()


def test_what_a_killed_process_left_goes_too(place, monkeypatch):
    cache.write("a", bytes(1000))
    left = place / ".b.1-2.chainrule"
    left.write_bytes(bytes(3000))
    os.utime(left, (1000, 1000))
    monkeypatch.setattr(cache, "LIMIT", 3500)
    cache.write("c", bytes(1000))
    assert not left.exists()
    assert cache.read("a") is not None


def test_what_is_larger_than_the_limit_is_not_kept(place, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 3500)
    cache.write("small", bytes(1000))
    cache.write("large", bytes(3500))
    assert cache.read("small") is not None
    assert cache.read("large") is None


def test_writers_and_readers_do_not_disturb_each_other(place):
    contents = [bytes([number]) * 100_000 for number in range(4)]

    def work(data):
        seen = set()
        for _ in range(30):
            cache.write("name", data)
            seen.add(cache.read("name"))
        return seen

    with ThreadPoolExecutor(4) as pool:
        seen = set().union(*pool.map(work, contents))
    assert seen <= set(contents)  # no mixture, and never absent
    assert len(list(place.iterdir())) == 1


def test_another_process_reads_what_this_one_wrote(place):
    cache.write("name", b"content")
    code = "from chainrule.execute.native import cache; print(cache.read('name'))"
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "b'content'"
