// Signals that ask a program to end, as bytes of a pipe; and the files that every program has.
#pragma once

/// Opens /dev/null for standard input, output and error as far as they are closed, so that no file that the program opens takes
/// their places. Reading from such an input fails. For programs, first of all.
void hawser_open_standard_files(void);

/// From now on SIGINT, SIGTERM and SIGHUP (unless it is ignored, as by nohup) write one byte each into a pipe, whatever thread
/// they reach. Returns the descriptor to read them from, or -1. For programs, once; libraries leave signals alone.
int hawser_watch_interrupts(void);
