#define _GNU_SOURCE
#include "tuning.h"

#include <sys/resource.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

void hawser_tune_allocator(void) {
#ifdef __GLIBC__
  // Glibc maps and unmaps every block above a threshold of 128 KiB: sealing a chunk, which allocates its result, then
  // costs page faults each time. From 1 MiB on there are only buffers that are kept and used again, and rare chunks;
  // in the heap those would leave holes that never go back.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  // What is free at the top of the heap will be used again soon.
  mallopt(M_TRIM_THRESHOLD, 16 << 20);
  // By default there are eight arenas a core, and each keeps what it once needed.
  mallopt(M_ARENA_MAX, 2);
#endif
}

long hawser_raise_file_limit(long wanted) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return -1;
  rlim_t target = limit.rlim_max < (rlim_t)wanted ? limit.rlim_max : (rlim_t)wanted;
  if (limit.rlim_cur < target) {
    struct rlimit raised = {target, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit.rlim_cur = target;
  }
  return (long)limit.rlim_cur;
}
