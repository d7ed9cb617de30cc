// Signals that ask a program to end, as bytes of a pipe.
#pragma once

/// From now on SIGINT, SIGTERM and SIGHUP (unless it is ignored, as by nohup) write one byte each into a pipe, whatever thread
/// they reach. Returns the descriptor to read them from, or -1. For programs, once; libraries leave signals alone.
int hawser_watch_interrupts(void);
