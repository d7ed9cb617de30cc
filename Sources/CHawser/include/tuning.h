// Settings of the whole process that a backup or restore is faster with.
#pragma once

/// Keeps freed memory for reuse instead of giving it back to the kernel. See tuning.c.
void hawser_tune_allocator(void);

/// Raises the soft limit of open files to the hard one, but to no more than `wanted`. Returns the limit that holds then.
long hawser_raise_file_limit(long wanted);
