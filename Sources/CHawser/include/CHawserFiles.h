// System calls and constants for reading files that Swift's Glibc module does not show.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct hawser_file_time {
  int64_t seconds;
  uint32_t nanoseconds;
};

// What Hawser keeps of statx's answer.
struct hawser_file_status {
  uint64_t inode, size, blocks;
  uint64_t attributes;  // STATX_ATTR_*; the kept ones have the values of FS_*_FL
  uint32_t mode, links, user, group;
  uint32_t device_major, device_minor, special_major, special_minor;
  struct hawser_file_time modified, changed, created;
  int32_t has_created;
};

// All of these return a negative errno when they fail.

// `name` relative to `directory`; an empty name is `directory` itself. Never triggers an automount.
int hawser_file_status(int directory, const char *name, int follow, struct hawser_file_status *status);

// One getdents64 call: the number of bytes filled, 0 at the end.
ptrdiff_t hawser_read_directory(int directory, void *buffer, size_t size);

// Extended attributes of `name` itself, never of what a symbolic link points to.
ptrdiff_t hawser_list_attributes(int directory, const char *name, char *list, size_t size);
ptrdiff_t hawser_get_attribute(int directory, const char *name, const char *attribute, void *value, size_t size);
ptrdiff_t hawser_list_file_attributes(int file, char *list, size_t size);
ptrdiff_t hawser_get_file_attribute(int file, const char *attribute, void *value, size_t size);

// FS_IOC_GETFLAGS.
int hawser_inode_flags(int file, uint32_t *flags);
// BLKGETSIZE64.
int hawser_device_size(int file, uint64_t *size);

// openat with O_CLOEXEC | O_NONBLOCK | O_NOCTTY.
enum hawser_open {
  HAWSER_OPEN_DIRECTORY = 1,    // it must be a directory
  HAWSER_OPEN_PATH_ONLY = 2,    // as a place for relative calls; needs no read permission
  HAWSER_OPEN_NO_ATIME = 4,
  HAWSER_OPEN_FOLLOW = 8,       // a symbolic link as the last component is followed
};
int hawser_open(int directory, const char *name, int options);

// The bounds of the next stretch of data or of the next hole.
int64_t hawser_seek_data(int file, int64_t offset);
int64_t hawser_seek_hole(int file, int64_t offset);

// Lets writes go past the page cache, or through it again. Past it, their addresses, offsets and lengths must be multiples of
// 4096. Only for file systems where it is known to be worth it, ext4 and XFS: -ENOTSUP for all others.
int hawser_write_directly(int file, int directly);

// An empty file without a name that lies in memory.
int hawser_memory_file(void);

// How often this thread waited for something other than the processor.
int64_t hawser_thread_waits(void);

// Starts a program found in PATH: stdin from /dev/null, stderr kept, no other descriptor, default signals. `output` becomes the
// end of a pipe from which its stdout is read.
int hawser_spawn(int32_t *process, char *const arguments[], char *const environment[], int *output);
// waitpid's answer as exit status (0...255) or 256 + signal. `wait` 0: -EAGAIN when it still runs.
int hawser_wait(int32_t process, int wait);
