"""
A disk in memory, mounted by FUSE, whose power can be cut: what was not synced is gone then.

    python3 disk.py MOUNTPOINT

What a disk has for sure is what POSIX promises: the bytes of a file at its last fsync or fdatasync, the
names in a directory at the last fsync of that directory. A file whose name was synced and whose bytes were
not is there, and empty.

Commands are lines on standard input, each answered by a line on standard output:

    calls           how many calls have changed or synced anything
    stop N PART     at call N from now the caller is killed, with PART (0 to 1) of what it writes written;
                    every later call fails until `cut` or `go`. Whoever else lives is not touched.
    fail N          as `stop N 0`, and nobody is killed
    go              the disk goes on as it is: the process died, the machine did not
    format          all is gone, as on a new disk
    format          as `go`, and all is gone: a new disk
    cut SEED        the machine goes off and on. SEED 0: all that was not synced is gone. Otherwise chance
                    keeps some of it: any 512-byte sectors of a file, the first of the changes to a directory.

The end of standard input unmounts it.
"""

import ctypes
import errno
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time

try:
    from fusepy import FUSE, FuseOSError, Operations, fuse_get_context
except ImportError:  # As pip names it.
    from fuse import FUSE, FuseOSError, Operations, fuse_get_context

SECTOR = 512


class Node:
    def __init__(self, mode):
        self.mode = mode
        self.changed = time.time()
        self.links = 1

    def lose(self, chance):
        """A socket has nothing to lose but its name."""


class File(Node):
    def __init__(self, mode):
        super().__init__(stat.S_IFREG | mode)
        self.data = bytearray()
        self.synced = b""

    def sync(self):
        self.synced = bytes(self.data)

    def lose(self, chance):
        now, then = bytes(self.data), self.synced
        if now == then:
            return
        if chance is None:
            kept = bytearray(then)
        else:
            # The length is a thing of its own: a file may have grown without the bytes in it.
            kept = bytearray(chance.choice([len(now), len(then)]))
            for at in range(0, len(kept), SECTOR):
                end = min(at + SECTOR, len(kept))
                piece = chance.choice([now, then])[at:end]
                kept[at:end] = piece + bytes(end - at - len(piece))
        self.data = kept
        self.synced = bytes(kept)


class Directory(Node):
    def __init__(self, mode):
        super().__init__(stat.S_IFDIR | mode)
        self.names = {}
        # The names as synced, and each state since.
        self.synced = {}
        self.since = []

    def change(self):
        self.since.append(dict(self.names))

    def sync(self):
        self.synced = dict(self.names)
        self.since = []

    def lose(self, chance):
        kept = [self.synced] + (self.since if chance else [])
        self.names = dict(chance.choice(kept) if chance else self.synced)
        self.sync()
        for node in self.names.values():
            node.lose(chance)


