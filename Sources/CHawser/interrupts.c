#define _GNU_SOURCE
#include "interrupts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static int ends[2] = {-1, -1};

static void interrupted(int number) {
  int before = errno;
  char byte = (char)number;
  // A pipe that is full says already what has to be said.
  (void)!write(ends[1], &byte, 1);
  errno = before;
}

int hawser_watch_interrupts(void) {
  if (ends[0] >= 0) return ends[0];
  if (pipe(ends) != 0) return -1;
  for (int end = 0; end < 2; end++) fcntl(ends[end], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  // A handler, not sigwait: libdispatch's main thread takes signals whatever the mask. Shells start background jobs with SIGINT
  // ignored, which must not keep it from ending a backup.
  struct sigaction action = {.sa_handler = interrupted, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  struct sigaction hangup;
  if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL);
  return ends[0];
}

void hawser_open_standard_files(void) {
  for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++) {
    // The lowest number that is free is this one.
    if (fcntl(file, F_GETFD) < 0 && errno == EBADF) (void)!open("/dev/null", O_WRONLY);
  }
}
