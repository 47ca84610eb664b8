"""What disks do to a checkpoint: full, closed, slow, interrupted, shared; the old one stays."""

import errno
import os
import resource
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest

from chainrule.errors import FileAccessError
from chainrule.train import read_checkpoint, write_checkpoint
from chainrule.train.replacement import _locked_temporary, replace_file, sweep


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def refused(path, number, what=write_checkpoint, *arguments):
    with pytest.raises(FileAccessError, match=r"^CR904") as caught:
        what(path, *arguments)
    assert isinstance(caught.value, OSError)
    assert caught.value.errno == number
    assert caught.value.filename == str(path)
    assert os.strerror(number) in str(caught.value) or number == errno.EINVAL


def old_and_alone(path):
    """Say whether the old checkpoint is there and nothing else is."""
    return read_checkpoint(path).arrays == "old" and list(path.parent.iterdir()) == [path]


def test_missing_files_and_folders_and_what_is_no_file(path):
    refused(path, errno.ENOENT, read_checkpoint)
    refused(path.parent, errno.EINVAL, read_checkpoint)
    refused(path.parent, errno.EINVAL, write_checkpoint, 1)
    refused(path / "deeper", errno.ENOENT, write_checkpoint, 1)
    os.mkfifo(path)
    refused(path, errno.EINVAL, read_checkpoint)  # and does not wait for a writer
    refused(path, errno.EINVAL, write_checkpoint, 1)
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_a_folder_that_cannot_be_written(monkeypatch):
    administrator = os.geteuid() == 0  # whom permissions do not bind
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a")
        write_checkpoint(path, "old")
        path.chmod(0o644)
        path.parent.chmod(0o555)
        try:
            if administrator:
                os.seteuid(65534)
            refused(path, errno.EACCES, write_checkpoint, "new")
            assert old_and_alone(path)
        finally:
            if administrator:
                os.seteuid(0)
            path.parent.chmod(0o755)


def test_a_limit_on_the_size_of_files(path):
    write_checkpoint(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        refused(path, errno.EFBIG, write_checkpoint, np.zeros(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert old_and_alone(path)


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open"])
def test_a_full_disk_leaves_the_old_file_and_no_litter(path, monkeypatch, call):
    write_checkpoint(path, "old")
    with monkeypatch.context() as patch:

        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(os, call, full)
        patch.setattr(os, "rename" if call == "replace" else call, full)
        refused(path, errno.ENOSPC, write_checkpoint, "new")
    assert old_and_alone(path)


def test_a_disk_that_takes_a_part_at_a_time_and_then_is_full(path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    write_checkpoint(path, "old")
    assert old_and_alone(path)
    left = iter([7] * 20)

    def filling(descriptor, data):
        size = next(left, 0)
        if not size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:size])

    monkeypatch.setattr(os, "write", filling)
    refused(path, errno.ENOSPC, write_checkpoint, "new")
    assert old_and_alone(path)


def test_an_interrupt_leaves_the_old_file_and_no_litter(path, monkeypatch):
    write_checkpoint(path, "old")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(path, "new")
    assert old_and_alone(path)


def test_only_temporaries_without_a_living_owner_are_swept(tmp_path):
    living, held = _locked_temporary(tmp_path, 0o600)
    dead, descriptor = _locked_temporary(tmp_path, 0o600)
    os.close(descriptor)
    others = [tmp_path / name for name in ("x.tmp", ".chainrule-notes", ".other-1.tmp")]
    for other in others:
        other.touch()
    (tmp_path / ".chainrule-folder.tmp").mkdir()
    assert sweep(tmp_path) == 1
    assert not dead.exists()
    assert living.exists()
    assert all(other.exists() for other in others)
    os.close(held)
    replace_file(tmp_path / "file", b"")  # sweeps too
    assert not living.exists()
    assert sweep(tmp_path / "missing") == 0


def test_a_temporary_that_is_swept_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    exists = Path.exists
    answers = iter([False])
    monkeypatch.setattr(Path, "exists", lambda path: next(answers, None) is None and exists(path))
    replace_file(tmp_path / "file", b"new")
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_file_systems_without_locks_or_flushing_of_folders(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "Not supported")

    fsync = os.fsync
    monkeypatch.setattr("fcntl.flock", unsupported)
    monkeypatch.setattr(
        os, "fsync", lambda fd: (unsupported if stat.S_ISDIR(os.fstat(fd).st_mode) else fsync)(fd)
    )
    (tmp_path / ".chainrule-1.tmp").touch()  # perhaps somebody's: stays
    replace_file(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert sweep(tmp_path) == 0


def test_a_folder_that_cannot_be_flushed_for_another_reason_is_an_error(path, monkeypatch):
    fsync = os.fsync

    def failing(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    refused(path, errno.EIO, write_checkpoint, 1)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_permissions_are_kept(path, mode):
    path.touch()
    path.chmod(mode)
    write_checkpoint(path, 1)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_permissions_of_any_new_file(path):
    other = path.with_name("other")
    other.touch()
    write_checkpoint(path, 1)
    assert path.stat().st_mode == other.stat().st_mode


def test_a_link_is_followed(path):
    link = path.with_name("latest")
    link.symlink_to(path.name)
    write_checkpoint(link, 1)
    write_checkpoint(link, 2)
    assert link.is_symlink()
    assert read_checkpoint(path).arrays == 2


def test_data_are_on_the_disk_before_the_name_and_the_name_before_the_return(path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(*names, **more):
        calls.append("replace")
        replace(*names, **more)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    monkeypatch.setattr(os, "rename", noted_replace)
    write_checkpoint(path, 1)
    assert calls == ["file", "replace", "folder"]
