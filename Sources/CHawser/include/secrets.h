// Memory for secrets.
#pragma once

#include <stddef.h>

/// A page of this process's own that is not written to swap, to core dumps or into child processes. NULL and errno on failure.
/// `locked` becomes 0 when the limit of locked memory (RLIMIT_MEMLOCK) does not allow it: it can be swapped then.
void *hawser_secret_page(size_t *size, int *locked);
/// Overwrites the page and gives it back.
void hawser_free_secret_page(void *page, size_t size);

/// Overwrites memory; never optimised away.
void hawser_wipe(void *memory, size_t size);

/// From now on this process writes no core dump, and only root can look into its memory. Programs that it starts are not
/// affected. 0 on success.
int hawser_forbid_dumps(void);
