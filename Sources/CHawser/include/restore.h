// What the restore target needs of Linux and Swift's Glibc module lacks: variadic and newer system calls, extended
// attributes, and constants behind _GNU_SOURCE. Each function is its system call: -1 and errno on failure.
#pragma once

#include <stdint.h>
#include <sys/types.h>

/// openat with O_CLOEXEC | O_NOFOLLOW always set.
int hawser_restore_open(int directory, const char *name, int flags, mode_t mode);
/// Opens what `name` is, without access to its content (O_PATH), never following a symlink.
int hawser_restore_open_path(int directory, const char *name);
/// Opens a directory only if it is on the same mount as `directory`: EXDEV otherwise, ENOSYS on kernels before 5.6.
int hawser_restore_open_same_mount(int directory, const char *name);
/// Opens a new file without a name in `directory`; `access` is O_WRONLY or O_RDWR.
int hawser_restore_open_unnamed(int directory, int access, mode_t mode);
/// Gives an open file a name; EEXIST if that is taken.
int hawser_restore_link_descriptor(int descriptor, int directory, const char *name);
/// renameat that leaves an existing `to` alone: EEXIST.
int hawser_restore_rename_new(int directory, const char *from, const char *to);

/// Allocates without changing the size.
int hawser_restore_allocate(int descriptor, int64_t offset, int64_t length);
/// The next data at or after `offset`; ENXIO if only a hole follows.
int64_t hawser_restore_seek_data(int descriptor, int64_t offset);
int64_t hawser_restore_seek_hole(int descriptor, int64_t offset);

/// chown of what the descriptor (also an O_PATH one) refers to.
int hawser_restore_change_owner(int descriptor, uid_t user, gid_t group);
/// utimensat that leaves the access time alone and does not follow `name`; `name` may be NULL for the descriptor itself.
int hawser_restore_set_modified(int descriptor, const char *name, int64_t seconds, int64_t nanoseconds);

/// `name` NULL: of the descriptor; else of the entry in the directory `descriptor`, a symlink itself included.
ssize_t hawser_restore_get_attribute(int descriptor, const char *name, const char *attribute, void *value, size_t size);
int hawser_restore_set_attribute(
    int descriptor, const char *name, const char *attribute, const void *value, size_t size);
int hawser_restore_remove_attribute(int descriptor, const char *name, const char *attribute);
ssize_t hawser_restore_list_attributes(int descriptor, const char *name, char *list, size_t size);

/// FS_IOC_GETFLAGS and FS_IOC_SETFLAGS.
int hawser_restore_get_flags(int descriptor, uint32_t *flags);
int hawser_restore_set_flags(int descriptor, uint32_t flags);

dev_t hawser_restore_device(uint32_t major, uint32_t minor);
uint32_t hawser_restore_major(dev_t device);
uint32_t hawser_restore_minor(dev_t device);

/// Writes everything that waits in memory for the file system of `descriptor`.
int hawser_restore_synchronize(int descriptor);
