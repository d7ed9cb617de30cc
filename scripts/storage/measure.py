"""What scripts/bench --s3 does: hawser to an S3 server beside a local folder, and beside restic to the same server."""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
# rclone holds everything in memory and doesn't hash: as fast as an S3 server gets here. Ceph is a real one.
SERVERS = {"rclone": ["--fast"], "ceph": []}
WORKS = ("first", "unchanged", "restore")


@contextlib.contextmanager
def server(kind, folder):
    """Its variables, while it runs."""
    command = [os.path.join(HERE, "server")]
    arguments = [kind, "--folder", folder]
    lines = subprocess.run(command + ["start"] + arguments + SERVERS[kind], check=True, capture_output=True, text=True)
    try:
        pairs = (line.removeprefix("export ").partition("=") for line in lines.stdout.splitlines())
        yield {name: value.strip("'") for name, _, value in pairs}
    finally:
        subprocess.run(command + ["stop"] + arguments, check=True)


class OnServer:
    """Mixed into a program of scripts/bench: its repository is a new prefix on a server."""

    server = {}

    def place(self):
        return "%s/%s" % (self.server["HAWSER_STORAGE_REPOSITORY"], os.path.relpath(self.folder, "/").replace("/", "-"))

    def variables(self):
        keys = {name: value for name, value in self.server.items() if name.startswith("AWS_")}
        return dict(super().variables(), **keys)


def remote_hawser(bench, name, binary):
    # Its defaults, as beside the others: the same compression everywhere.
    return type("HawserOnServer", (OnServer, bench.Hawser), {})(name, binary, [])


def copy_command(rclone, variables, repository, target):
    """All objects of a repository, by rclone, and the environment for it."""
    environment = {
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_S3_PROVIDER": "Other",
        "RCLONE_S3_ENDPOINT": variables["HAWSER_STORAGE_ENDPOINT"],
        "RCLONE_S3_ACCESS_KEY_ID": variables["AWS_ACCESS_KEY_ID"],
        "RCLONE_S3_SECRET_ACCESS_KEY": variables["AWS_SECRET_ACCESS_KEY"],
    }
    path = repository.removeprefix("s3:" + variables["HAWSER_STORAGE_ENDPOINT"] + "/")
    return [rclone, "copy", ":s3:" + path, target], dict(os.environ, **environment)


class Comparison:
    """One tree, one server: medians by (work, program)."""

    def __init__(self, bench, hawser, options, tree):
        self.bench, self.options, self.tree, self.samples = bench, options, tree, {}
        self.local = bench.Hawser("hawser, local folder", hawser, [])
        self.remote = remote_hawser(bench, "hawser, S3", hawser)
        self.programs = [self.remote, self.local]
        restic = os.environ.get("RESTIC") or shutil.which("restic")
        if restic:
            name = "restic %s, S3" % bench.version(restic, "version")
            on_server = type("ResticOnServer", (OnServer, bench.Restic), {})
            self.programs.append(on_server(name, restic, ["--compression", "auto"]))

    def add(self, work, name, measure):
        self.samples.setdefault((work, name), []).append(measure)

    def run(self, variables, folder, tools):
        for program in self.programs:
            program.server = variables
        for number in range(self.options.runs):
            turn = number % len(self.programs)
            order = self.programs[turn:] + self.programs[:turn]
            for position, program in enumerate(order):
                program.start(os.path.join(folder, "run-%d-%d" % (number, position)))
            for work in WORKS:
                for program in order:
                    print("bench: run %d, %s, %s" % (number + 1, work, program.name), file=sys.stderr)
                    self.add(work, program.name, program.measure(work, self.tree))
            copy = os.path.join(folder, "copy")
            command, environment = copy_command(
                os.path.join(tools, "tools", "rclone", "bin", "rclone"), variables, self.remote.repository, copy)
            self.add("restore", "rclone copy of the objects", self.bench.run(command, environment)[0])
            self.bench.Removal.remove([copy, *(program.folder for program in order)])

    def median(self, work, name, field):
        return statistics.median(getattr(each, field) for each in self.samples[work, name])

    def print(self, kind, counted):
        print("\n### `%s` (%d entries, %.0f MB) and %s\n" % (self.tree, counted[0], counted[1] / 1e6, kind))
        print("| work | program | wall | CPU | peak memory |\n| --- | --- | ---: | ---: | ---: |")
        for work, name in self.samples:
            row = [self.median(work, name, field) for field in ("wall", "cpu", "peak")]
            print("| %s | %s | %.2f s | %.2f s | %.0f MiB |" % (work, name, row[0], row[1], row[2] / 2**20))
        wall = lambda work, name: self.median(work, name, "wall")
        print("\n- CPU of the first backup, S3 to local folder: %.2f (at most 1.15)" % (
            self.median("first", self.remote.name, "cpu") / self.median("first", self.local.name, "cpu")))
        both = wall("restore", self.local.name) + wall("restore", "rclone copy of the objects")
        print("- restore, S3 to local restore and rclone copy: %.2f (at most 1.2)" % (
            wall("restore", self.remote.name) / both))
        for program in self.programs[2:]:
            print("- first backup, %s to hawser: %.2f (at least 2)" % (
                program.name, wall("first", program.name) / wall("first", self.remote.name)))
            print("- restore, %s to hawser: %.2f (at least 3)" % (
                program.name, wall("restore", program.name) / wall("restore", self.remote.name)))


def main(bench, options):
    """`bench` is the module of scripts/bench."""
    import experiments

    hawser = bench.build("hawser")
    tools = os.path.join(bench.ROOT, ".build-storage")
    subprocess.run([os.path.join(HERE, "server"), "install", "rclone", "--folder", tools], check=True)
    print("%d cores, %s, median of %d runs, warm page cache." % (os.cpu_count(), sys.platform, options.runs))
    for kind in options.s3 or [*SERVERS, "delay", "errors", "requests"]:
        if kind not in SERVERS:
            getattr(experiments, kind)(bench, hawser, options)
            continue
        for tree in filter(None, (options.large, options.small)):
            counted = bench.warm(tree)
            comparison = Comparison(bench, hawser, options, tree)
            with tempfile.TemporaryDirectory(prefix="hawser-bench-", dir=options.work) as folder:
                with server(kind, tools) as variables:
                    comparison.run(variables, folder, tools)
            comparison.print(kind, counted)
