#ifdef __linux__
#define _GNU_SOURCE
#include "restore.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

// "/proc/self/fd/" and an int, a slash, a name of 255 bytes (longer ones fail before), NUL.
enum { descriptorPathLength = 14 + 11 + 1 + 255 + 1 };

static int descriptor_path(char *path, int descriptor, const char *name) {
    int length = name ? snprintf(path, descriptorPathLength, "/proc/self/fd/%d/%s", descriptor, name)
                      : snprintf(path, descriptorPathLength, "/proc/self/fd/%d", descriptor);
    if (length < 0 || length >= descriptorPathLength) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

int hawser_restore_open(int directory, const char *name, int flags, mode_t mode) {
    return openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
}

int hawser_restore_open_path(int directory, const char *name) {
    return openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

int hawser_restore_open_same_mount(int directory, const char *name) {
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
    };
    return (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
}

int hawser_restore_open_unnamed(int directory, int access, mode_t mode) {
    return openat(directory, ".", O_TMPFILE | access | O_CLOEXEC, mode);
}

int hawser_restore_link_descriptor(int descriptor, int directory, const char *name) {
    char path[descriptorPathLength];
    if (descriptor_path(path, descriptor, NULL)) return -1;
    return linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW);
}

int hawser_restore_rename_new(int directory, const char *from, const char *to) {
    return (int)syscall(SYS_renameat2, directory, from, directory, to, RENAME_NOREPLACE);
}

int hawser_restore_allocate(int descriptor, int64_t offset, int64_t length) {
    return fallocate(descriptor, FALLOC_FL_KEEP_SIZE, offset, length);
}

int64_t hawser_restore_seek_data(int descriptor, int64_t offset) { return lseek(descriptor, offset, SEEK_DATA); }

int64_t hawser_restore_seek_hole(int descriptor, int64_t offset) { return lseek(descriptor, offset, SEEK_HOLE); }

int hawser_restore_change_owner(int descriptor, uid_t user, gid_t group) {
    return fchownat(descriptor, "", user, group, AT_EMPTY_PATH);
}

int hawser_restore_set_modified(int descriptor, const char *name, int64_t seconds, int64_t nanoseconds) {
    struct timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, {.tv_sec = seconds, .tv_nsec = nanoseconds}};
    return name ? utimensat(descriptor, name, times, AT_SYMLINK_NOFOLLOW) : futimens(descriptor, times);
}

ssize_t hawser_restore_get_attribute(int descriptor, const char *name, const char *attribute, void *value, size_t size) {
    char path[descriptorPathLength];
    if (!name) return fgetxattr(descriptor, attribute, value, size);
    return descriptor_path(path, descriptor, name) ? -1 : lgetxattr(path, attribute, value, size);
}

int hawser_restore_set_attribute(
    int descriptor, const char *name, const char *attribute, const void *value, size_t size) {
    char path[descriptorPathLength];
    if (!name) return fsetxattr(descriptor, attribute, value, size, 0);
    return descriptor_path(path, descriptor, name) ? -1 : lsetxattr(path, attribute, value, size, 0);
}

int hawser_restore_remove_attribute(int descriptor, const char *name, const char *attribute) {
    char path[descriptorPathLength];
    if (!name) return fremovexattr(descriptor, attribute);
    return descriptor_path(path, descriptor, name) ? -1 : lremovexattr(path, attribute);
}

ssize_t hawser_restore_list_attributes(int descriptor, const char *name, char *list, size_t size) {
    char path[descriptorPathLength];
    if (!name) return flistxattr(descriptor, list, size);
    return descriptor_path(path, descriptor, name) ? -1 : llistxattr(path, list, size);
}

int hawser_restore_get_flags(int descriptor, uint32_t *flags) {
    // The kernel reads and writes an int, whatever the request's name says.
    int value = 0;
    int result = ioctl(descriptor, FS_IOC_GETFLAGS, &value);
    *flags = (uint32_t)value;
    return result;
}

int hawser_restore_set_flags(int descriptor, uint32_t flags) {
    int value = (int)flags;
    return ioctl(descriptor, FS_IOC_SETFLAGS, &value);
}

dev_t hawser_restore_device(uint32_t major, uint32_t minor) { return makedev(major, minor); }
uint32_t hawser_restore_major(dev_t device) { return major(device); }
uint32_t hawser_restore_minor(dev_t device) { return minor(device); }

int hawser_restore_synchronize(int descriptor) { return syncfs(descriptor); }
#endif