class Disk(Operations):
    def __init__(self):
        self.guard = threading.Lock()
        self.root = Directory(0o755)
        self.open_files = {}
        self.next_handle = 1
        self.calls = 0
        self.stop_at = None
        self.part = 0.0
        self.is_deadly = True
        self.is_off = False

    # What is done to it from outside.

    def command(self, line):
        word, *rest = line.split()
        with self.guard:
            if word == "calls":
                return str(self.calls)
            if word in ("stop", "fail"):
                self.stop_at = self.calls + int(rest[0])
                self.part = float(rest[1]) if word == "stop" else 0.0
                self.is_deadly = word == "stop"
                return "ok"
            if word == "format":
                self.root = Directory(0o755)
            elif word == "cut":
                seed = int(rest[0])
                self.root.lose(random.Random(seed) if seed else None)
                self.count_links()
            elif word != "go":
                return "unknown: " + word
            self.stop_at, self.is_off = None, False
            return "ok"

    def count_links(self):
        def walk(directory):
            for node in directory.names.values():
                node.links = 1 if isinstance(node, Directory) else 0
                if isinstance(node, Directory):
                    walk(node)
            for node in directory.names.values():
                if not isinstance(node, Directory):
                    node.links += 1
        walk(self.root)

    def call(self, data=b""):
        """Counts a call that changes or syncs; gives how much of `data` may be written, None for all."""
        self.calls += 1
        if self.stop_at is None or self.calls < self.stop_at:
            return None
        self.is_off = True
        if self.is_deadly:
            kill_caller()
        return int(len(data) * self.part)

    # What programs ask of it.

    def __call__(self, op, *args):
        with self.guard:
            # Closing takes no power.
            if self.is_off and op not in ("release", "releasedir", "flush", "destroy"):
                raise FuseOSError(errno.EIO)
            return super().__call__(op, *args)

    def find(self, path):
        node = self.root
        for name in path.split("/"):
            if name == "":
                continue
            if not isinstance(node, Directory):
                raise FuseOSError(errno.ENOTDIR)
            if name not in node.names:
                raise FuseOSError(errno.ENOENT)
            node = node.names[name]
        return node

    def place(self, path):
        above, name = os.path.split(path)
        return self.find(above), name

    def file(self, path, handle):
        return self.open_files[handle] if handle in self.open_files else self.find(path)

    def changing(self):
        if self.call() is not None:
            raise FuseOSError(errno.EIO)

    def getattr(self, path, fh=None):
        node = self.file(path, fh)
        size = len(node.data) if isinstance(node, File) else 0
        return {"st_mode": node.mode, "st_nlink": node.links, "st_size": size,
                "st_mtime": node.changed, "st_ctime": node.changed, "st_atime": node.changed,
                "st_uid": os.getuid(), "st_gid": os.getgid(), "st_blocks": (size + 511) // 512}

    def readdir(self, path, fh):
        return [".", "..", *self.find(path).names]

    def add(self, path, node):
        directory, name = self.place(path)
        directory.names[name] = node
        directory.change()

    def opened(self, node):
        handle, self.next_handle = self.next_handle, self.next_handle + 1
        self.open_files[handle] = node
        return handle

    def create(self, path, mode, fi=None):
        self.changing()
        node = File(mode & 0o777)
        self.add(path, node)
        return self.opened(node)

    def mknod(self, path, mode, dev):
        self.changing()
        self.add(path, File(mode & 0o777) if stat.S_ISREG(mode) else Node(mode))

    def open(self, path, flags):
        return self.opened(self.find(path))

    def release(self, path, fh):
        self.open_files.pop(fh, None)

    def read(self, path, size, offset, fh):
        return bytes(self.file(path, fh).data[offset:offset + size])

    def write(self, path, data, offset, fh):
        node = self.file(path, fh)
        written = self.call(data)
        piece = data if written is None else data[:written]
        if piece:
            node.data.extend(bytes(max(0, offset - len(node.data))))
            node.data[offset:offset + len(piece)] = piece
            node.changed = time.time()
        if written is not None:
            raise FuseOSError(errno.EIO)
        return len(data)

    def truncate(self, path, length, fh=None):
        self.changing()
        data = self.file(path, fh).data
        del data[length:]
        data.extend(bytes(length - len(data)))

    def fsync(self, path, datasync, fh):
        self.changing()
        self.file(path, fh).sync()

    def fsyncdir(self, path, datasync, fh):
        self.changing()
        self.find(path).sync()

    def mkdir(self, path, mode):
        self.changing()
        self.add(path, Directory(mode & 0o777))

    def link(self, target, source):
        self.changing()
        node = self.find(source)
        node.links += 1
        self.add(target, node)

    def unlink(self, path):
        self.changing()
        directory, name = self.place(path)
        directory.names.pop(name).links -= 1
        directory.change()

    def rmdir(self, path):
        directory, name = self.place(path)
        if directory.names[name].names:
            raise FuseOSError(errno.ENOTEMPTY)
        self.changing()
        del directory.names[name]
        directory.change()

    def rename(self, old, new):
        self.changing()
        (source, name), (target, new_name) = self.place(old), self.place(new)
        node = source.names.pop(name)
        if new_name in target.names:
            target.names[new_name].links -= 1
        target.names[new_name] = node
        source.change()
        if target is not source:
            target.change()

    def chmod(self, path, mode):
        node = self.find(path)
        node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)

    def chown(self, path, uid, gid):
        pass

    def utimens(self, path, times=None):
        pass

    def statfs(self, path):
        return {"f_bsize": 4096, "f_frsize": 4096, "f_blocks": 1 << 20, "f_bfree": 1 << 20,
                "f_bavail": 1 << 20, "f_files": 1 << 20, "f_ffree": 1 << 20, "f_namemax": 255}


def kill_caller():
    thread = fuse_get_context()[2]
    if thread == 0:
        return
    with open(f"/proc/{thread}/status") as status:
        process = next(int(line.split()[1]) for line in status if line.startswith("Tgid:"))
    os.kill(process, signal.SIGKILL)


def unmount(path):
    # Lazily: a process that still runs must not keep it there.
    ctypes.CDLL(None, use_errno=True).umount2(path.encode(), 2)
    if os.path.ismount(path):
        subprocess.run(["fusermount", "-uz", path], check=False, stderr=subprocess.DEVNULL)


def serve(disk, path):
    while not os.path.ismount(path):
        time.sleep(0.005)
    print("mounted", flush=True)
    for line in sys.stdin:
        print(disk.command(line), flush=True)
    unmount(path)
    # Files may still be open.
    os._exit(0)


def main():
    path = os.path.realpath(sys.argv[1])
    disk = Disk()
    threading.Thread(target=serve, args=(disk, path), daemon=True).start()
    # No cache may know what the disk has lost.
    FUSE(disk, path, foreground=True, nothreads=True, big_writes=True, hard_remove=True, direct_io=True,
         attr_timeout=0, entry_timeout=0, negative_timeout=0, fsname="montana-power")


main()
