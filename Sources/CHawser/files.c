#define _GNU_SOURCE
#include "CHawserFiles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/magic.h>

static struct hawser_file_time file_time(struct statx_timestamp time) {
  return (struct hawser_file_time){.seconds = time.tv_sec, .nanoseconds = time.tv_nsec};
}

int hawser_file_status(int directory, const char *name, int follow, struct hawser_file_status *status) {
  struct statx answer;
  int flags = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW);
  if (statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME, &answer) != 0) return -errno;
  status->inode = answer.stx_ino;
  status->size = answer.stx_size;
  status->blocks = answer.stx_blocks;
  status->attributes = answer.stx_attributes;
  status->mode = answer.stx_mode;
  status->links = answer.stx_nlink;
  status->user = answer.stx_uid;
  status->group = answer.stx_gid;
  status->device_major = answer.stx_dev_major;
  status->device_minor = answer.stx_dev_minor;
  status->special_major = answer.stx_rdev_major;
  status->special_minor = answer.stx_rdev_minor;
  status->modified = file_time(answer.stx_mtime);
  status->changed = file_time(answer.stx_ctime);
  status->created = file_time(answer.stx_btime);
  status->has_created = (answer.stx_mask & STATX_BTIME) != 0;
  return 0;
}

int hawser_write_directly(int file, int directly) {
  struct statfs system;
  if (fstatfs(file, &system) != 0) return -errno;
  if (system.f_type != EXT4_SUPER_MAGIC && system.f_type != XFS_SUPER_MAGIC) return -ENOTSUP;
  int flags = fcntl(file, F_GETFL);
  if (flags < 0) return -errno;
  return fcntl(file, F_SETFL, directly ? flags | O_DIRECT : flags & ~O_DIRECT) == 0 ? 0 : -errno;
}

ptrdiff_t hawser_read_directory(int directory, void *buffer, size_t size) {
  ssize_t count = syscall(SYS_getdents64, directory, buffer, size);
  return count < 0 ? -errno : count;
}

// Linux 6.13; the numbers are the same on all architectures that Swift runs on.
#ifndef SYS_getxattrat
#define SYS_getxattrat 464
#endif
#ifndef SYS_listxattrat
#define SYS_listxattrat 465
#endif

struct attribute_arguments {
  uint64_t value;
  uint32_t size;
  uint32_t flags;
};

// Older kernels say ENOSYS, older container filters EPERM.
static int is_missing(int error) { return error == ENOSYS || error == EPERM; }

// A path through the descriptor: its directory is not looked up again, and it is never longer than this.
enum { descriptor_path_size = 32 + 256 };

static int descriptor_path(char *path, int directory, const char *name) {
  int length = snprintf(path, descriptor_path_size, "/proc/self/fd/%d/%s", directory, name);
  return length > 0 && length < descriptor_path_size ? 0 : -ENAMETOOLONG;
}

ptrdiff_t hawser_list_attributes(int directory, const char *name, char *list, size_t size) {
  ssize_t count = syscall(SYS_listxattrat, directory, name, AT_SYMLINK_NOFOLLOW, list, size);
  if (count < 0 && is_missing(errno)) {
    char path[descriptor_path_size];
    int error = descriptor_path(path, directory, name);
    if (error != 0) return error;
    count = llistxattr(path, list, size);
  }
  return count < 0 ? -errno : count;
}

ptrdiff_t hawser_get_attribute(int directory, const char *name, const char *attribute, void *value, size_t size) {
  struct attribute_arguments arguments = {.value = (uintptr_t)value, .size = (uint32_t)size};
  ssize_t count =
      syscall(SYS_getxattrat, directory, name, AT_SYMLINK_NOFOLLOW, attribute, &arguments, sizeof arguments);
  if (count < 0 && is_missing(errno)) {
    char path[descriptor_path_size];
    int error = descriptor_path(path, directory, name);
    if (error != 0) return error;
    count = lgetxattr(path, attribute, value, size);
  }
  return count < 0 ? -errno : count;
}

ptrdiff_t hawser_list_file_attributes(int file, char *list, size_t size) {
  ssize_t count = flistxattr(file, list, size);
  return count < 0 ? -errno : count;
}

ptrdiff_t hawser_get_file_attribute(int file, const char *attribute, void *value, size_t size) {
  ssize_t count = fgetxattr(file, attribute, value, size);
  return count < 0 ? -errno : count;
}

int hawser_inode_flags(int file, uint32_t *flags) {
  // The call is declared for long, but file systems write an int.
  unsigned long value = 0;
  if (ioctl(file, FS_IOC_GETFLAGS, &value) != 0) return -errno;
  memcpy(flags, &value, sizeof *flags);
  return 0;
}

int hawser_device_size(int file, uint64_t *size) {
  return ioctl(file, BLKGETSIZE64, size) == 0 ? 0 : -errno;
}

int hawser_open(int directory, const char *name, int options) {
  int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_LARGEFILE;
  if (options & HAWSER_OPEN_DIRECTORY) flags |= O_DIRECTORY;
  if (options & HAWSER_OPEN_PATH_ONLY) flags |= O_PATH;
  if (options & HAWSER_OPEN_NO_ATIME) flags |= O_NOATIME;
  if (!(options & HAWSER_OPEN_FOLLOW)) flags |= O_NOFOLLOW;
  int file;
  do {
    file = openat(directory, name, flags);
  } while (file < 0 && errno == EINTR);
  return file < 0 ? -errno : file;
}

int64_t hawser_seek_data(int file, int64_t offset) {
  off_t found = lseek(file, offset, SEEK_DATA);
  return found < 0 ? -errno : found;
}

int64_t hawser_seek_hole(int file, int64_t offset) {
  off_t found = lseek(file, offset, SEEK_HOLE);
  return found < 0 ? -errno : found;
}

int hawser_memory_file(void) {
  int file = memfd_create("hawser", MFD_CLOEXEC);
  return file < 0 ? -errno : file;
}

int64_t hawser_thread_waits(void) {
  struct rusage usage;
  return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

int hawser_spawn(int32_t *process, char *const arguments[], char *const environment[], int *output) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
#endif
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  int error = posix_spawnp(process, arguments[0], &actions, &attributes, arguments, environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(ends[1]);
  if (error != 0) close(ends[0]);
  *output = ends[0];
  return -error;
}

int hawser_wait(int32_t process, int wait) {
  int status;
  pid_t ended;
  do {
    ended = waitpid(process, &status, wait ? 0 : WNOHANG);
  } while (ended < 0 && errno == EINTR);
  if (ended < 0) return -errno;
  if (ended == 0) return -EAGAIN;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}
