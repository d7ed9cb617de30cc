"""Installs what a server needs and this machine lacks."""

import os
import shutil
import subprocess

from processes import Failed, say


def quiet(command, what):
    """What it prints is shown when it fails."""
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        raise Failed("%s\n%s" % (what, (result.stdout + result.stderr)[-3000:]))


def debian_packages(names):
    wanted = "apt-get install --no-install-recommends " + " ".join(names)
    if not shutil.which("apt-get"):
        raise Failed("this needs a Debian or Ubuntu machine with these packages: " + " ".join(names))
    prefix = []
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            raise Failed("as root, run: " + wanted)
        prefix = ["sudo"]
    say("installing " + " ".join(names))
    # Another apt-get may be at work on a machine that has just started. The variable goes through sudo by env.
    options = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    quiet(prefix + options + ["update"], "apt-get update failed; as root, run: " + wanted)
    quiet(prefix + options + wanted.split()[1:2] + ["-y"] + wanted.split()[2:], "failed; as root, run: " + wanted)


def programs(needed):
    """`needed`: programs and the Debian packages that have them."""
    missing = sorted({package for program, package in needed.items() if not shutil.which(program)})
    if missing:
        debian_packages(missing)
    for program in needed:
        if not shutil.which(program):
            raise Failed("%s is installed, but %s is not in PATH" % (needed[program], program))


def python_packages(folder, packages):
    """A virtual environment with exactly these; made anew when the list is another one. Returns its bin folder."""
    marker = os.path.join(folder, "packages.txt")
    if not os.path.exists(marker) or open(marker, encoding="utf-8").read().split() != packages:
        shutil.rmtree(folder, ignore_errors=True)
        # Debian's Python comes without what makes environments.
        if subprocess.run(["python3", "-c", "import ensurepip"], capture_output=True).returncode != 0:
            debian_packages(["python3-venv"])
        say("installing %s (from PyPI)" % " ".join(packages))
        quiet(["python3", "-m", "venv", folder], "python3 -m venv failed")
        quiet([os.path.join(folder, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check"] + packages,
              "pip install %s failed" % " ".join(packages))
        with open(marker, "w", encoding="utf-8") as file:
            file.write("\n".join(packages))
    return os.path.join(folder, "bin")
