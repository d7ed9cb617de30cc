internal import CHawser

/// Sets up the process for backups and restores: the C library's allocator for buffers of megabytes, and the number of files
/// that may be open. Call it once, before other threads start.
///
/// It changes the whole process, therefore nothing of Hawser does it by itself. The `hawser` command does. Without it all
/// works, but encryption takes some times as long on Linux (every chunk's memory is fetched from the kernel and given
/// back), and memory use depends on how many threads have ever allocated.
public func tuneProcess() {
    hawser_tune_allocator()
    // Directories and files that a walk or a restore keeps open are a few hundred; the usual soft limit is 1,024.
    _ = hawser_raise_file_limit(8192)
}
