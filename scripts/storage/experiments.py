"""What scripts/bench --s3 measures of hawser alone: with delays, with failing requests, and how many requests it makes."""

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile

import measure

REQUEST = re.compile(r'"(GET|PUT|HEAD|POST|DELETE) (\S+) HTTP/1.1"')
# What is stored once per backup, whatever its size, is in the first one too. Both fit into the memory of both sides.
STREAM_BYTES = (256 << 20, 4 << 30)


@contextlib.contextmanager
def test_server(binary, options):
    """s3-test-server, as variables like those of the other servers."""
    # MD5 would take more of the shared cores than all the rest, and tells nobody anything here.
    command = [binary, "--bucket", "backup", "--no-md5"] + options
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        variables = {}
        while "S3_TEST_BUCKET" not in variables:
            line = process.stdout.readline()
            if not line:
                sys.exit("bench: %s did not start" % " ".join(command))
            name, _, value = line.removeprefix("export ").strip().partition("=")
            variables[name] = value
        variables["HAWSER_STORAGE_REPOSITORY"] = "s3:%s/backup" % variables.pop("AWS_ENDPOINT_URL")
        yield variables
    finally:
        process.terminate()
        process.wait()


def once(bench, program, tree, folder, check=False):
    """Wall seconds of a first backup and a restore with a new repository."""
    program.start(folder)
    seconds = [program.measure("first", tree).wall, program.measure("restore", tree).wall]
    if check:
        program.call(["check", "--read-data"])
    bench.Removal.remove([folder])
    return seconds


def beside_perfect(bench, hawser, options, title, server_options, limits):
    """The same with a server that does everything well and at once, turn by turn."""
    binary = bench.build("s3-test-server")
    program = measure.remote_hawser(bench, "hawser, S3", hawser)
    for tree in filter(None, (options.large, options.small)):
        bench.warm(tree)
        found = {}
        for number in range(options.runs):
            for changes in ([], server_options):
                with tempfile.TemporaryDirectory(prefix="hawser-bench-", dir=options.work) as folder:
                    with test_server(binary, changes) as variables:
                        program.server = variables
                        print("bench: run %d, %s %s" % (number + 1, tree, " ".join(changes)), file=sys.stderr)
                        seconds = once(bench, program, tree, os.path.join(folder, "run"), bool(changes))
                found.setdefault(tuple(changes), []).append(seconds)
        print("\n### `%s`, %s\n\n| work | without | with | ratio | at most |\n| --- | ---: | ---: | ---: | ---: |" % (
            tree, title))
        for position, work in enumerate(("first backup", "restore")):
            plain, changed = (statistics.median(each[position] for each in runs) for runs in found.values())
            print("| %s | %.2f s | %.2f s | %.2f | %s |" % (work, plain, changed, changed / plain, limits[position]))


def delay(bench, hawser, options):
    beside_perfect(bench, hawser, options, "each request 50 ms later", ["--delay", "50ms"], ("1.3", "1.5"))


def errors(bench, hawser, options):
    beside_perfect(bench, hawser, options, "30 % of all requests answered with 503", ["--fail-rate", "0.3"], ("2", "-"))


class RequestLog:
    """Reads what radosgw logs of each request."""

    def __init__(self, tools):
        self.file, self.begin = os.path.join(tools, "ceph", "log", "radosgw.log"), 0

    def take(self):
        """(method, target) of the requests since the last call."""
        with open(self.file, encoding="utf-8", errors="replace") as file:
            file.seek(self.begin)
            text = file.read()
            self.begin = file.tell()
        return REQUEST.findall(text)


def requests(bench, hawser, options):
    tools = os.path.join(bench.ROOT, ".build-storage")
    program = measure.remote_hawser(bench, "hawser, S3", hawser)
    print("\n### Requests\n\n| what | requests | goal |\n| --- | --- | ---: |")
    seen = []
    with tempfile.TemporaryDirectory(prefix="hawser-bench-", dir=options.work) as folder:
        with measure.server("ceph", tools) as variables:
            log, program.server = RequestLog(tools), variables
            for memory, goal in (("", 72000), ("512M", 35000)):
                extra = ["--memory", memory] if memory else []
                puts = []
                for length in STREAM_BYTES:
                    program.start(os.path.join(folder, "stream%s-%d" % (memory, length)))
                    log.take()
                    # Random, so that it neither compresses nor deduplicates.
                    random = "head -c %d /dev/zero | openssl enc -aes-128-ctr -nosalt -K %s -iv %s" % (
                        length, os.urandom(16).hex(), os.urandom(16).hex())
                    backup = " ".join([hawser, "backup", "--stdin", "--quiet"] + extra)
                    subprocess.run(random + " | " + backup, shell=True, check=True, env=program.environment,
                                   stdout=subprocess.DEVNULL)
                    found = log.take()
                    puts.append(sum(method == "PUT" for method, _ in found))
                    seen += found
                rate = (puts[1] - puts[0]) * 2**40 / (STREAM_BYTES[1] - STREAM_BYTES[0])
                print("| PUTs per TiB, memory %s | %.0f | %d |" % (memory or "default", rate, goal))
            if options.small:
                program.start(os.path.join(folder, "small"))
                program.measure("first", options.small)
                seen += log.take()
                program.measure("unchanged", options.small)
                found = log.take()
                kinds = ", ".join("%d %s" % (sum(m == each for m, _ in found), each) for each in sorted({m for m, _ in found}))
                print("| unchanged run of `%s` | %d: %s | 12 |" % (options.small, len(found), kinds))
                program.measure("restore", options.small)
                seen += found + log.take()
    lists = sum("list-type=2" in target and "prefix=" in target and "packs" in target for _, target in seen)
    print("| lists of packs in all of these and a restore | %d | 0 |" % lists)
