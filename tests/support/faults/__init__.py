"""Tools that break a machine for real: power, disks, fsync, clocks. Linux, as root; a missing part fails the test.

============== ============================================================= ===================
`power`        an ext4 disk in a file that loses whatever was not synced      root, e2fsprogs, mount
`fullness`     a small disk that is filled and freed                          root, mount
`fsync`        the k-th fsync of a process fails with EIO                     cc (package gcc)
`clock`        a process that lives in another time                           package faketime
============== ============================================================= ===================

Killing, freezing and thawing a process: `tests.support.processes.Program`. A bad line: `surge.line.Line`.
"""
