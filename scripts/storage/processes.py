"""Processes that outlive the script that started them, and are found again by their number and their start time."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

# Daemons write back or say goodbye within it, or are killed: nothing here is kept.
STOP_SECONDS = 5
# The slowest start that was seen, on a machine with other work, took 9 s.
START_SECONDS = 60


class Failed(Exception):
    """What a user is told; no traceback."""


def say(text):
    print("storage: " + text, file=sys.stderr, flush=True)


def free_ports(count):
    """Ports on loopback that nobody uses now, from below those that the system gives to outgoing connections: a
    server that was taken away finds its port again."""
    found = []
    for port in random.sample(range(15000, 30000), 1000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise Failed("no %d free ports on 127.0.0.1" % count)


def wait_for_port(port, alive):
    """Until something listens there; `alive` says whether waiting still makes sense."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and alive():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Failed("nothing listens on port %d" % port)


def start_time(pid):
    """In clock ticks since the system's start; None when there is no such process, or only its remains."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Processes:
    """The processes of one server, and its folder: `state.json`, `log/`, and `data/`, which goes when it stops."""

    def __init__(self, folder, data=None):
        self.folder, self.file = folder, os.path.join(folder, "state.json")
        self.logs = os.path.join(folder, "log")
        self.wanted, self.data = data, os.path.join(folder, "data")
        self.entries, self.variables = {}, {}
        self.load()

    def load(self):
        if os.path.exists(self.file):
            with open(self.file, encoding="utf-8") as file:
                state = json.load(file)
            self.entries, self.variables, self.data = state["processes"], state["variables"], state["data"]

    def save(self):
        # The keys are in it; they open nothing but this server, but are nobody else's business.
        with open(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"processes": self.entries, "variables": self.variables, "data": self.data}, file, indent=1)

    def clear(self):
        """Empty folders, and nothing running. Data in a place of the user's choice is not removed unless we made it."""
        wanted = self.wanted or os.path.join(self.folder, "data")
        self.stop()
        if self.wanted and os.path.exists(wanted):
            raise Failed("%s is there already, and would be removed at the end" % wanted)
        self.data = wanted
        shutil.rmtree(self.logs, ignore_errors=True)
        os.makedirs(self.logs)
        os.makedirs(self.data)

    def alive(self, name):
        entry = self.entries.get(name)
        return entry is not None and start_time(entry["pid"]) == entry["started"]

    def running(self):
        return bool(self.variables) and all(self.alive(name) for name in self.entries)

    def spawn(self, name, command, environment=None):
        """In a session of its own, so that a Ctrl-C for the script does not reach it."""
        with open(os.path.join(self.logs, name + ".log"), "ab") as log:
            process = subprocess.Popen(command, env=dict(os.environ, **(environment or {})), cwd=self.folder,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        started = start_time(process.pid)
        self.entries[name] = {"pid": process.pid, "started": started, "command": command, "environment": environment}
        self.save()

    def respawn(self, name):
        if not self.alive(name):
            self.spawn(name, self.entries[name]["command"], self.entries[name]["environment"])

    def run(self, name, command, environment=None):
        """A step to its end; what it prints goes to a log."""
        with open(os.path.join(self.logs, name + ".log"), "ab") as log:
            try:
                code = subprocess.run(command, env=dict(os.environ, **(environment or {})), cwd=self.folder,
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=START_SECONDS).returncode
            except subprocess.TimeoutExpired:
                raise Failed("%s does not end" % name) from None
        if code != 0:
            raise Failed("%s ended with code %d" % (name, code))

    def end(self, names, number):
        """Only what is still the process that was started; kills what does not go."""
        for signal_number, seconds in ((number, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
            for name in names:
                if self.alive(name):
                    os.kill(self.entries[name]["pid"], signal_number)
            deadline = time.monotonic() + seconds
            while any(map(self.alive, names)) and time.monotonic() < deadline:
                self.reap()
                time.sleep(0.02)
            if not any(map(self.alive, names)):
                return
        raise Failed("these don't end: " + ", ".join(filter(self.alive, names)))

    @staticmethod
    def reap():
        """Children of this very script."""
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            pass

    def stop(self):
        # What they hold is thrown away, so they need not tidy up: a memory store would write itself to the disk.
        self.end(list(self.entries), signal.SIGKILL)
        shutil.rmtree(self.data, ignore_errors=True)
        self.entries, self.variables = {}, {}
        if os.path.exists(self.file):
            os.remove(self.file)

    def show_logs(self):
        for name in sorted(os.listdir(self.logs)) if os.path.isdir(self.logs) else []:
            with open(os.path.join(self.logs, name), encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
            if lines:
                say("the end of %s:" % os.path.join(self.logs, name))
                print("\n".join("    " + line[:400] for line in lines[-25:]), file=sys.stderr)
