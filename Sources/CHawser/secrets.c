#define _GNU_SOURCE
#include "secrets.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

void *hawser_secret_page(size_t *size, int *locked) {
  long page_size = sysconf(_SC_PAGESIZE);
  if (page_size < 0) return NULL;
  void *page = mmap(NULL, (size_t)page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return NULL;
  *size = (size_t)page_size;
  *locked = mlock(page, *size) == 0;
#ifdef MADV_DONTDUMP
  madvise(page, *size, MADV_DONTDUMP);
#endif
#ifdef MADV_WIPEONFORK
  madvise(page, *size, MADV_WIPEONFORK);
#endif
  return page;
}

void hawser_free_secret_page(void *page, size_t size) {
  hawser_wipe(page, size);
  munmap(page, size);
}

void hawser_wipe(void *memory, size_t size) {
#ifdef __GLIBC__
  explicit_bzero(memory, size);
#else
  memset(memory, 0, size);
  // The compiler must believe that somebody reads it.
  __asm__ __volatile__("" : : "r"(memory) : "memory");
#endif
}

int hawser_forbid_dumps(void) {
#ifdef __linux__
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#else
  return 0;
#endif
}
